"""Field types that several resources share: IDs in paths, timestamps, seller IDs, purposes; and the UTC clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

_EXAMPLE: Final = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"


def _id(resource: str) -> Any:
    return Path(description=f"ID of the {resource}.", examples=[_EXAMPLE])


ScoreId = Annotated[UUID, _id("score")]
ConsentId = Annotated[UUID, _id("consent")]
RequestId = Annotated[UUID, _id("consent request")]
ReviewId = Annotated[UUID, _id("review")]

Clock = Callable[[], datetime]
"""Returns the current time with a time zone."""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""The type of a response field with a time in UTC, as `format_timestamp` writes it."""

Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
"""The type of a response field with a day, as `date.isoformat` writes it."""


class ResponseModel(BaseModel):
    """The base of response schemas. A nested response can be built from any record with the same attributes."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    @classmethod
    def from_record(cls, record: object, **others: Any) -> Self:
        """Build a response from the attributes of a record, with times and days as text; `others` replace them.

        Example: `ConsentResponse.from_record(consent, state=consent.state(now))`.
        """
        values = {name: getattr(record, name) for name in cls.model_fields if name not in others} | others
        return cls(**{name: _as_text(value) for name, value in values.items()})


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_timestamp(value)
    return value.isoformat() if isinstance(value, date) else value


def format_timestamp(moment: datetime) -> str:
    """Return a time as responses and ledger rows write it: RFC 3339 in UTC with microseconds.

    Example:
        >>> format_timestamp(datetime(2026, 2, 1, 9, 30, tzinfo=UTC))
        '2026-02-01T09:30:00.000000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_TIMESTAMP: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]")


def _require_date_and_time(value: Any) -> Any:
    if (isinstance(value, str) and not _TIMESTAMP.match(value)) or isinstance(value, int | float):
        raise PydanticCustomError(
            "moment", "Must be a date and time with a time zone (RFC 3339), such as 2026-02-01T09:30:00Z"
        )
    return value


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("moment", "Must be a time between the years 1 and 9999 in UTC") from error


Moment = Annotated[AwareDatetime, BeforeValidator(_require_date_and_time), AfterValidator(_to_utc)]
"""A time with a time zone, converted to UTC.

Example: `2026-02-01T09:30:00Z` is valid. `90`, `"90"` and `2026-02-01` are not.
"""

SELLER_ID: Final = (
    r"^[^\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u3000\ue000-\uf8ff\ufeff\ufff0-\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    "\U000e0020-\U000e007f\U000f0000-\U000ffffd\U00100000-\U0010fffd]+$"
)
"""The pattern of a seller ID: no control, invisible or private characters, and no space except U+0020. Ingest applies
the same rule.

The syntax is common to Python, ECMA 262 and Rust, so that the OpenAPI document states exactly what is checked. They
share no escape for characters above U+FFFF, so those are written literally.
"""

_PRINTABLE: Final = re.compile(SELLER_ID)


def _printable(text: str) -> str:
    if not _PRINTABLE.fullmatch(text):
        raise PydanticCustomError(
            "printable", "Must hold no control, invisible or private characters, and no space other than U+0020"
        )
    return text


SellerId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="ID of the seller at the marketplace; printable characters.",
        examples=["S-000001"],
        json_schema_extra={"pattern": SELLER_ID},
    ),
    AfterValidator(_printable),
]
"""The type of a field or parameter that holds a seller ID."""


class Purpose(StrEnum):
    """The purpose of a score."""

    CREDIT_APPLICATION = "credit_application"
    ACCOUNT_REVIEW = "account_review"
