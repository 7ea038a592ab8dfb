"""Parameters of a mapping: values that the export lacks. They are checked before any file is read."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterable
from collections.abc import Mapping as ReadOnly
from datetime import datetime
from typing import Annotated, Final, Literal

import pydantic
from pydantic import AfterValidator, ConfigDict, StringConstraints

from features.errors import DeliveryError, MappingError
from features.ingest.delivery import FIRST_DAY, latest_time, read_day
from features.iso import COUNTRIES, CURRENCIES


def _check_identifier(name: str) -> str:
    if not name.isidentifier():
        raise ValueError("use letters, digits and underscores")
    return name


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Name = Annotated[str, AfterValidator(_check_identifier)]
CONFIG: Final = ConfigDict(extra="forbid")

_MOST_DAYS: Final = 365
_SAMPLE: Final = datetime(2024, 5, 17)  # noqa: DTZ001 - a local time, to try formats


def _is_day(value: str) -> bool:
    try:
        read_day("", value, latest_time().date())
    except DeliveryError:
        return False
    return True


def _is_date_format(value: str) -> bool:
    """Return whether a format has day, month and year, so that it can be read back."""
    portable = value.replace("%-", "%")
    try:
        return datetime.strptime(_SAMPLE.strftime(portable), portable).date() == _SAMPLE.date()  # noqa: DTZ007
    except ValueError:
        return False


def _is_time_zone(value: str) -> bool:
    zones = zoneinfo.available_timezones()
    return value in zones or not zones  # a system without the database leaves the check to the engine


_KINDS: Final[ReadOnly[str, tuple[Callable[[str], bool], str]]] = {
    "text": (str.isprintable, "one line of visible characters"),
    "country": (COUNTRIES.__contains__, "an ISO 3166 code such as US"),
    "currency": (CURRENCIES.__contains__, "an ISO 4217 code such as USD"),
    "day": (_is_day, f"a day from {FIRST_DAY} to tomorrow, such as 2024-01-01"),
    "days": (
        lambda value: value.isdecimal() and value.isascii() and int(value[:9]) <= _MOST_DAYS,
        f"a whole number of days from 0 to {_MOST_DAYS}",
    ),
    "date_format": (_is_date_format, "a format with day, month and year, such as %d/%m/%Y or %m/%d/%Y %H:%M"),
    "time_zone": (_is_time_zone, "a name of the IANA database such as Europe/London"),
    "decimal": ((".", ",").__contains__, "a point or a comma"),
}
"""For each kind of parameter, whether a value is allowed, and which values are."""


@pydantic.dataclasses.dataclass(frozen=True, config=CONFIG)
class Parameter:
    """A value that the export lacks, such as the seller's id. Without a default, the user must set it.

    The default is always allowed; other values must be of the `kind`.
    """

    name: Name
    help: Text
    default: Text | None = None
    kind: Literal["text", "country", "currency", "day", "days", "date_format", "time_zone", "decimal"] = "text"

    def check(self, value: str) -> None:
        """Raise MappingError if a value is not allowed."""
        is_allowed, allowed = _KINDS[self.kind]
        if value != self.default and not is_allowed(value):
            default = "" if self.default is None else f" or the default, {self.default}"
            raise MappingError(f"--set {self.name}={value} is not allowed. Use {allowed}{default}.")


def parameter_values(mapping: str, parameters: Iterable[Parameter], settings: ReadOnly[str, str]) -> dict[str, str]:
    """Return the value of every parameter, as set or by default.

    Raises:
        MappingError: a setting is not a parameter of the mapping, its value is not allowed, or a parameter without a
            default is not set.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    for name, value in settings.items():
        if name not in by_name:
            raise MappingError(
                f"{mapping} has no parameter {name!r}. Its parameters are: {', '.join(by_name) or 'none'}."
            )
        if value:
            by_name[name].check(value)
    values = {name: settings.get(name, parameter.default) for name, parameter in by_name.items()}
    missing = [name for name, value in values.items() if not value]
    if missing:
        meanings = "; ".join(f"--set {name}=... ({by_name[name].help.rstrip('.')})" for name in missing)
        raise MappingError(f"{mapping} needs a value for {', '.join(missing)}. Add {meanings}.")
    return {name: str(value) for name, value in values.items()}
