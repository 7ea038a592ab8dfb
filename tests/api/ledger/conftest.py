"""A ledger of two chains on a database of each kind: rows of six sellers, of which S-0 was erased."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from api.kit.database import open_database, transaction
from api.ledger.chain import EntryKind, Row
from api.ledger.master_key import MasterKeys
from api.ledger.records import erase_subject
from api.ledger.store import EntryDraft, Ledger, rows_of
from api.ledger.verification import Report, verify
from tests.api.conftest import migrated_database
from tests.api.started import RING

MASTER = bytes(range(32))
NOW = datetime(2026, 2, 1, 9, 30, 0, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
CHAINS = ("bank-甲", "bank-b")
ROWS = 9
LAST = ROWS + 1
"""Each chain of a filled ledger has nine rows and the erasure."""


@dataclass(frozen=True)
class OpenLedger:
    """A ledger and its database."""

    engine: Engine
    ledger: Ledger

    def append(self, chain: str, seller_id: str, content: bytes = b"{}", seconds: int = 60) -> Row:
        draft = EntryDraft(chain, EntryKind.SCORE, content, NOW + timedelta(seconds=seconds))
        with transaction(self.engine, writes=True) as connection:
            return self.ledger.append(connection, self.ledger.seller(connection, seller_id), draft)

    def erase(self, seller_id: str) -> dict[str, list[int]]:
        with transaction(self.engine, writes=True) as connection:
            return dict(erase_subject(connection, RING, seller_id, "asked for it", LATER))

    def rows(self, chain: str) -> list[Row]:
        with transaction(self.engine) as connection:
            return list(rows_of(connection, chain))

    def seal(self, row: Row, sealed: bytes) -> None:
        """Replace the sealed content of a row like an attacker with the database."""
        with transaction(self.engine, writes=True) as connection:
            connection.execute(
                text("UPDATE ledger SET sealed = :sealed WHERE chain = :chain AND position = :position"),
                {"sealed": sealed, "chain": row.header.chain, "position": row.header.position},
            )

    def verify(self, **arguments: object) -> Report:
        return verify(self.engine, self.ledger, RING.jwks, **arguments)


def positions(report: Report) -> set[tuple[str, int]]:
    return {(fault.chain, fault.position) for fault in report.faults}


def _fill(address: str) -> OpenLedger:
    filled = OpenLedger(open_database(address), Ledger(MasterKeys((MASTER,))))
    for number in range(ROWS):
        for chain in CHAINS:
            filled.append(chain, f"S-{number % 6}", b'{"n":%d}' % number, number)
    filled.erase("S-0")
    return filled


@pytest.fixture
def empty(database: str) -> Iterator[OpenLedger]:
    opened = OpenLedger(open_database(database), Ledger(MasterKeys((MASTER,))))
    yield opened
    opened.engine.dispose()


@pytest.fixture
def filled(database: str) -> Iterator[OpenLedger]:
    opened = _fill(database)
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="module")
def untouched(
    request: pytest.FixtureRequest, dialect: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenLedger]:
    """A filled ledger for many tests, each of which rolls its changes back."""
    with migrated_database(request, dialect, tmp_path_factory.mktemp("untouched")) as address:
        opened = _fill(address)
        yield opened
        opened.engine.dispose()
