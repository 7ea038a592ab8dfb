"""Training settings: all sections of the settings file with their defaults, and one digest of all values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from training.errors import ConfigError
from training.evidence.fake_order_strategies import FakeOrdersConfig
from training.fit import FitConfig
from training.labels import LabelConfig
from training.refits import RefitConfig
from training.search import SearchConfig
from training.settings import STRICT
from training.split import SplitConfig, longest_days

if TYPE_CHECKING:
    from training.dataset import Dataset


@dataclass(frozen=True)
class FeatureConfig:
    """The `[features]` section: the features that a model may read.

    Attributes:
        only: the features that a model may read; empty for all scored features.
        exclude: features that a model may not read.

    Example: `FeatureConfig(exclude=("average_order_180d",))`.
    """

    __pydantic_config__ = STRICT

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def apply(self, dataset: Dataset) -> Dataset:
        """Return the dataset with all other features marked as not scored.

        Raises:
            ConfigError: a name is not the name of a scored feature, or no feature is left.
        """
        names = [str(name) for name in dataset.features]
        scored = [name for name in names if name not in dataset.not_scored]
        for setting, values in (("only", self.only), ("exclude", self.exclude)):
            if unknown := [name for name in values if name not in scored]:
                raise ConfigError(
                    f"features.{setting} names {unknown[0]!r}, which is not a feature that a model may read. Use one "
                    f"of {', '.join(scored)}."
                )
        selected = [name for name in scored if (not self.only or name in self.only) and name not in self.exclude]
        if not selected:
            raise ConfigError("features.only and features.exclude leave no feature that a model may read.")
        return replace(dataset, not_scored=frozenset(names) - frozenset(selected))


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a training run. In the settings file each field is a section; see `settings.read_settings`.

    The embargo of the split must cover the time that an outcome takes: `labels.months` for loans,
    `labels.horizon_days` for a label table. If a horizon is set and `split.embargo_days` has its default value, the
    embargo becomes the horizon.

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
                f"{self.split.embargo_days}. Set it to {needed} or more, so that training outcomes are known before "
                "the test begins."
            )

    @property
    def digest(self) -> str:
        """SHA-256 over every setting."""
        return "sha256:" + hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def as_toml(self) -> str:
        """Return all settings as the text of a settings file."""
        return "\n".join(
            f"[{name}]\n"
            + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in section.items())
            for name, section in asdict(self).items()
        )
