"""Cursor pagination of lists, newest first. A cursor is an encoded time and ID; it grants no access to rows."""

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
Position = TypeVar("Position")

MAX_PAGE: Final = 200
_MAX_CURSOR: Final = 400
_MAX_ID: Final = 200


@dataclass(frozen=True, slots=True)
class PagePosition:
    """The sort key of the last row of a page: a time, then an ID."""

    moment: datetime
    id: str


def format_cursor(after: PagePosition) -> str:
    """Return the cursor of a position.

    Example:
        >>> parse_cursor(format_cursor(PagePosition(datetime(2026, 2, 1, 9, 30, tzinfo=UTC), "0b8f"))).id
        '0b8f'
    """
    content = canonical_json([after.moment.astimezone(UTC).isoformat(), after.id])
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def parse_cursor(cursor: str) -> PagePosition:
    """Return the position of a cursor.

    Raises:
        ValueError: The text is not a cursor.
    """
    try:
        moment, row_id = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        at = datetime.fromisoformat(moment).astimezone(UTC)
    except (TypeError, RecursionError, OverflowError) as error:
        raise ValueError("not a cursor") from error
    if not isinstance(row_id, str) or not 1 <= len(row_id) <= _MAX_ID or not row_id.isprintable():
        raise ValueError("not a cursor")
    return PagePosition(at, row_id)


def _validate(cursor: str | None) -> str | None:
    try:
        if cursor is not None:
            parse_cursor(cursor)
    except ValueError as error:
        raise PydanticCustomError("cursor", "Must be the next_cursor of a page, unchanged") from error
    return cursor


Cursor = Annotated[
    str | None,
    Query(
        max_length=_MAX_CURSOR,
        description="The `next_cursor` of the previous page. Omit it for the first page.",
        examples=["WyIyMDI2LTAyLTAxVDA5OjMwOjAwKzAwOjAwIiwiMGI4ZiJd"],
    ),
    AfterValidator(_validate),
]
"""The type of the query parameter `cursor`. `resolve_cursor` turns it into a position."""

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Maximum number of items of a page.", examples=[50])]
"""The type of the query parameter `limit`. Give it a default of 50."""


def resolve_cursor(cursor: str | None, find: Callable[[PagePosition], Position | None]) -> Position | None:
    """Return the position of a validated cursor, or None for the first page.

    Args:
        cursor: The cursor of the request.
        find: Returns the position of a row in the caller's own list, or None if the list does not have the row.

    Raises:
        RequestValidationError: The cursor is not of this list, or its row was erased.
    """
    if cursor is None:
        return None
    requested = parse_cursor(cursor)
    position = find(requested)
    if position is None or format_cursor(requested) != cursor:
        message = "Must be the next_cursor of a page of this list, unchanged. Omit it to start with the first page"
        raise RequestValidationError([{"type": "cursor", "loc": ("query", "cursor"), "msg": message}])
    return position


def after_position(moment: ColumnElement[Any], key: ColumnElement[Any], position: PagePosition) -> ColumnElement[bool]:
    """Return the SQL condition for rows after a position, in a list in descending order of time and ID."""
    return tuple_(moment, key) < tuple_(position.moment, position.id)


def paginate(
    rows: Sequence[Item], limit: int, position_of: Callable[[Item], PagePosition]
) -> tuple[Sequence[Item], str | None]:
    """Return one page and the cursor of the next page, or None if it is the last.

    Args:
        rows: Rows of the list; one more than the limit if the list continues.
        limit: Maximum number of items of the page.
        position_of: Returns the sort key of a row.
    """
    page = rows[:limit]
    return page, format_cursor(position_of(page[-1])) if len(rows) > limit else None
