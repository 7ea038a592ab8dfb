"""The chain alone: whatever is changed, removed, swapped or added is found at its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from api.kit.fields import format_timestamp
from api.ledger.chain import START, Header, Row, Tip, commit, head, salted, verify
from tests.api.ledger.conftest import NOW

CHAIN = "bank-1"
TEXTS = ("chain", "kind", "recorded_at", "subject")
BYTES = ("commitment", "sealed", "head")


def chain_of(length: int) -> list[Row]:
    rows: list[Row] = []
    before = START
    for position in range(1, length + 1):
        both = salted(b'{"n":%d}' % position)
        header = Header(CHAIN, position, "score", format_timestamp(NOW), f"subject-{position % 3}")
        rows.append(Row(header, commit(both), both, head(before, header, commit(both), both)))
        before = rows[-1].head
    return rows


def tip_of(rows: list[Row]) -> Tip:
    return Tip(len(rows), rows[-1].head)


ROWS = chain_of(12)


@given(st.integers(0, 40))
def test_a_whole_chain_has_no_fault(length: int) -> None:
    rows = chain_of(length)
    assert verify(CHAIN, rows, tip_of(rows) if rows else Tip(0, START)) == []


def _flipped(value: bytes, at: int, bit: int) -> bytes:
    at %= len(value)
    return value[:at] + bytes([value[at] ^ (1 << bit)]) + value[at + 1 :]


@given(row=st.integers(0, 11), column=st.sampled_from((*TEXTS, *BYTES)), at=st.integers(0, 200), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found_at_its_row_and_only_there(row: int, column: str, at: int, bit: int) -> None:
    rows = list(ROWS)
    if column in BYTES:
        rows[row] = replace(rows[row], **{column: _flipped(getattr(rows[row], column), at, bit)})
    else:
        text = _flipped(getattr(rows[row].header, column).encode(), at, bit).decode("utf-8", "backslashreplace")
        rows[row] = replace(rows[row], header=replace(rows[row].header, **{column: text}))
    assert {fault.position for fault in verify(CHAIN, rows, tip_of(ROWS))} == {row + 1}


@given(row=st.integers(0, 11))
def test_a_row_removed_is_named(row: int) -> None:
    rows = [*ROWS[:row], *ROWS[row + 1 :]]
    (fault,) = verify(CHAIN, rows, tip_of(ROWS))
    assert (fault.position, fault.what) == (row + 1, "the row is missing")


@given(first=st.integers(0, 11), second=st.integers(0, 11))
def test_rows_swapped_are_found(first: int, second: int) -> None:
    assume(first != second)
    rows = list(ROWS)
    for here, there in ((first, second), (second, first)):
        rows[here] = replace(ROWS[there], header=replace(ROWS[there].header, position=here + 1))
    assert {first + 1, second + 1} <= {fault.position for fault in verify(CHAIN, rows, tip_of(ROWS))}


@given(after=st.integers(1, 12))
def test_a_row_put_in_is_found(after: int) -> None:
    """Even one that follows from the row before it: those behind it do not follow from it."""
    both = salted(b"{}")
    header = Header(CHAIN, after + 1, "score", format_timestamp(NOW), "subject-9")
    added = Row(header, commit(both), both, head(ROWS[after - 1].head, header, commit(both), both))
    behind = [replace(row, header=replace(row.header, position=row.header.position + 1)) for row in ROWS[after:]]
    rows = [*ROWS[:after], added, *behind]
    assert verify(CHAIN, rows, tip_of(ROWS))
    if behind:
        assert after + 2 in {fault.position for fault in verify(CHAIN, rows)}


@given(left=st.integers(0, 11))
def test_a_cut_tail_is_seen_by_where_the_chain_should_stand_alone(left: int) -> None:
    assert verify(CHAIN, ROWS[:left]) == []
    (fault,) = verify(CHAIN, ROWS[:left], tip_of(ROWS))
    assert fault.position == left + 1
    assert "missing" in fault.what


@pytest.mark.parametrize("change", [lambda rows: rows[::-1], lambda rows: [rows[0], *rows]])
def test_rows_out_of_order_are_found(change: Callable[[list[Row]], list[Row]]) -> None:
    assert verify(CHAIN, change(ROWS))


def test_a_salt_hides_equal_contents() -> None:
    contents = {commit(salted(b"{}")) for _ in range(50)}
    assert len(contents) == 50


def test_many_faults_at_once_are_all_named() -> None:
    places = {1, 4, 5, 11}
    rows = [replace(row, commitment=bytes(32)) if at in places else row for at, row in enumerate(ROWS)]
    assert {fault.position for fault in verify(CHAIN, rows, tip_of(ROWS))} == {at + 1 for at in places}
