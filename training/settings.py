"""Settings files: TOML read into frozen dataclasses, checked whole before any work begins."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from training.errors import ConfigError

STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""For `__pydantic_config__` of a dataclass that a file may fill: no unknown keys, no text for numbers, no infinity."""

Settings = TypeVar("Settings")


def read_settings(path: Path | None, kind: type[Settings]) -> Settings:
    """Return settings of a dataclass: its defaults, overridden by a TOML file with a section for each of its fields.

    Example: a file with `learning_rate = 0.05` under `[fit]` changes that setting of
    `TrainConfig` and leaves all others.

    Raises:
        ConfigError: the file cannot be read as TOML, names a setting that does not exist, or gives one a value that
            it cannot have.
    """
    try:
        content = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The settings file {path} cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {path} is not TOML: {error}.") from error
    try:
        # strictness lets a table stand for a dataclass in JSON only
        return TypeAdapter(kind).validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise ConfigError(f"The settings file {path} cannot be used: {_sentence(error)}.") from error
    except ConfigError as error:
        raise error if path is None else ConfigError(f"The settings file {path} cannot be used: {error}") from error


def _sentence(error: ValidationError) -> str:
    """Say the first thing that is wrong: where, what was found, what is allowed."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "unexpected_keyword_argument":
        return f"there is no setting {where}"
    found = first["input"]
    return f"{where} is {found!r}; {first['msg'][0].lower()}{first['msg'][1:]}"
