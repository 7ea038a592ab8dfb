"""All settings of a training run, with one digest: defaults where they are defined, overridden by a TOML file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from training.errors import ConfigError
from training.evidence.fake_orders import FakeOrdersConfig
from training.fit import FitConfig
from training.labels import DefaultDefinition
from training.refits import RefitConfig
from training.search import SearchConfig
from training.settings import STRICT
from training.split import SplitConfig, longest_days


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run; in a file each field is a section, see `settings.read_settings`.

    Example:
        >>> TrainConfig(labels=DefaultDefinition(days_past_due=60)).as_toml().splitlines()[:2]
        ['[labels]', 'days_past_due = 60']

    Raises:
        ConfigError: the embargo is shorter than an outcome takes.
    """

    __pydantic_config__ = STRICT

    labels: DefaultDefinition = field(default_factory=DefaultDefinition)
    split: SplitConfig = field(default_factory=SplitConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    refits: RefitConfig = field(default_factory=RefitConfig)
    fake_orders: FakeOrdersConfig = field(default_factory=FakeOrdersConfig)

    def __post_init__(self) -> None:
        needed = longest_days(self.labels.months)
        if self.split.embargo_days < needed:
            raise ConfigError(
                f"Outcomes take up to {needed} days (labels.months is {self.labels.months}), but split.embargo_days is "
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
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
            for name, section in asdict(self).items()
        )
