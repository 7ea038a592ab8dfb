"""A bank with scores of several sellers, days and models, on a database of each kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import text

from api.kit.database import transaction
from api.ledger import chain
from api.ledger.encryption import encrypt
from api.ledger.store import read_content
from api.ledger.verification import Report, verify
from api.models.bundle_store import save_bundle
from api.operations.ledger_checks import all_checks
from api.operations.retention import ErasureReport, erase_seller
from api.scores.repository import select_score
from api.services import Services
from api.settings import Settings
from features.store.vectors import Snapshot
from scoring import Bundle, BundleParts, pack
from scoring.canonical import canonical_json
from tests.api.conftest import NAMES, NEWCOMER, SELLERS, SNAPSHOT, Opener, bank_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

SOME_ID = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"


@dataclass(frozen=True)
class Bank:
    """A bank, and what changes in its service between its requests."""

    client: TestClient

    @property
    def services(self) -> Services:
        services: Services = self.client.app.state.services
        return services

    @property
    def id(self) -> str:
        return bank_of(self.client)

    def post_score(self, seller_id: str = SELLERS[0], purpose: str = "credit_application") -> Any:
        response = self.client.post("/v1/scores", json={"seller_id": seller_id, "purpose": purpose})
        assert response.status_code == 201, response.text
        return response

    def score(self, seller_id: str = SELLERS[0], purpose: str = "credit_application") -> dict[str, Any]:
        return dict(self.post_score(seller_id, purpose).json())

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query)

    def replay(self, score: dict[str, Any]) -> Any:
        return self.client.post(f"/v1/scores/{score['id']}/replay")

    def page(self, **query: Any) -> dict[str, Any]:
        response = self.get("/v1/scores", **query)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def erase(self, seller_id: str) -> ErasureReport:
        services, now = self.services, datetime.now(UTC)
        return erase_seller(
            services.engine, services.receipts, services.vectors, seller_id=seller_id, reason="asked", now=now
        )

    def verify(self, **arguments: Any) -> Report:
        """Verify the ledger and all tables."""
        checks = all_checks(self.services.receipts.jwks)
        return verify(self.services.engine, self.services.ledger, self.services.receipts.jwks, checks, **arguments)

    def alter(self, score: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> None:
        """Change the stored content of a score like an attacker with all keys; the commitment stays."""
        with transaction(self.services.engine, writes=True) as connection:
            row = select_score(connection, self.id, score["id"])
            assert row is not None
            assert row.key is not None
            key = self.services.ledger.unwrapped(row.key)
            content = json.loads(read_content(row.row, key))
            change(content)
            sealed = encrypt(key, chain.salted(canonical_json(content)), row.row.header.bound)
            connection.execute(
                text("UPDATE ledger SET sealed = :sealed WHERE chain = :chain AND position = :position"),
                {"sealed": sealed, "chain": row.index.chain, "position": row.index.position},
            )

    def deliver(self, days: int, seed: int, *, catalogue: str = SNAPSHOT.catalogue) -> Snapshot:
        """Give every seller other values, as of some days later."""
        rng, as_of = np.random.default_rng(seed), SNAPSHOT.as_of + timedelta(days=days)
        covers = dict.fromkeys(SNAPSHOT.covers_through, as_of)
        later = replace(SNAPSHOT, as_of=as_of, covers_through=covers, data_version=f"d{days}", catalogue=catalogue)
        rows = [(seller, (400.0, *rng.random(len(NAMES) - 2).tolist(), None)) for seller in SELLERS]
        self.services.vectors.replace(later, [*rows, (NEWCOMER, (10.0, *(0.5,) * (len(NAMES) - 1)))])
        return later

    @contextmanager
    def served_by(self, bundle: Bundle) -> Iterator[None]:
        """Make another model the champion."""
        services = self.services
        save_bundle(services.settings, bundle.digest, files_of(bundle))
        self.client.app.state.services = replace(services, champion=replace(services.champion, bundle=bundle))
        try:
            yield
        finally:
            self.client.app.state.services = services


def assert_problem(response: Any, status: int, slug: str, words: str = "") -> None:
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{slug}")
    assert words in response.json()["detail"]


def files_of(bundle: Bundle) -> dict[str, bytes]:
    return pack(BundleParts(bundle.model.text, bundle.sheet, bundle.policy, bundle.reasons, bundle.reference))


def with_policy(bundle: Bundle, **changes: Any) -> Bundle:
    return Bundle.from_files(files_of(replace(bundle, policy=replace(bundle.policy, **changes))))


@pytest.fixture
def bank(stored_in: Settings, open_client: Opener) -> Iterator[Bank]:
    with open_client(stored_in) as client:
        yield Bank(client)
