"""Fixtures of the tests of features: a store with one delivery."""

import shutil
from pathlib import Path

import pytest

from features.ingest import ingest
from tests.features.ingest.build import order, write


@pytest.fixture(scope="session")
def first_delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with seller S1, store T1 and order O0; read only."""
    folder = tmp_path_factory.mktemp("base_store")
    ingest(write(folder / "delivery", orders=[order("O0")]), folder / "store")
    return folder / "store"


@pytest.fixture(scope="session")
def first_delivery_folder(first_delivery: Path) -> Path:
    """The delivery of the store in `first_delivery`."""
    return first_delivery.parent / "delivery"


@pytest.fixture
def base_store(first_delivery: Path, tmp_path: Path) -> Path:
    """A copy of the store in `first_delivery` that a test may change."""
    return Path(shutil.copytree(first_delivery, tmp_path / "base_store"))


@pytest.fixture
def no_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `ingest` compute no vectors, which takes seconds; `test_materialize` tests that it does."""
    monkeypatch.setattr("features.cli._update_vectors", lambda **_: None)
