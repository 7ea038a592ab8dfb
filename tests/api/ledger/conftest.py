"""A ledger of two chains on a database of each kind: six sellers, of whom the first was erased."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from api.kit.database import open_database, transaction
from api.ledger.chain import Row
from api.ledger.records import erase_subject
from api.ledger.store import EntryDraft, Ledger, rows_of
from api.ledger.verification import Report, verify
from tests.api.conftest import migrated_database

MASTER = bytes(range(32))
NOW = datetime(2026, 2, 1, 9, 30, 0, 5, tzinfo=UTC)
CHAINS = ("bank-甲", "bank-b")
ROWS = 9


@dataclass(frozen=True)
class Made:
    """A ledger and where it is."""

    engine: Engine
    ledger: Ledger

    def append(self, chain: str, seller_id: str, content: bytes, seconds: int = 0) -> Row:
        draft = EntryDraft(chain, "note", content, NOW + timedelta(seconds=seconds))
        with transaction(self.engine, writes=True) as connection:
            return self.ledger.append(connection, self.ledger.seller(connection, seller_id), draft)

    def erase(self, seller_id: str) -> dict[str, list[int]]:
        with transaction(self.engine, writes=True) as connection:
            return dict(erase_subject(connection, seller_id, "asked for it", NOW))

    def rows(self, chain: str) -> list[Row]:
        with transaction(self.engine) as connection:
            return list(rows_of(connection, chain))

    def verify(self, **given: object) -> Report:
        return verify(self.engine, self.ledger, **given)


def _filled(database: str) -> Made:
    made = Made(open_database(database), Ledger(MASTER))
    for number in range(ROWS):
        for chain in CHAINS:
            made.append(chain, f"S-{number % 6}", b'{"n":%d}' % number, number)
    made.erase("S-0")
    return made


@pytest.fixture
def empty(database: str) -> Iterator[Made]:
    made = Made(open_database(database), Ledger(MASTER))
    yield made
    made.engine.dispose()


@pytest.fixture
def filled(database: str) -> Iterator[Made]:
    made = _filled(database)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def untouched(request: pytest.FixtureRequest, dialect: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """One for many tests, each of which rolls back what it does."""
    with migrated_database(request, dialect, tmp_path_factory.mktemp("untouched")) as address:
        made = _filled(address)
        yield made
        made.engine.dispose()
