"""What tests of features share: festivals that compile quickly, and a store that has begun.

Most tests of intake need no more than an owner and a store to refer to.
"""

import shutil
from pathlib import Path

import pytest

from features.ingest import ingest
from tests.features.ingest.build import order, write
from tests.oracles.festivals import few_festivals

__all__ = ["few_festivals"]


@pytest.fixture(scope="session")
def first_delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with seller S1, store T1 and order O0; not to be changed."""
    folder = tmp_path_factory.mktemp("begun")
    ingest(write(folder / "delivery", orders=[order("O0")]), folder / "store")
    return folder / "store"


@pytest.fixture(scope="session")
def taken_first(first_delivery: Path) -> Path:
    """The folder of the delivery that the store has begun with."""
    return first_delivery.parent / "delivery"


@pytest.fixture
def begun(first_delivery: Path, tmp_path: Path) -> Path:
    """A copy of the begun store, free to change."""
    return Path(shutil.copytree(first_delivery, tmp_path / "begun"))
