"""Vectors are made when a delivery lands, once for the same data and definitions."""

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
    # a delivery that lands is ready for scoring
    shutil.copy(world.home / "vectors.db", tmp_path / "vectors.db")
    stored, snapshot = VectorStore(tmp_path / "vectors.db"), snapshot_of(operating)
    sellers = stored.sellers_in(snapshot, pictured=True)
    assert sellers
    monkeypatch.setattr(materialize, "compute_frame", None)  # whoever computes again fails
    assert materialize_vectors(operating, stored) == (snapshot, sellers)


def test_the_command_lands_what_it_takes_and_says_so(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed: list[Snapshot] = []

    def refreshed(operating: OperatingStore, stored: VectorStore) -> tuple[Snapshot, int]:
        assert stored.sellers_in(snapshot_of(operating)) is None
        landed.append(snapshot_of(operating))
        return landed[-1], 1234

    monkeypatch.setattr(materialize, "refresh", refreshed)
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    begun.rename(tmp_path / "operating")
    told = CliRunner().invoke(app, ["ingest", str(write_some(tmp_path / "d", stores=[store("T2")]))])
    assert told.exit_code == 0, told.output
    assert f"Vectors of 1,234 sellers as of {landed[0].as_of}" in told.output
    assert landed == [snapshot_of(open_store(tmp_path / "operating"))]
