"""Cursors: they return to the position that they encode, other texts are rejected, and pages add up to the list."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.kit.pagination import PagePosition, format_cursor, paginate, parse_cursor

TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
IDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60)


@given(st.builds(PagePosition, TIMES, IDS))
def test_a_cursor_encodes_a_position_in_url_safe_letters(position: PagePosition) -> None:
    assert parse_cursor(format_cursor(position)) == position
    assert format_cursor(position).replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda content: content.hex()))
@example("===")
def test_a_text_is_a_cursor_or_raises_a_value_error(text: str) -> None:
    try:
        position = parse_cursor(text)
    except ValueError:
        return
    assert format_cursor(position) == text


@pytest.mark.parametrize("text", ["W10", "WzEsMl0", "WyJ4IiwieSJd", "bnVsbA", "e30", "WyIyMDI2LTAyLTAxIiwiIl0"])
def test_other_json_is_not_a_cursor(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic replaces the message
        parse_cursor(text)


@given(st.lists(st.integers(0, 9), max_size=30, unique=True), st.integers(1, 7))
def test_pages_add_up_to_the_list(numbers: list[int], limit: int) -> None:
    positions = [PagePosition(datetime(2026, 2, 1, number % 3, tzinfo=UTC), str(number)) for number in numbers]
    rows = sorted(positions, key=astuple, reverse=True)
    collected: list[PagePosition] = []
    cursor: str | None = None
    while cursor is not None or not collected:
        rest = [row for row in rows if cursor is None or astuple(row) < astuple(parse_cursor(cursor))]
        page, cursor = paginate(rest[: limit + 1], limit, lambda row: row)
        collected += page
        if not rows:
            break
    assert collected == rows
