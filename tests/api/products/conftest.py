"""Sellers whose figures are known, and a bank that calls about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from api.kit.database import transaction
from api.scores.repository import StoredScore, find_score
from api.services import Services
from api.settings import Settings
from features.store.seller_context import SellerContextSet
from features.store.vectors import Snapshot, VectorStore
from tests.api.conftest import NAMES, SNAPSHOT, Opener, bank_of

if TYPE_CHECKING:
    from starlette.testclient import TestClient

Sellers = Mapping[str, Mapping[str, float | None]]
"""What of each seller's values is not as `STEADY` has it."""

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


def land(into: Settings, sellers: Sellers, country: str = "CN", snapshot: Snapshot = SNAPSHOT) -> None:
    """Store vectors of sellers who are steady but for what is given, all of one country."""
    filled = {seller: {**STEADY, **given} for seller, given in sellers.items()}
    rows = [(seller, tuple(values.get(name, 0.3) for name in NAMES)) for seller, values in filled.items()]
    known = SellerContextSet(RATES, [(seller, country, "CNY") for seller in sellers])
    landed = replace(snapshot, data_version=f"{snapshot.data_version}-products")
    VectorStore(into.vectors_path).replace(landed, rows, contexts=known)


@dataclass(frozen=True)
class Desk:
    """A bank's desk: its client, and ways to ask."""

    client: TestClient

    @property
    def services(self) -> Services:
        found: Services = self.client.app.state.services
        return found

    @property
    def bank(self) -> str:
        return bank_of(self.client)

    def put(self, *products: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = self.client.put("/v1/products", json={"products": list(products)})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["products"])

    def score(self, seller: str) -> dict[str, Any]:
        answer = self.client.post("/v1/scores", json={"seller_id": seller, "purpose": "credit_application"})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def eligibility(self, score_id: str, **asked: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/scores/{score_id}/eligibility", params=asked)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def stored(self, score_id: str) -> StoredScore:
        with transaction(self.services.engine) as connection:
            found = find_score(connection, self.services.ledger, self.bank, score_id)
        assert found is not None
        return found


@pytest.fixture
def desk(stored_in: Settings, open_client: Opener) -> Iterator[Desk]:
    """A desk with one steady seller, S."""
    land(stored_in, {"S": {}})
    with open_client(stored_in, ["S"]) as client:
        yield Desk(client)


@pytest.fixture(scope="module")
def refusing_desk(registry: str, open_client: Opener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk for all tests of a module that store nothing."""
    home = tmp_path_factory.mktemp("refusing") / "home"
    home.mkdir(mode=0o700)
    settings = Settings(home=home, MLFLOW_TRACKING_URI=registry, demo_bank=True)
    land(settings, {"S": {}})
    with open_client(settings, ["S"]) as client:
        yield Desk(client)
