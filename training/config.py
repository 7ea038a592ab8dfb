"""All settings of a training run, with one digest: defaults where they are defined, overridden by a TOML file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace

from training.errors import ConfigError
from training.evidence.fake_order_strategies import FakeOrdersConfig
from training.feature_choice import FeatureConfig
from training.fit import FitConfig
from training.labels import LabelConfig
from training.refits import RefitConfig
from training.search import SearchConfig
from training.settings import STRICT
from training.split import longest_days
from training.split_settings import SplitConfig


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run; in a file each field is a section, see `settings.read_settings`.

    The embargo of the split covers the time that an outcome takes: `labels.months` for loans, `labels.horizon_days` for
    a label table. With a horizon, `split.embargo_days` becomes the horizon unless the setting has another value than
    its default.

    Example:
        >>> TrainConfig(labels=LabelConfig(days_past_due=60)).as_toml().splitlines()[:2]
        ['[labels]', 'days_past_due = 60']
        >>> TrainConfig(labels=LabelConfig(horizon_days=56)).split.embargo_days
        56

    Raises:
        ConfigError: the embargo is shorter than an outcome takes.
    """

    __pydantic_config__ = STRICT

    labels: LabelConfig = field(default_factory=LabelConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    refits: RefitConfig = field(default_factory=RefitConfig)
    fake_orders: FakeOrdersConfig = field(default_factory=FakeOrdersConfig)

    def __post_init__(self) -> None:
        horizon = self.labels.horizon_days
        if horizon and self.split.embargo_days == SplitConfig().embargo_days:
            object.__setattr__(self, "split", replace(self.split, embargo_days=horizon))
        needed = horizon or longest_days(self.labels.months)
        if self.split.embargo_days < needed:
            setting = f"horizon_days is {horizon}" if horizon else f"months is {self.labels.months}"
            raise ConfigError(
                f"Outcomes take up to {needed} days (labels.{setting}), but split.embargo_days is "
                f"{self.split.embargo_days}; set it to {needed} or more, so that training outcomes are known before "
                "the test begins."
            )

    @property
    def digest(self) -> str:
        """SHA-256 over every setting."""
        return "sha256:" + hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def as_toml(self) -> str:
        """Write every setting as a settings file."""
        return "\n".join(
            f"[{name}]\n"
            + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in section.items())
            for name, section in asdict(self).items()
        )
