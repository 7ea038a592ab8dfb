"""Moments: the clock, and moments as requests give them: RFC 3339, with a zone; a number is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


def utc_now() -> datetime:
    """Return the moment, UTC."""
    return datetime.now(UTC)


def _dated(given: Any) -> Any:
    if (isinstance(given, str) and not _DATED.match(given)) or isinstance(given, int | float):
        raise PydanticCustomError("moment", "A date and time with a zone is needed, like 2026-02-01T09:30:00Z")
    return given


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("moment", "The moment lies outside of the years 1 to 9999, UTC") from error


Moment = Annotated[AwareDatetime, BeforeValidator(_dated), AfterValidator(_utc)]
"""A moment with a zone, turned to UTC.

Example: `2026-02-01T09:30:00Z` is one; `90`, `"90"` and `2026-02-01` are none.
"""
