"""Fixtures of the tests of features: festivals that compile quickly, and a store with one delivery."""

import shutil
from pathlib import Path

import pytest

from features.ingest import ingest
from tests.features.ingest.build import order, write
from tests.oracles.festivals import few_festivals

__all__ = ["few_festivals"]


@pytest.fixture(scope="session")
def first_delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with seller S1, store T1 and order O0; read only."""
    folder = tmp_path_factory.mktemp("begun")
    ingest(write(folder / "delivery", orders=[order("O0")]), folder / "store")
    return folder / "store"


@pytest.fixture(scope="session")
def first_delivery_folder(first_delivery: Path) -> Path:
    """The delivery of the store in `first_delivery`."""
    return first_delivery.parent / "delivery"


@pytest.fixture
def begun(first_delivery: Path, tmp_path: Path) -> Path:
    """A copy of the store in `first_delivery` that a test may change."""
    return Path(shutil.copytree(first_delivery, tmp_path / "begun"))
