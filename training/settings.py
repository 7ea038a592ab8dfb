"""Settings files: read TOML into frozen dataclasses and validate it before any work begins."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from features.regular_files import read_small_file
from training.errors import ConfigError

STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""`__pydantic_config__` of a settings dataclass: no unknown keys, no text for numbers, no infinity."""

Settings = TypeVar("Settings")


def read_settings(path: Path | None, kind: type[Settings]) -> Settings:
    """Return an instance of a settings dataclass: its defaults, overridden by a TOML file.

    The file has one section for each field of the dataclass.

    Example: a file with `learning_rate = 0.05` under `[fit]` changes that setting of `TrainConfig` and no other.

    Raises:
        ConfigError: the file is not readable TOML, has an unknown setting, or has a value that is not allowed.
    """
    try:
        content = {} if path is None else tomllib.loads(read_small_file(path).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"The settings file {path} cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {path} is not TOML: {error}.") from error
    try:
        # strict validation accepts a dict for a dataclass in JSON only
        return TypeAdapter(kind).validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise ConfigError(f"The settings file {path} is not valid: {_first_error(error)}.") from error
    except ConfigError as error:
        raise error if path is None else ConfigError(f"The settings file {path} is not valid: {error}") from error


def _first_error(error: ValidationError) -> str:
    """Return the first error: the setting, its value and what is allowed."""
    first = error.errors()[0]
    setting = ".".join(map(str, first["loc"]))
    if first["type"] == "unexpected_keyword_argument":
        return f"there is no setting {setting}"
    return f"{setting} is {first['input']!r}; {first['msg'][0].lower()}{first['msg'][1:]}"
