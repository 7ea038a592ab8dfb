"""The ledger in a database: any changed, removed, moved or added row is found at its position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from api.auth.signing_keys import PublicKeys
from api.ledger.chain import START, Tip
from api.ledger.checks import Scope
from api.ledger.master_key import MasterKeys
from api.ledger.signed_entries import append_signed
from api.ledger.store import EntryDraft, Ledger, append_plain, tips
from api.ledger.verification import Report, Verifier
from tests.api.ledger.conftest import CHAINS, LAST, LATER, OpenLedger, positions
from tests.api.started import RING

pytestmark = pytest.mark.databases

COLUMNS = ("chain", "position", "kind", "recorded_at", "subject", "commitment", "sealed", "head")
TEXTS = ("chain", "kind", "recorded_at", "subject")
ROW = "chain = :chain AND position = :position"
few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Tampered:
    """A ledger within a transaction that changes it and is rolled back."""

    def __init__(self, connection: Connection, ledger: Ledger) -> None:
        self.connection = connection
        self.ledger = ledger

    def run(self, statement: str, **values: Any) -> Any:
        return self.connection.execute(text(statement), values)

    def move_tip(self, chain: str, position: int) -> None:
        """Set the tip to an earlier row, like an attacker who hides a removed tail."""
        query = f"SELECT head, recorded_at FROM ledger WHERE {ROW}"
        head, recorded_at = self.run(query, chain=chain, position=position).one_or_none() or (START, "")
        self.run(
            "UPDATE chains SET position = :position, head = :head, recorded_at = :recorded_at WHERE name = :chain",
            chain=chain,
            position=position,
            head=head,
            recorded_at=recorded_at,
        )

    def verify(self, checkpoint: Mapping[str, Tip] | None = None) -> Report:
        connect, keys = lambda: nullcontext(self.connection), PublicKeys(RING.jwks)
        return Verifier(connect, self.ledger, keys, scope=Scope(checkpoint), page_rows=4).run()

    @property
    def faults(self) -> set[tuple[str, int]]:
        return positions(self.verify())


@contextmanager
def tampering(opened: OpenLedger) -> Iterator[Tampered]:
    with opened.engine.connect() as connection:
        connection.begin()
        yield Tampered(connection, opened.ledger)
        connection.rollback()


@pytest.fixture
def tampered(untouched: OpenLedger) -> Iterator[Tampered]:
    with tampering(untouched) as opened:
        yield opened


def test_a_whole_ledger_has_no_fault_and_its_rows_are_counted(filled: OpenLedger) -> None:
    advanced: list[int] = []
    report = filled.verify(advance=advanced.append)
    assert report == Report(rows=2 * LAST, chains=2, erased=4, retained=0, uncovered=2 * LAST, faults=())
    assert advanced == [LAST, 2 * LAST]


def test_an_empty_ledger_has_no_fault(empty: OpenLedger) -> None:
    assert empty.verify() == Report(0, 0, 0, 0, 0, ())


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chain=st.sampled_from(CHAINS),
    position=st.integers(1, LAST),
    column=st.sampled_from(COLUMNS),
    at=st.integers(0, 200),
    bit=st.integers(0, 7),
)
def test_a_flipped_bit_of_any_column_is_found_at_its_row(
    untouched: OpenLedger, *, chain: str, position: int, column: str, at: int, bit: int
) -> None:
    with tampering(untouched) as tampered:
        try:
            _flip(tampered, {"chain": chain, "position": position}, column, at, bit)
        except IntegrityError:
            assume(False)
        assert (chain, position) in tampered.faults


def _flip(tampered: Tampered, row: dict[str, Any], column: str, at: int, bit: int) -> None:
    value: Any = tampered.run(f"SELECT {column} FROM ledger WHERE {ROW}", **row).scalar_one()
    new = ":value"
    if column == "position":
        value ^= 1 << (at % 7 * 8 + bit)
    else:
        whole = value.encode() if isinstance(value, str) else value
        at %= len(whole)
        changed = whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
        value = changed
        if column in TEXTS and tampered.connection.dialect.name == "sqlite":
            new = "CAST(:value AS TEXT)"
        elif column in TEXTS:
            # PostgreSQL accepts only text that fits into the column
            value = changed.decode("utf-8", "replace").replace("\x00", "?")[: len(whole.decode())]
    tampered.run(f"UPDATE ledger SET {column} = {new} WHERE {ROW}", **row, value=value)


@few
@example(chain=CHAINS[0], first=4, second=4)
@given(chain=st.sampled_from(CHAINS), first=st.integers(1, LAST), second=st.integers(1, LAST))
def test_a_removed_row_and_swapped_rows_are_found(untouched: OpenLedger, chain: str, first: int, second: int) -> None:
    with tampering(untouched) as tampered:
        if first == second:
            tampered.run(f"DELETE FROM ledger WHERE {ROW}", chain=chain, position=first)
        else:
            for old, new in ((first, -1), (second, first), (-1, second)):
                tampered.run(f"UPDATE ledger SET position = :new WHERE {ROW}", chain=chain, position=old, new=new)
        assert {(chain, first), (chain, second)} <= tampered.faults


@pytest.mark.parametrize(("chain", "position"), [(CHAINS[0], -3), (CHAINS[0], 0), (CHAINS[0], LAST + 1), ("bank-z", 1)])
def test_an_added_row_is_found(tampered: Tampered, chain: str, position: int) -> None:
    tampered.run(
        "INSERT INTO ledger SELECT :new_chain, :new, kind, recorded_at, subject, commitment, sealed, head "
        f"FROM ledger WHERE {ROW}",
        new_chain=chain,
        new=position,
        chain=CHAINS[0],
        position=3,
    )
    assert (chain, position) in tampered.faults


@pytest.mark.parametrize("left", [0, 4, LAST - 1])
def test_a_removed_tail_is_found_and_with_a_moved_tip_only_by_a_checkpoint(tampered: Tampered, left: int) -> None:
    checkpoint = tips(tampered.connection)
    tampered.run("DELETE FROM ledger WHERE chain = :chain AND position > :left", chain=CHAINS[1], left=left)
    assert (CHAINS[1], left + 1) in tampered.faults
    tampered.move_tip(CHAINS[1], left)
    # the erasure was in the tail, so the rows that it lists are faults of their own
    assert tampered.faults == {(CHAINS[1], position) for position in (1, 7) if position <= left}
    report = tampered.verify(checkpoint)
    assert (CHAINS[1], left + 1) in positions(report)
    assert any("the chain was cut" in fault.what for fault in report.faults)


@pytest.mark.parametrize("time", ["", "2026-02-01T09:30:07.000005Z", "2099-01-01T00:00:00.000000Z"])
def test_a_changed_time_of_a_tip_is_found(tampered: Tampered, time: str) -> None:
    tampered.run("UPDATE chains SET recorded_at = :time WHERE name = :chain", time=time, chain=CHAINS[0])
    (fault,) = tampered.verify().faults
    assert (fault.chain, fault.position) == (CHAINS[0], LAST)
    assert fault.what == "the time of the last row is not the time of its chain"


def test_a_removed_chain_is_found_by_a_checkpoint(tampered: Tampered) -> None:
    checkpoint = tips(tampered.connection)
    tampered.run("DELETE FROM ledger WHERE chain = :chain", chain=CHAINS[0])
    tampered.run("DELETE FROM chains WHERE name = :chain", chain=CHAINS[0])
    assert tampered.faults == set()
    (fault,) = tampered.verify(checkpoint).faults
    assert (fault.chain, fault.position) == (CHAINS[0], 1)
    assert fault.what == f"the chain was cut: the checkpoint has rows up to {LAST}"


def test_a_checkpoint_counts_later_rows_and_reveals_a_rewritten_chain(filled: OpenLedger) -> None:
    with filled.engine.begin() as connection:
        checkpoint = tips(connection)
    assert filled.verify(scope=Scope(checkpoint)).uncovered == 0
    for chain in (CHAINS[0], CHAINS[0], "bank-new"):
        filled.append(chain, "S-1")
    report = filled.verify(scope=Scope(checkpoint))
    assert (report.uncovered, report.faults) == (3, ())
    with filled.engine.begin() as connection:
        tampered = Tampered(connection, filled.ledger)
        tampered.run("DELETE FROM ledger WHERE chain = :chain AND position > 3", chain=CHAINS[1])
        tampered.move_tip(CHAINS[1], 3)
    for _ in range(LAST):
        filled.append(CHAINS[1], "S-9")
    report = filled.verify(scope=Scope(checkpoint))
    assert "the head differs from the checkpoint" in {fault.what for fault in report.faults}
    assert (CHAINS[1], LAST) in positions(report)
    assert report.uncovered == 3 + 3


def test_a_key_that_is_stored_after_its_erasure_is_found(filled: OpenLedger) -> None:
    with filled.engine.begin() as connection:
        key = connection.execute(text("SELECT * FROM seller_keys WHERE seller_id = 'S-1'")).mappings().one()
    filled.erase("S-1")
    with filled.engine.begin() as connection:
        values = ", ".join(f":{column}" for column in key)
        connection.execute(text(f"INSERT INTO seller_keys ({', '.join(key)}) VALUES ({values})"), dict(key))
    report = filled.verify()
    assert positions(report) == {(chain, position) for chain in CHAINS for position in (2, 8, LAST + 1)}
    assert {fault.what for fault in report.faults} == {"an erasure is recorded, but the key is still stored"}


def test_a_removed_erasure_is_found_at_the_rows_that_it_lists(tampered: Tampered) -> None:
    tampered.run(f"DELETE FROM ledger WHERE {ROW}", chain=CHAINS[0], position=LAST)
    tampered.move_tip(CHAINS[0], LAST - 1)
    assert tampered.faults == {(CHAINS[0], 1), (CHAINS[0], 7)}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            "DELETE FROM seller_keys WHERE seller_id = 'S-1'",
            "the content cannot be decrypted, and no erasure of its seller is recorded",
        ),
        ("UPDATE seller_keys SET seller_id = 'other' WHERE seller_id = 'S-1'", "the key of the seller was changed"),
        (
            "UPDATE seller_keys SET subject = 'other' WHERE seller_id = 'S-1'",
            "the content cannot be decrypted, and no erasure of its seller is recorded",
        ),
        (
            "UPDATE seller_keys SET wrapped = CAST('other' AS {bytes}) WHERE seller_id = 'S-1'",
            "the key of the seller was changed",
        ),
    ],
)
def test_a_removed_or_changed_key_is_found_at_the_rows_of_its_seller(
    tampered: Tampered, change: str, what: str
) -> None:
    tampered.run(change.format(bytes="BLOB" if tampered.connection.dialect.name == "sqlite" else "BYTEA"))
    report = tampered.verify()
    assert positions(report) == {(chain, position) for chain in CHAINS for position in (2, 8)}
    assert {fault.what for fault in report.faults} == {what}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"positions":7}', b'{"positions":["x"]}', b'{"reason":""}'])
def test_a_chained_erasure_that_lists_nothing_excuses_no_row(filled: OpenLedger, content: bytes) -> None:
    with filled.engine.begin() as connection:
        connection.execute(text("DELETE FROM seller_keys WHERE seller_id = 'S-1'"))
        subject = filled.rows(CHAINS[0])[1].header.subject
        draft = EntryDraft(CHAINS[0], "erasure", content, LATER)
        if content.endswith(b"}"):
            append_signed(connection, RING, draft, subject)
        else:
            append_plain(connection, subject, draft)
    assert {(CHAINS[0], 2), (CHAINS[0], 8), (CHAINS[0], LAST + 1)} <= positions(filled.verify())


def test_another_master_key_opens_nothing(filled: OpenLedger) -> None:
    report = OpenLedger(filled.engine, Ledger(MasterKeys((bytes(32),)))).verify()
    assert {fault.what for fault in report.faults} == {"the key of the seller was changed"}
