"""Vectors are computed when a delivery is ingested, once for the same data and definitions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features import materialize
from features.cli import app
from features.ingest import OperatingStore, open_store
from features.materialize import materialize_vectors, snapshot_of
from features.store.vectors import Snapshot, VectorStore
from tests.features.ingest.build import store, write_some
from tests.world import World, shared_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def test_vectors_of_the_same_data_are_computed_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operating = open_store(world.home / "operating")
    shutil.copy(world.home / "vectors.db", tmp_path / "vectors.db")
    stored, snapshot = VectorStore(tmp_path / "vectors.db"), snapshot_of(operating)
    sellers = stored.count_sellers(snapshot, complete=True)
    assert sellers
    monkeypatch.setattr(materialize, "compute_frame", None)  # a second computation would fail
    assert materialize_vectors(operating, stored) == (snapshot, sellers)


def test_the_command_computes_vectors_and_prints_their_number(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[Snapshot] = []

    def compute(operating: OperatingStore, stored: VectorStore) -> tuple[Snapshot, int]:
        assert stored.count_sellers(snapshot_of(operating)) is None
        computed.append(snapshot_of(operating))
        return computed[-1], 1234

    monkeypatch.setattr(materialize, "materialize_vectors", compute)
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    begun.rename(tmp_path / "operating")
    result = CliRunner().invoke(app, ["ingest", str(write_some(tmp_path / "d", stores=[store("T2")]))])
    assert result.exit_code == 0, result.output
    assert f"Vectors of 1,234 sellers as of {computed[0].as_of}" in result.output
    assert computed == [snapshot_of(open_store(tmp_path / "operating"))]
