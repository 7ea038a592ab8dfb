"""Consents with a database alone, and over HTTP: a platform and two banks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine

from api.app import create_app
from api.auth.scopes import ClientKind, scopes_of
from api.clients.records import LedgerClients
from api.clients.service import ClientRegister
from api.consents import service
from api.consents.ledger_entries import ConsentCheck
from api.consents.repository import Consent, ConsentRequest
from api.consents.service import ConsentTerms
from api.kit.database import open_database, transaction
from api.ledger.chain import Row
from api.ledger.encryption import seller_key
from api.ledger.master_key import MasterKeys
from api.ledger.store import EntryDraft, Ledger, read_content, rows_of
from api.ledger.verification import verify
from api.services import Services
from api.settings import Settings
from tests.api.auth.conftest import Known
from tests.api.conftest import SELLERS, fill, migrated_database
from tests.api.ledger.conftest import MASTER, NOW
from tests.api.started import RING, register_of

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

PURPOSE = "credit_application"
OTHER = "account_review"
SELLER = "卖家-1"
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Register:
    """A database with a ledger and two banks. Each call is a transaction of its own."""

    engine: Engine
    ledger: Ledger
    bank: str
    second: str

    def grant(self, *, at: datetime = NOW, by: str = "platform-1", **terms: Any) -> Consent:
        usual = {"seller_id": SELLER, "bank_id": self.bank, "purpose": PURPOSE, "ends": 30 * DAY}
        with transaction(self.engine, writes=True) as connection:
            consent = ConsentTerms(**{**usual, **terms})
            service.require_bank(connection, LedgerClients(RING.jwks), consent.bank_id)
            return service.grant_consent(connection, self.ledger, consent, by, lambda: at)

    def revoke(self, consent: Consent, at: datetime = NOW) -> Consent:
        with transaction(self.engine, writes=True) as connection:
            return service.revoke_consent(connection, self.ledger, consent.id, "platform-1", lambda: at)

    def require(self, at: datetime = NOW, purpose: str | None = PURPOSE, bank: str | None = None) -> Consent:
        with transaction(self.engine) as connection:
            return service.require_active_consent(connection, SELLER, bank or self.bank, purpose, lambda: at)

    def find(self, consent: Consent) -> Consent:
        with transaction(self.engine) as connection:
            return service.find_consent(connection, None, consent.id)

    def request(self, at: datetime = NOW, seller_id: str = SELLER, bank: str | None = None) -> ConsentRequest:
        with transaction(self.engine, writes=True) as connection:
            return service.create_request(connection, bank or self.bank, seller_id, PURPOSE, at)

    def decline(self, request: ConsentRequest, at: datetime = NOW) -> ConsentRequest:
        with transaction(self.engine, writes=True) as connection:
            return service.decline_request(connection, request.id, at)

    def find_request(self, request: ConsentRequest, bank: str | None = None) -> ConsentRequest:
        with transaction(self.engine) as connection:
            return service.find_request(connection, bank, request.id)

    def append(self, kind: str, content: bytes, *, at: datetime = NOW, seller_id: str = SELLER) -> int:
        """Append any row, as someone with every key could, and return its position."""
        with transaction(self.engine, writes=True) as connection:
            seller = self.ledger.seller(connection, seller_id)
            return self.ledger.append(connection, seller, EntryDraft(self.bank, kind, content, at)).header.position

    def rows(self) -> list[Row]:
        with transaction(self.engine) as connection:
            return list(rows_of(connection, self.bank))

    def kinds(self) -> list[str]:
        return [row.header.kind for row in self.rows()]

    def content(self, row: Row) -> bytes:
        with transaction(self.engine) as connection:
            return read_content(row, self.ledger.unwrapped(seller_key(connection, SELLER)))

    def faults(self) -> list[tuple[int, str]]:
        faults = verify(self.engine, self.ledger, RING.jwks, [ConsentCheck()]).faults
        return [(fault.position, fault.what) for fault in faults]


@pytest.fixture
def register(database: str) -> Iterator[Register]:
    engine = open_database(database)
    banks = [ClientRegister(engine, RING).create(ClientKind.BANK, name, now=NOW).client.id for name in ("A", "B")]
    yield Register(engine, Ledger(MasterKeys((MASTER,))), *banks)
    engine.dispose()


class Desk:
    """A running service with a platform and two banks of their own."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        kinds = (ClientKind.PLATFORM, ClientKind.BANK, ClientKind.BANK)
        self.platform, self.bank, self.second = map(self._create_client, kinds)

    @property
    def services(self) -> Services:
        services: Services = self.client.app.state.services
        return services

    def _create_client(self, kind: ClientKind) -> Known:
        created = register_of(self.services).create(
            kind, "A client", credential=self.services.auth.secrets.new(), now=datetime.now(UTC)
        )
        return Known(created.client.id, created.secret or "", kind)

    def call(self, caller: Known, method: str, path: str, *, key: str | None = None, **fields: Any) -> Response:
        token = self.services.auth.tokens.issue(caller.id, caller.kind, scopes_of(caller.kind), datetime.now(UTC))
        headers = {"Authorization": f"Bearer {token}", "X-Request-Id": "same"}
        headers |= {} if key is None else {"Idempotency-Key": key}
        return self.client.request(method, path, headers=headers, **fields)

    def grant(self, seller_id: str = SELLERS[0], **fields: Any) -> Response:
        body = {"seller_id": seller_id, "bank_id": self.bank.id, "purpose": PURPOSE, "days": 90, **fields}
        body = {name: value for name, value in body.items() if value is not None}
        return self.call(self.platform, "POST", "/v1/consents", json=body)

    def score(self, seller_id: str = SELLERS[0], purpose: str = PURPOSE, bank: Known | None = None) -> Response:
        body = {"seller_id": seller_id, "purpose": purpose}
        return self.call(bank or self.bank, "POST", "/v1/scores", json=body)

    def request(self, seller_id: str = SELLERS[0], purpose: str = PURPOSE, bank: Known | None = None) -> Response:
        body = {"seller_id": seller_id, "purpose": purpose}
        return self.call(bank or self.bank, "POST", "/v1/consent-requests", json=body)


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest, dialect: str, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    # imported late, since it warns before the filter of the package is in force
    from starlette.testclient import TestClient

    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    fill(home)
    with migrated_database(request, dialect, tmp_path_factory.mktemp("database")) as address:
        unlimited = {"rate_limit_calls": 1_000_000, "failed_logins": 1_000_000}
        settings = Settings(home=home, MLFLOW_TRACKING_URI=registry, database_url=address, **unlimited)
        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            yield client


@pytest.fixture
def desk(served: TestClient) -> Desk:
    return Desk(served)
