"""Sellers with known figures, and a bank that evaluates its products for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from api.kit.database import transaction
from api.products.eligibility import Offer, ScoreFacts, evaluate_products
from api.products.repository import list_active
from api.scores.repository import find_score
from api.services import Services
from api.settings import Settings
from features.store.seller_context import SellerContextSet
from features.store.vectors import Snapshot, VectorStore
from tests.api.conftest import NAMES, SNAPSHOT, Opener, bank_of

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.testclient import TestClient

Sellers = Mapping[str, Mapping[str, float | None]]
"""The values of each seller that differ from `STEADY`."""

RATES = {"USD": 1.0, "CNY": 0.145, "VND": 0.00004}
STEADY = {
    "days_on_platform": 800.0,
    "days_since_first_order": 730.0,
    "settled_net_sales_365d": 146_000.0,
    "rush_order_share_180d": 0.0,
    "unmoved_parcel_share_180d": 0.0,
    "orders_beyond_visits_180d": 0.0,
}
LINE = {
    "id": "line",
    "name": "Working capital line",
    "currency": "USD",
    "minimum_band": "E",
    "minimum_months": 6,
    "countries": ["CN", "VN"],
    "multiple": 2.0,
    "least": 1_000,
    "cap": 500_000,
    "prices": {"A": 0.06, "B": 0.08, "C": 0.12, "D": 0.15, "E": 0.2},
    "term_days": 365,
}


def land(settings: Settings, sellers: Sellers, country: str = "CN", snapshot: Snapshot = SNAPSHOT) -> None:
    """Store the vectors of sellers of one country."""
    values = {seller: {**STEADY, **changed} for seller, changed in sellers.items()}
    rows = [(seller, tuple(own.get(name, 0.3) for name in NAMES)) for seller, own in values.items()]
    contexts = SellerContextSet(RATES, [(seller, country, "CNY") for seller in sellers])
    version = replace(snapshot, data_version=f"{snapshot.data_version}-products")
    VectorStore(settings.vectors_path).replace(version, rows, contexts=contexts)


@dataclass(frozen=True)
class Desk:
    """A bank and its calls."""

    client: TestClient

    @property
    def services(self) -> Services:
        services: Services = self.client.app.state.services
        return services

    @property
    def bank(self) -> str:
        return bank_of(self.client)

    def put(self, *products: Mapping[str, Any]) -> list[dict[str, Any]]:
        response = self.client.put("/v1/products", json={"products": list(products)})
        assert response.status_code == 200, response.text
        return list(response.json()["products"])

    def products(self, **query: str) -> list[dict[str, Any]]:
        response = self.client.get("/v1/products", params=query)
        assert response.status_code == 200, response.text
        return list(response.json()["products"])

    def score(self, seller: str) -> dict[str, Any]:
        response = self.client.post("/v1/scores", json={"seller_id": seller, "purpose": "credit_application"})
        assert response.status_code == 201, response.text
        return dict(response.json())

    def eligibility(self, score_id: str, **query: str) -> dict[str, Any]:
        response = self.client.get(f"/v1/scores/{score_id}/eligibility", params=query)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def offers(self, score_id: str, at: datetime) -> tuple[ScoreFacts, list[Offer]]:
        """Evaluate the products of all banks, as the pages of the seller do."""
        with transaction(self.services.engine) as connection:
            score = find_score(connection, self.services.ledger, self.bank, score_id)
            assert score is not None
            return evaluate_products(self.services, score, list_active(connection, self.services.auth, at), at)


@pytest.fixture
def desk(stored_in: Settings, open_client: Opener) -> Iterator[Desk]:
    """A bank with one steady seller, S."""
    land(stored_in, {"S": {}})
    with open_client(stored_in, ["S"]) as client:
        yield Desk(client)
