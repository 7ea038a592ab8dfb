"""Moments as requests give them: RFC 3339, with a zone; a number is none, though it could count seconds from 1970."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


def _dated(given: Any) -> Any:
    if (isinstance(given, str) and not _DATED.match(given)) or isinstance(given, int | float):
        raise PydanticCustomError("moment", "A date and time with a zone is needed, like 2026-02-01T09:30:00Z")
    return given


Moment = Annotated[AwareDatetime, BeforeValidator(_dated)]
"""A moment with a zone.

Example: `2026-02-01T09:30:00Z` is one; `90`, `"90"` and `2026-02-01` are none.
"""
