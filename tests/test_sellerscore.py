"""The public Python API: frames of a state folder, and models of its registry."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import sellerscore
from features.errors import CatalogueError, StoreError
from features.ingest import ingest, open_store
from features.pipeline import frame, latest_sellers
from tests.oracles.deliveries import NO_RATES, deliver, in_dollars
from tests.oracles.market import Shape, market
from tests.oracles.shapes import MAY_BE_ABSENT
from training.errors import RegistryError

ROWS = in_dollars(market(Shape(seed=6, sellers=3, events=30, absent=frozenset(MAY_BE_ABSENT) - {"orders"})))


def test_exported_names_are_the_public_interface() -> None:
    assert sellerscore.__all__ == ["app", "frame", "load_bundle", "main"]


@pytest.mark.slow
def test_a_frame_has_all_sellers_or_the_requested_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    with pytest.raises(StoreError, match="Ingest a delivery first"):
        sellerscore.frame(home=home)
    ingest(deliver(ROWS, NO_RATES, tmp_path / "delivery"), home / "operating")
    store = open_store(home / "operating")
    everyone = latest_sellers(store)
    expected = frame(store, everyone)
    pd.testing.assert_frame_equal(sellerscore.frame(home=str(home)), expected)
    monkeypatch.setenv("SELLERSCORE_HOME", str(home))
    pairs = everyone.iloc[[1, 0, 1]]
    found = sellerscore.frame(pairs)
    assert found.index.get_level_values("seller_id").tolist() == pairs["seller_id"].tolist()
    with pytest.raises(CatalogueError, match="no column as_of"):
        sellerscore.frame(pairs[["seller_id"]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::sqlalchemy.exc.SADeprecationWarning")  # of MLflow
def test_without_a_model_the_next_step_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(RegistryError, match="No model is registered yet"):
        sellerscore.load_bundle(home=tmp_path)
