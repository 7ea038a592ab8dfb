"""The ledger in a database: any byte of any column, any row gone, moved or added is found with its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from api.ledger.chain import START, Tip
from api.ledger.store import EntryDraft, Ledger, append_plain, tips
from api.ledger.verification import Report, check_ledger, open_verifier
from tests.api.ledger.conftest import CHAINS, NOW, ROWS, Made

pytestmark = pytest.mark.databases

COLUMNS = ("chain", "position", "kind", "recorded_at", "subject", "commitment", "sealed", "head")
TEXTS = ("chain", "kind", "recorded_at", "subject")
LAST = ROWS + 1
"""Each chain has nine rows and the erasure."""


@contextmanager
def tampered(made: Made) -> Iterator[Connection]:
    """What is done to the database in the block is undone after it."""
    with made.engine.connect() as connection:
        connection.begin()
        yield connection
        connection.rollback()


def found(connection: Connection, made: Made, checkpoint: dict[str, Tip] | None = None) -> Report:
    return check_ledger(open_verifier(connection, made.ledger, (), checkpoint))


def places(report: Report) -> set[tuple[str, int]]:
    return {(fault.chain, fault.position) for fault in report.faults}


def test_a_whole_ledger_has_no_fault_and_says_what_it_looked_at(filled: Made) -> None:
    seen: list[int] = []
    report = filled.verify(advance=seen.append)
    assert report == Report(rows=2 * LAST, chains=2, erased=4, retained=0, uncovered=2 * LAST, faults=())
    assert seen == list(range(1, 2 * LAST + 1))


def test_an_empty_ledger_has_no_fault(empty: Made) -> None:
    assert empty.verify() == Report(0, 0, 0, 0, 0, ())


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chain=st.sampled_from(CHAINS),
    position=st.integers(1, LAST),
    column=st.sampled_from(COLUMNS),
    at=st.integers(0, 200),
    bit=st.integers(0, 7),
)
def test_any_bit_of_any_column_is_found_with_its_place(
    untouched: Made, *, chain: str, position: int, column: str, at: int, bit: int
) -> None:
    with tampered(untouched) as connection:
        try:
            _flip(connection, (chain, position), column, at, bit)
        except IntegrityError:
            assume(False)
        assert (chain, position) in places(found(connection, untouched))


def _flip(connection: Connection, place: tuple[str, int], column: str, at: int, bit: int) -> None:
    here = {"chain": place[0], "position": place[1]}
    where = "WHERE chain = :chain AND position = :position"
    value: Any = connection.execute(text(f"SELECT {column} FROM ledger {where}"), here).scalar_one()
    written = ":value"
    if column == "position":
        value ^= 1 << (at % 7 * 8 + bit)
    else:
        whole = value.encode() if isinstance(value, str) else value
        at %= len(whole)
        changed = whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
        value = changed
        if column in TEXTS and connection.dialect.name == "sqlite":
            written = "CAST(:value AS TEXT)"
        elif column in TEXTS:
            # the server takes only what is text
            value = changed.decode("utf-8", "replace").replace("\x00", "?")
            # and no more of it than the column holds
            value = value[: len(whole.decode())]
    connection.execute(text(f"UPDATE ledger SET {column} = {written} {where}"), {**here, "value": value})


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chain=st.sampled_from(CHAINS), position=st.integers(1, LAST))
def test_a_row_removed_is_named(untouched: Made, chain: str, position: int) -> None:
    with tampered(untouched) as connection:
        _delete(connection, chain, f"position = {position}")
        assert (chain, position) in places(found(connection, untouched))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chain=st.sampled_from(CHAINS), first=st.integers(1, LAST), second=st.integers(1, LAST))
def test_rows_swapped_are_found(untouched: Made, chain: str, first: int, second: int) -> None:
    assume(first != second)
    with tampered(untouched) as connection:
        for old, new in ((first, -1), (second, first), (-1, second)):
            connection.execute(
                text("UPDATE ledger SET position = :new WHERE chain = :chain AND position = :old"),
                {"chain": chain, "old": old, "new": new},
            )
        assert {(chain, first), (chain, second)} <= places(found(connection, untouched))


def test_a_row_added_from_outside_is_found(untouched: Made) -> None:
    for position in (-3, 0, LAST + 1):
        with tampered(untouched) as connection:
            connection.execute(
                text(
                    "INSERT INTO ledger SELECT chain, :new, kind, recorded_at, subject, commitment, sealed, head "
                    "FROM ledger WHERE chain = :chain AND position = 3"
                ),
                {"chain": CHAINS[0], "new": position},
            )
            assert (CHAINS[0], position) in places(found(connection, untouched))


def test_a_row_of_a_chain_that_is_none_is_found(untouched: Made) -> None:
    with tampered(untouched) as connection:
        connection.execute(
            text(
                "INSERT INTO ledger SELECT 'bank-z', 1, kind, recorded_at, subject, commitment, sealed, head "
                "FROM ledger WHERE chain = :chain AND position = 1"
            ),
            {"chain": CHAINS[0]},
        )
        assert ("bank-z", 1) in places(found(connection, untouched))


@pytest.mark.parametrize("left", [0, 4, LAST - 1])
def test_a_tail_cut_by_one_who_knows_how_is_seen_by_a_checkpoint_alone(untouched: Made, left: int) -> None:
    with tampered(untouched) as connection:
        checkpoint = tips(connection)
        _delete(connection, CHAINS[1], f"position > {left}")
        assert (CHAINS[1], left + 1) in places(found(connection, untouched))
        _stand_at(connection, CHAINS[1], left)
        # the erasure was in what was cut, so the rows that it accounts for are faults of their own
        unaccounted = {(CHAINS[1], position) for position in (1, 7) if position <= left}
        assert places(found(connection, untouched)) == unaccounted
        report = found(connection, untouched, checkpoint)
        assert (CHAINS[1], left + 1) in places(report)
        assert any("the chain was cut" in fault.what for fault in report.faults)


def _stand_at(connection: Connection, chain: str, position: int) -> None:
    """Let the chain stand at an earlier row, as one would who hides that its tail is cut."""
    found = text("SELECT head FROM ledger WHERE chain = :chain AND position = :position")
    head = connection.execute(found, {"chain": chain, "position": position}).scalar_one_or_none() or START
    moved = text("UPDATE chains SET position = :position, head = :head WHERE name = :chain")
    connection.execute(moved, {"chain": chain, "position": position, "head": head})


def test_a_chain_written_anew_is_seen_by_a_checkpoint(filled: Made) -> None:
    with filled.engine.begin() as connection:
        checkpoint = tips(connection)
        _delete(connection, CHAINS[1], "position > 3")
        _stand_at(connection, CHAINS[1], 3)
    for number in range(LAST):
        filled.append(CHAINS[1], "S-9", b'{"n":%d}' % number)
    report = filled.verify(checkpoint=checkpoint)
    assert "the head differs from the checkpoint" in {fault.what for fault in report.faults}
    assert (CHAINS[1], LAST) in places(report)
    assert report.uncovered == 3


def test_a_checkpoint_counts_what_it_does_not_cover(filled: Made) -> None:
    with filled.engine.begin() as connection:
        checkpoint = tips(connection)
    assert filled.verify(checkpoint=checkpoint).uncovered == 0
    for _ in range(3):
        filled.append(CHAINS[0], "S-1", b"{}")
    filled.append("bank-new", "S-1", b"{}")
    report = filled.verify(checkpoint=checkpoint)
    assert (report.uncovered, report.faults) == (4, ())


def test_a_chain_that_is_gone_with_its_place_is_seen_by_a_checkpoint(untouched: Made) -> None:
    with tampered(untouched) as connection:
        checkpoint = tips(connection)
        _delete(connection, CHAINS[0], "position > 0")
        connection.execute(text("DELETE FROM chains WHERE name = :chain"), {"chain": CHAINS[0]})
        assert places(found(connection, untouched)) == set()
        (fault,) = found(connection, untouched, checkpoint).faults
    assert (fault.chain, fault.position) == (CHAINS[0], 1)
    assert fault.what == f"the chain was cut: the checkpoint has rows up to {LAST}"


def test_a_key_that_outlives_its_erasure_is_found(filled: Made) -> None:
    with filled.engine.begin() as connection:
        key = connection.execute(text("SELECT * FROM seller_keys WHERE seller_id = 'S-1'")).mappings().one()
    filled.erase("S-1")
    with filled.engine.begin() as connection:
        values = ", ".join(f":{column}" for column in key)
        connection.execute(text(f"INSERT INTO seller_keys ({', '.join(key)}) VALUES ({values})"), dict(key))
    report = filled.verify()
    assert places(report) == {(chain, position) for chain in CHAINS for position in (2, 8, LAST + 1)}
    assert {fault.what for fault in report.faults} == {"an erasure is recorded, but the key is still stored"}


def test_a_key_destroyed_without_a_record_is_found(untouched: Made) -> None:
    with tampered(untouched) as connection:
        connection.execute(text("DELETE FROM seller_keys WHERE seller_id = 'S-1'"))
        report = found(connection, untouched)
    assert places(report) == {(chain, position) for chain in CHAINS for position in (2, 8)}
    assert {fault.what for fault in report.faults} == {
        "the content cannot be decrypted, and no erasure of its seller is recorded"
    }


def test_a_record_of_an_erasure_that_is_removed_is_found(untouched: Made) -> None:
    with tampered(untouched) as connection:
        _delete(connection, CHAINS[0], f"position = {LAST}")
        _stand_at(connection, CHAINS[0], LAST - 1)
        assert places(found(connection, untouched)) == {(CHAINS[0], 1), (CHAINS[0], 7)}


@pytest.mark.parametrize("column", ["seller_id", "subject", "wrapped"])
def test_a_key_that_was_changed_is_found_at_the_rows_that_it_opened(untouched: Made, column: str) -> None:
    with tampered(untouched) as connection:
        changed = b"x" * 60 if column == "wrapped" else "other"
        connection.execute(text(f"UPDATE seller_keys SET {column} = :new WHERE seller_id = 'S-1'"), {"new": changed})
        assert places(found(connection, untouched)) == {(chain, position) for chain in CHAINS for position in (2, 8)}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"positions":7}', b'{"positions":["x"]}', b'{"reason":""}'])
def test_an_erasure_that_lists_nothing_is_found_though_it_is_chained(filled: Made, content: bytes) -> None:
    """One who has the database can append what they like; it accounts for no row."""
    with filled.engine.begin() as connection:
        connection.execute(text("DELETE FROM seller_keys WHERE seller_id = 'S-1'"))
        subject = filled.rows(CHAINS[0])[1].header.subject
        append_plain(connection, subject, EntryDraft(CHAINS[0], "erasure", content, NOW))
    at = places(filled.verify())
    assert {(CHAINS[0], 2), (CHAINS[0], 8), (CHAINS[0], LAST + 1)} <= at


def test_another_master_key_opens_nothing(filled: Made) -> None:
    report = Made(filled.engine, Ledger(bytes(32))).verify()
    assert {fault.what for fault in report.faults} == {"the key of the seller was changed"}


def _delete(connection: Connection, chain: str, where: str) -> None:
    connection.execute(text(f"DELETE FROM ledger WHERE chain = :chain AND {where}"), {"chain": chain})
