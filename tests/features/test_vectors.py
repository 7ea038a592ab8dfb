"""Vectors are made when a delivery lands, once for the same data and definitions."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from features import vectors
from features.cli import app
from features.intake import open_store
from features.store import VectorStore
from features.vectors import refresh, snapshot_of
from tests.world import World, shared_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def test_vectors_of_the_same_data_are_computed_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stored = open_store(world.home / "operating"), VectorStore(tmp_path / "vectors.db")
    assert stored.sellers_in(snapshot_of(store)) is None
    first = refresh(store, stored)
    monkeypatch.setattr(vectors, "frame", None)  # whoever computes again fails
    assert refresh(store, stored) == first
    assert stored.sellers_in(first[0]) == first[1] > 0


def test_a_delivery_that_lands_is_ready_for_scoring(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path))
    told = CliRunner().invoke(app, ["ingest", str(world.delivery)])
    assert told.exit_code == 0, told.output
    assert "Vectors of" in told.output
    snapshot = snapshot_of(open_store(tmp_path / "operating"))
    assert VectorStore(tmp_path / "vectors.db").sellers_in(snapshot)
