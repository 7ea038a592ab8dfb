"""Ids as paths name them.

Moments: the clock, and moments as requests give them: RFC 3339, with a zone; a number is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

_EXAMPLE = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"


def _id(of: str) -> Any:
    return Path(description=f"Id of the {of}, as it was answered.", examples=[_EXAMPLE])


ScoreId = Annotated[UUID, _id("score")]


ConsentId = Annotated[UUID, _id("consent")]


RequestId = Annotated[UUID, _id("consent request")]


ReviewId = Annotated[UUID, _id("review")]


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


SELLER_ID: Final = (
    r"^[^\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u3000\ue000-\uf8ff\ufeff\ufff0-\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    "\U000e0020-\U000e007f\U000f0000-\U000ffffd\U00100000-\U0010fffd]+$"
)
"""No control characters, no spaces but the plain one, nothing invisible, no private letters: what intake lets in.

In the syntax that Python, ECMA 262 and Rust share, so that the OpenAPI document says exactly what is checked; they have
no common way to write what lies beyond U+FFFF, so that stands there itself.
"""


_PRINTABLE: Final = re.compile(SELLER_ID)


def _printable(text: str) -> str:
    if not _PRINTABLE.fullmatch(text):
        raise PydanticCustomError(
            "printable", "It holds a control, invisible or private character, or a space other than the plain one"
        )
    return text


SellerId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="The platform's id of the seller; printable characters.",
        examples=["S-000001"],
        json_schema_extra={"pattern": SELLER_ID},
    ),
    AfterValidator(_printable),
]
"""The type of a field or parameter that names a seller."""


class Purpose(StrEnum):
    """What a score is asked for."""

    CREDIT_APPLICATION = "credit_application"
    ACCOUNT_REVIEW = "account_review"


Clock = Callable[[], datetime]
