"""A bank with scores of several sellers, days and models, on a database of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from api.models.bundle_store import save_bundle
from api.operations import retention
from api.services import Services
from api.settings import Settings
from features.store.vectors import Snapshot
from scoring import Bundle, BundleParts, pack
from tests.api.conftest import NAMES, NEWCOMER, SELLERS, SNAPSHOT, Opener

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@dataclass(frozen=True)
class Bank:
    """A bank that asks, and what changes behind the service while it does."""

    client: TestClient

    @property
    def services(self) -> Services:
        found: Services = self.client.app.state.services
        return found

    def score(self, seller_id: str = SELLERS[0], purpose: str = "credit_application") -> dict[str, Any]:
        answer = self.client.post("/v1/scores", json={"seller_id": seller_id, "purpose": purpose})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query)

    def page(self, **query: Any) -> dict[str, Any]:
        answer = self.get("/v1/scores", **query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def erase(self, seller_id: str) -> None:
        services, now = self.services, datetime.now(UTC)
        retention.erase_seller(services.engine, services.vectors, seller_id=seller_id, reason="asked", now=now)

    def move_on(self, days: int, seed: int, *, catalogue: str = SNAPSHOT.catalogue) -> Snapshot:
        """Give every seller other figures, as of some days later."""
        rng, as_of = np.random.default_rng(seed), SNAPSHOT.as_of + timedelta(days=days)
        covers = dict.fromkeys(SNAPSHOT.covers_through, as_of)
        later = replace(SNAPSHOT, as_of=as_of, covers_through=covers, data_version=f"d{days}", catalogue=catalogue)
        rows = [(seller, (400.0, *rng.random(len(NAMES) - 2).tolist(), None)) for seller in SELLERS]
        self.services.vectors.replace(later, [*rows, (NEWCOMER, (10.0, *(0.5,) * (len(NAMES) - 1)))])
        return later

    @contextmanager
    def judged_by(self, bundle: Bundle) -> Iterator[None]:
        """Let another model be in force."""
        services = self.services
        save_bundle(services.settings, bundle.digest, files_of(bundle))
        self.client.app.state.services = replace(services, champion=replace(services.champion, bundle=bundle))
        try:
            yield
        finally:
            self.client.app.state.services = services


def files_of(bundle: Bundle) -> dict[str, bytes]:
    return pack(BundleParts(bundle.model.text, bundle.sheet, bundle.policy, bundle.reasons, bundle.reference))


@pytest.fixture
def bank(stored_in: Settings, open_client: Opener) -> Iterator[Bank]:
    with open_client(stored_in) as opened:
        yield Bank(opened)
