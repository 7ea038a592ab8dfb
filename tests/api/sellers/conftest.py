"""Sellers with profiles: a small ingested market with enough sellers of one category for peers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from api.settings import Settings
from features.catalogue import CATALOGUE, digest
from features.materialize import rows_of
from features.pipeline import compute_frame
from features.profile.compute import compute_profiles
from features.store.vectors import Snapshot, VectorStore
from tests.api.conftest import Opener
from tests.oracles.accepted_rows import write_accepted
from tests.oracles.market import MIDNIGHTS, Shape, market

if TYPE_CHECKING:
    from starlette.testclient import TestClient

AS_OF = MIDNIGHTS[0]
SELLERS = tuple(f"S{number}" for number in range(70))
EMPTY = "shop/<b>&\"' 店"
"""A seller without orders, whose ID needs escaping."""
COVERED = ("orders", "refunds", "traffic", "fulfilments", "ratings")
"""All tables but purchases, which this platform does not deliver."""


@pytest.fixture(scope="session")
def profiles_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of vectors and profiles."""
    folder = tmp_path_factory.mktemp("profiles")
    rows = market(Shape(seed=11, sellers=len(SELLERS), events=60, absent=frozenset({"purchases"})))
    rows["sellers"] = [{**row, "category": "toys"} for row in rows["sellers"]]
    rows["sellers"].append({**rows["sellers"][0], "seller_id": EMPTY})
    store = write_accepted(rows, folder)
    features = compute_frame(store, pd.DataFrame({"seller_id": [*SELLERS, EMPTY], "as_of": AS_OF}))
    snapshot = Snapshot(AS_OF, "data-1", digest(CATALOGUE), dict.fromkeys(COVERED, AS_OF))
    VectorStore(folder / "vectors.db").replace(snapshot, rows_of(features), compute_profiles(store, features))
    return folder / "vectors.db"


@pytest.fixture
def settings(registry: str, profiles_file: Path, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    shutil.copy(profiles_file, home / "vectors.db")
    return Settings(home=home, MLFLOW_TRACKING_URI=registry)


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    """A bank with the consents of these sellers, and of one without data."""
    with open_client(stored_in, (*SELLERS, EMPTY, "unknown")) as opened:
        yield opened
