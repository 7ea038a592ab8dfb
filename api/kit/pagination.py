"""Cursors of lists that are read page by page, newest first: opaque to callers, a moment and an id to us.

A cursor says where to go on and no more; whose rows these are is looked at anew with every page.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, tuple_

from scoring.canonical import canonical_json

Item = TypeVar("Item")
Place = TypeVar("Place")

LONGEST_PAGE: Final = 200
_LONGEST: Final = 400
_LONGEST_ID: Final = 200


@dataclass(frozen=True, slots=True)
class PagePosition:
    """The last row of a page, by what the list is ordered by: a moment, then an id."""

    moment: datetime
    id: str


def format_cursor(after: PagePosition) -> str:
    """Return a cursor as callers get it.

    Example:
        >>> read(written(After(datetime(2026, 2, 1, 9, 30, tzinfo=UTC), "0b8f"))).id
        '0b8f'
    """
    content = canonical_json([after.moment.astimezone(UTC).isoformat(), after.id])
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def parse_cursor(cursor: str) -> PagePosition:
    """Return where a cursor stands.

    Raises:
        ValueError: it is none.
    """
    try:
        moment, found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        at = datetime.fromisoformat(moment).astimezone(UTC)
    except (TypeError, RecursionError, OverflowError) as error:
        raise ValueError("no cursor") from error
    if not isinstance(found, str) or not 1 <= len(found) <= _LONGEST_ID or not found.isprintable():
        raise ValueError("no cursor")
    return PagePosition(at, found)


def _checked(cursor: str) -> str:
    try:
        parse_cursor(cursor)
    except ValueError as error:
        raise PydanticCustomError("cursor", "Give the next_cursor of a page as it was answered") from error
    return cursor


Cursor = Annotated[
    str | None,
    Query(
        max_length=_LONGEST,
        description="The `next_cursor` of the page before; left out for the first page.",
        examples=["WyIyMDI2LTAyLTAxVDA5OjMwOjAwKzAwOjAwIiwiMGI4ZiJd"],
    ),
    AfterValidator(lambda cursor: cursor if cursor is None else _checked(cursor)),
]
"""The query parameter by which an endpoint takes a cursor; `given` says what it stands for."""

Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Items of a page at most.", examples=[50])]
"""The query parameter for the size of a page; give it a default of 50."""


def resolve_cursor(cursor: str | None, place_at: Callable[[PagePosition], Place | None]) -> Place | None:
    """Return the place at which a checked cursor stands, None for the first page.

    Args:
        cursor: as it was sent.
        place_at: looks for the row of the caller's list that a cursor names; None where there is none.

    Raises:
        RequestValidationError: the cursor is not one that this caller was given, or its row was erased since.
    """
    if cursor is None:
        return None
    stands = parse_cursor(cursor)
    place = place_at(stands)
    if place is None or format_cursor(stands) != cursor:
        said = "Give the next_cursor of a page of this list as it was answered, or begin with the first page"
        raise RequestValidationError([{"type": "cursor", "loc": ("query", "cursor"), "msg": said}])
    return place


def after_position(moment: ColumnElement[Any], key: ColumnElement[Any], place: PagePosition) -> ColumnElement[bool]:
    """Return the condition for rows after a place, in a list ordered by moment and key, both falling."""
    return tuple_(moment, key) < tuple_(place.moment, place.id)


def paginate(
    found: Sequence[Item], limit: int, place_of: Callable[[Item], PagePosition]
) -> tuple[Sequence[Item], str | None]:
    """Part what was read of a list into a page and the cursor of the next.

    Args:
        found: rows of the list, one more than the limit where there are more.
        limit: of the page.
        place_of: by what a row is ordered.
    """
    kept = found[:limit]
    return kept, format_cursor(place_of(kept[-1])) if len(found) > limit else None
