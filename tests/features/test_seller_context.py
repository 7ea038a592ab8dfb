"""Seller contexts from a delivery: country, base currency and rates as of the latest covered midnight."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from features import materialize
from features.executor import INDEX
from features.ingest import ingest, open_store
from features.materialize import materialize_vectors
from features.profile.series import digest
from features.store.profiles import ProfileSet
from features.store.seller_context import SellerContext
from features.store.vectors import VectorStore
from tests.features.ingest.build import seller, write_some

T = datetime(2024, 3, 6)  # noqa: DTZ001 - the contract's times are UTC without a zone


def test_the_context_is_what_was_known_at_the_midnight(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # features and profiles take seconds and have tests of their own
    monkeypatch.setattr(materialize, "compute_frame", lambda _, pairs: pairs.set_index(INDEX).assign(feature=1.0))
    monkeypatch.setattr(materialize, "compute_profiles", lambda *_: ProfileSet(digest(), ()))
    rates = [
        {"day": date(2024, 3, day), "currency": "CNY", "usd_per_unit": rate, "known_at": known}
        for day, rate, known in ((3, 0.13, T), (4, 0.14, T), (5, 0.15, T + timedelta(seconds=1)), (6, 0.16, T))
    ]
    versions = [
        seller(country="VN", known_at=T),
        seller(country="DE", base_currency="EUR", known_at=T + timedelta(seconds=1)),
    ]
    terms: dict[str, object] = {
        "covers_through": {"orders": "2024-03-06", "fx_rates": "2024-03-06"},
        "constant_rate": {"currency": "GBP", "usd_per_unit": 1.25},
    }
    ingest(write_some(tmp_path / "d", terms, sellers=versions, fx_rates=rates), begun)
    stored = VectorStore(tmp_path / "vectors.db")
    snapshot, _ = materialize_vectors(open_store(begun), stored)
    assert snapshot.as_of == T.date()
    found = stored.latest("S1")
    assert found is not None
    assert found.context == SellerContext("VN", "CNY", {"CNY": 0.14, "GBP": 1.25, "USD": 1.0})
    assert stored.count_sellers(snapshot) == 1
