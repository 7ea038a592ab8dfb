"""From a delivery to what is read with a vector: country, base currency and rates as of the latest covered midnight."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

from features.circumstances.stored import Circumstances
from features.intake import ingest, open_store
from features.store import VectorStore
from features.vectors import refresh
from tests.features.intake.build import EPOCH, order, seller, write

T = datetime(2024, 3, 6)  # noqa: DTZ001 - the contract's times are UTC without a zone


def test_what_is_known_at_the_midnight_comes_with_the_vector(tmp_path: Path) -> None:
    rates = [
        {"day": date(2024, 3, day), "currency": "CNY", "usd_per_unit": rate, "known_at": known}
        for day, rate, known in ((3, 0.13, T), (4, 0.14, T), (5, 0.15, T + timedelta(seconds=1)), (6, 0.16, T))
    ]
    versions = [
        seller(known_at=EPOCH),
        seller(country="VN", known_at=T),
        seller(country="DE", base_currency="EUR", known_at=T + timedelta(seconds=1)),
    ]
    terms: dict[str, object] = {
        "covers_through": {"orders": "2024-03-06", "fx_rates": "2024-03-06"},
        "constant_rate": {"currency": "GBP", "usd_per_unit": 1.25},
    }
    ingest(write(tmp_path / "d", terms, sellers=versions, orders=[order()], fx_rates=rates), tmp_path / "store")
    vectors = VectorStore(tmp_path / "vectors.db")
    snapshot, _ = refresh(open_store(tmp_path / "store"), vectors)
    assert snapshot.as_of == T.date()
    found = vectors.latest("S1")
    assert found is not None
    assert found.circumstances == Circumstances("VN", "CNY", {"CNY": 0.14, "GBP": 1.25, "USD": 1.0})
    assert vectors.sellers_in(snapshot, pictured=True) == 1
