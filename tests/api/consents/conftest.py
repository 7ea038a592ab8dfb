"""Consents without HTTP: a database of each kind with a ledger and two banks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.consents import service
from api.consents import service as requests
from api.consents.ledger_entries import ConsentCheck
from api.consents.repository import Consent, ConsentRequest
from api.consents.service import ConsentTerms
from api.kit.database import open_database, transaction
from api.ledger.chain import Row
from api.ledger.store import EntryDraft, Ledger, rows_of
from api.ledger.verification import verify
from tests.api.ledger.conftest import MASTER, NOW

PURPOSE = "credit_application"
OTHER = "account_review"
SELLER = "卖家-1"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Room:
    """A database, and the acts of sellers and banks in it, each in a transaction of its own."""

    engine: Engine
    ledger: Ledger
    bank: str
    second: str

    def grant(self, *, at: datetime = NOW, by: str = "platform-1", **terms: Any) -> Consent:
        wanted = ConsentTerms(
            **{"seller_id": SELLER, "bank_id": self.bank, "purpose": PURPOSE, "ends": 30 * DAY, **terms}
        )
        with transaction(self.engine, writes=True) as connection:
            return service.grant_consent(connection, self.ledger, wanted, by, lambda: at)

    def revoke(self, consent: Consent, at: datetime = NOW) -> Consent:
        with transaction(self.engine, writes=True) as connection:
            return service.revoke_consent(connection, self.ledger, consent.id, "platform-1", lambda: at)

    def required(self, at: datetime = NOW, seller_id: str = SELLER, purpose: str = PURPOSE) -> Consent:
        with transaction(self.engine) as connection:
            return service.require_active_consent(connection, seller_id, self.bank, purpose, lambda: at)

    def ask(self, at: datetime = NOW, seller_id: str = SELLER, bank: str | None = None) -> ConsentRequest:
        with transaction(self.engine, writes=True) as connection:
            return requests.create_request(connection, bank or self.bank, seller_id, PURPOSE, at)

    def decline(self, request: ConsentRequest, at: datetime = NOW) -> ConsentRequest:
        with transaction(self.engine, writes=True) as connection:
            return requests.decline_request(connection, request.id, at)

    def append(self, kind: str, content: bytes, *, at: datetime = NOW, seller_id: str = SELLER) -> Row:
        with transaction(self.engine, writes=True) as connection:
            seller = self.ledger.seller(connection, seller_id)
            return self.ledger.append(connection, seller, EntryDraft(self.bank, kind, content, at))

    def rows(self) -> list[Row]:
        with transaction(self.engine) as connection:
            return list(rows_of(connection, self.bank))

    def faults(self) -> list[tuple[int, str]]:
        found = verify(self.engine, self.ledger, [ConsentCheck()]).faults
        return [(fault.position, fault.what) for fault in found]


@pytest.fixture
def room(database: str) -> Iterator[Room]:
    engine = open_database(database)
    banks = [access.create_client(engine, ClientKind.BANK, name, now=NOW).client.id for name in ("A", "B")]
    yield Room(engine, Ledger(MASTER), *banks)
    engine.dispose()
