"""All settings of a training run, with one digest: defaults where they are defined, overridden by a TOML file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from training.fit import FitConfig
from training.labels import DefaultDefinition
from training.settings import STRICT
from training.split import SplitConfig


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run; in a file each field is a section, see `settings.read_settings`.

    Example:
        >>> TrainConfig(labels=DefaultDefinition(days_past_due=60)).as_toml().splitlines()[:2]
        ['[labels]', 'days_past_due = 60']
    """

    __pydantic_config__ = STRICT

    labels: DefaultDefinition = field(default_factory=DefaultDefinition)
    split: SplitConfig = field(default_factory=SplitConfig)
    fit: FitConfig = field(default_factory=FitConfig)

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
