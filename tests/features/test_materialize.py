"""Vectors, profiles and seller context: computed when a delivery lands, once for the same data and definitions."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from features import materialize
from features.cli import app
from features.executor import INDEX
from features.ingest import OperatingStore, ingest, open_store
from features.materialize import SellerCounts, materialize_vectors, snapshot_of
from features.profile.series import digest
from features.store.profiles import ProfileSet
from features.store.seller_context import SellerContext
from features.store.vectors import Snapshot, VectorStore
from tests.features.ingest.build import no_rows, seller, store, write_some
from tests.world import World, shared_world

T = datetime(2024, 3, 6)  # noqa: DTZ001 - the contract's times are UTC without a zone


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def test_vectors_and_missing_profiles_of_the_same_data_are_computed_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operating = open_store(world.home / "operating")
    shutil.copy(world.home / "vectors.db", tmp_path / "vectors.db")
    stored, snapshot = VectorStore(tmp_path / "vectors.db"), snapshot_of(operating)
    sellers = stored.count_sellers(snapshot)
    assert sellers
    found = ((snapshot, sellers[0]),)
    monkeypatch.setattr(materialize, "compute_frame", None)  # a second computation fails
    assert materialize_vectors(operating, stored) == found
    plain = [(vector.seller_id, vector.values) for vector in stored.all_latest()][:40]
    stored.replace(snapshot, plain)
    assert stored.count_sellers(snapshot) is None
    index = pd.MultiIndex.from_tuples([(seller, pd.Timestamp(snapshot.as_of)) for seller, _ in plain], names=INDEX)
    features = pd.DataFrame([values for _, values in plain], index, dtype="float64")
    monkeypatch.setattr(materialize, "compute_frame", lambda *_: features)
    assert materialize_vectors(operating, stored) == ((snapshot, len(plain)),)
    assert [(vector.seller_id, vector.values) for vector in stored.all_latest()] == plain
    assert stored.profile(plain[0][0]) is not None
    monkeypatch.setattr(materialize, "compute_profiles", None)  # a second computation fails
    assert materialize_vectors(operating, stored) == ((snapshot, len(plain)),)


def test_the_ingest_command_computes_vectors_and_reports_them(
    base_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots: list[Snapshot] = []

    def materialize_fake(operating: OperatingStore, stored: VectorStore) -> SellerCounts:
        assert stored.count_sellers(snapshot_of(operating)) is None
        snapshots.append(snapshot_of(operating))
        return ((snapshots[-1], 1234),)

    monkeypatch.setattr(materialize, "materialize_vectors", materialize_fake)
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    base_store.rename(tmp_path / "operating")
    result = CliRunner().invoke(app, ["ingest", str(write_some(tmp_path / "d", stores=[store("T2")]))])
    assert result.exit_code == 0, result.output
    assert f"Vectors of 1,234 sellers as of {snapshots[0].as_of}" in result.output
    assert snapshots == [snapshot_of(open_store(tmp_path / "operating"))]


def test_seller_context_uses_what_is_known_at_the_midnight(
    base_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # features and profiles take seconds and are tested elsewhere
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
    ingest(write_some(tmp_path / "d", terms, sellers=versions, fx_rates=rates, **no_rows("orders")), base_store)
    stored = VectorStore(tmp_path / "vectors.db")
    ((snapshot, _),) = materialize_vectors(open_store(base_store), stored)
    assert snapshot.as_of == T.date()
    found = stored.latest("S1")
    assert found is not None
    assert found.context == SellerContext("VN", "CNY", {"CNY": 0.14, "GBP": 1.25, "USD": 1.0})
    assert stored.count_sellers(snapshot) == (1,)
