"""Cursors: where a page ends, as a text that callers hand back and cannot bend."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.kit.pagination import PagePosition, format_cursor, paginate, parse_cursor

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
IDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60)


@given(MOMENTS, IDS)
def test_a_cursor_is_read_as_it_was_written(moment: datetime, found: str) -> None:
    after = PagePosition(moment, found)
    assert parse_cursor(format_cursor(after)) == after
    assert format_cursor(after).replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda content: content.hex()))
def test_what_is_no_cursor_is_refused_and_nothing_else_happens(cursor: str) -> None:
    try:
        parse_cursor(cursor)
    except ValueError:
        return
    assert format_cursor(parse_cursor(cursor)) == cursor


@pytest.mark.parametrize(
    "content", ["W10", "WzEsMl0", "WyJ4IiwieSJd", "bnVsbA", "e30", "WyIyMDI2LTAyLTAxIiwiIl0", "é", "==="]
)
def test_cursors_of_other_shapes_are_refused(content: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, pydantic says it in our words
        parse_cursor(content)


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 7))
def test_pages_put_together_are_the_list(numbers: list[int], limit: int) -> None:
    moment = datetime(2026, 2, 1, tzinfo=UTC)
    rows = sorted(
        {PagePosition(moment.replace(hour=number % 3), str(number)) for number in numbers}, key=_order, reverse=True
    )
    seen: list[PagePosition] = []
    cursor: str | None = None
    while True:
        rest = [row for row in rows if cursor is None or _order(row) < _order(parse_cursor(cursor))]
        kept, cursor = paginate(rest[: limit + 1], limit, lambda row: row)
        seen += kept
        if cursor is None:
            break
    assert seen == rows


def _order(after: PagePosition) -> tuple[datetime, str]:
    return after.moment, after.id
