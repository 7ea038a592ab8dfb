"""The hash chain without a database: a change of any row is found at its position."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import api.ledger.chain
from api.kit.fields import format_timestamp
from api.ledger.chain import START, ChainCheck, Header, LedgerFault, Row, Tip, commit, head, salted
from tests.api.ledger.conftest import NOW

CHAIN = "bank-1"
TEXTS = ("chain", "kind", "recorded_at", "subject")
BYTES = ("commitment", "sealed", "head")


def append(before: Row | None, subject: str) -> Row:
    """Return a row that follows another."""
    tip = Tip(0, START) if before is None else before.tip
    content = salted(b'{"n":%d}' % tip.position)
    header = Header(CHAIN, tip.position + 1, "score", format_timestamp(NOW), subject)
    return Row(header, commit(content), content, head(tip.head, header, commit(content), content))


def chain_of(length: int) -> list[Row]:
    rows: list[Row] = []
    for number in range(length):
        rows.append(append(rows[-1] if rows else None, f"subject-{number % 3}"))
    return rows


ROWS = chain_of(12)


def faults(rows: list[Row], tip: Tip) -> list[LedgerFault]:
    check = ChainCheck(CHAIN)
    return [fault for row in rows for fault in check.check(row)] + list(check.end(tip))


def positions(rows: list[Row]) -> set[int]:
    return {fault.position for fault in faults(rows, ROWS[-1].tip)}


def with_next(changed: set[int]) -> set[int]:
    """Return the rows that a change may be reported at: a changed head or time also makes the next a fault."""
    return changed | {position + 1 for position in changed if position < len(ROWS)}


@given(st.integers(0, 40))
def test_a_whole_chain_has_no_fault(length: int) -> None:
    rows = chain_of(length)
    assert faults(rows, rows[-1].tip if rows else Tip(0, START)) == []


def _flip(value: bytes, at: int, bit: int) -> bytes:
    at %= len(value)
    return value[:at] + bytes([value[at] ^ (1 << bit)]) + value[at + 1 :]


@given(row=st.integers(0, 11), column=st.sampled_from((*TEXTS, *BYTES)), at=st.integers(0, 200), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_at_its_row(row: int, column: str, at: int, bit: int) -> None:
    rows = list(ROWS)
    if column in BYTES:
        rows[row] = replace(rows[row], **{column: _flip(getattr(rows[row], column), at, bit)})
    else:
        text = _flip(getattr(rows[row].header, column).encode(), at, bit).decode("utf-8", "backslashreplace")
        rows[row] = replace(rows[row], header=replace(rows[row].header, **{column: text}))
    assert {row + 1} <= positions(rows) <= with_next({row + 1})


@given(st.sets(st.integers(0, 11)))
def test_all_changed_rows_are_found(changed: set[int]) -> None:
    rows = [replace(row, commitment=bytes(32)) if at in changed else row for at, row in enumerate(ROWS)]
    assert positions(rows) == {at + 1 for at in changed}


@given(after=st.integers(1, 11))
def test_an_inserted_row_is_found_although_it_follows_from_the_row_before(after: int) -> None:
    moved = [replace(row, header=replace(row.header, position=row.header.position + 1)) for row in ROWS[after:]]
    assert after + 2 in positions([*ROWS[:after], append(ROWS[after - 1], "subject-9"), *moved])


def test_rows_out_of_order_are_found() -> None:
    assert positions(ROWS[::-1])
    assert positions([ROWS[0], *ROWS])


def test_a_salt_hides_equal_contents() -> None:
    assert len({commit(salted(b"{}")) for _ in range(50)}) == 50


def test_checking_a_row_takes_the_same_work_however_long_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    monkeypatch.setattr(api.ledger.chain, "head", lambda *given: computed.append(given) or head(*given))
    rows = chain_of(50)
    computed.clear()
    assert faults(rows, rows[-1].tip) == []
    assert len(computed) == len(rows)
