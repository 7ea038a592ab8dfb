"""Rows that become known after a loan was disbursed never enter the training dataset."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.ingest import OperatingStore, ingest, open_store
from features.pipeline import accepted_rows, compute_frame, latest_midnight
from tests.world import World, shared_world
from training.dataset import build, loan_labels
from training.labels import Labels, read_label_table
from training.registry import Registry, find_version


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory).copy(tmp_path_factory.mktemp("future"))


def test_rows_known_after_the_loan_leave_the_training_set_as_it_was(world: World, tmp_path: Path) -> None:
    folder = world.home / "operating"
    store = open_store(folder)
    labels = loan_labels(store)
    before = find_version(Registry.on_sqlite(world.home), "1").params["dataset"]
    ingest(_orders_of_the_bad(labels, latest_midnight(store), tmp_path / "planted", folder), folder)
    store = open_store(folder)
    after = build(store, labels)
    assert after.digest == before, "the world was trained on these labels, features and segments"
    # they did land: once they are known, they show
    bad = (
        labels.rows.loc[labels.rows["bad"], ["seller_id"]]
        .drop_duplicates()
        .assign(as_of=store.covers_through["orders"])
    )
    assert (compute_frame(store, bad, [each for each in CATALOGUE if each.name == "orders_90d"]) > 0).all(axis=None)


def test_a_column_of_a_label_table_is_no_feature(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_alone(asked: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        return compute_frame(asked, pairs, CATALOGUE[:1])  # of all features it takes seconds

    monkeypatch.setattr("training.dataset.compute_frame", first_alone)
    store = open_store(world.home / "operating")
    rows = loan_labels(store).rows.head(60)
    later = rows.assign(days_past_due_later=rows["bad"] * 120.0, as_of=rows["as_of"].dt.strftime("%Y-%m-%d"))
    later.to_csv(tmp_path / "labels.csv", index=False)
    dataset = build(store, read_label_table(tmp_path / "labels.csv"))
    assert tuple(dataset.features.columns) == (CATALOGUE[0].name,)
    assert set(dataset.rows.columns) == {"seller_id", "as_of", "bad"}


def _orders_of_the_bad(labels: Labels, covered: date, folder: Path, operating: Path) -> Path:
    """A delivery that tells the labels: orders from the days before each bad loan, known only now."""
    stores = accepted_rows(open_store(operating), "stores").drop_duplicates("seller_id")
    bad = labels.rows[labels.rows["bad"]].merge(stores[["seller_id", "store_id"]], on="seller_id")
    known = pd.Timestamp(covered) + timedelta(hours=12)
    parts = [
        pd.DataFrame(
            {
                "order_id": [f"planted-{number}-{ago}" for number in bad.index],
                "store_id": bad["store_id"],
                "buyer_id": [f"planted-{number}" for number in bad.index],
                "ordered_at": bad["as_of"] - timedelta(days=ago),
                "amount": 9_999.0,
                "currency": "USD",
                "channel": "search",
                "buyer_country": "US",
                "items": 1,
                "known_at": known,
            }
        )
        for ago in (1, 5, 20)
    ]
    recent = parts[0].assign(
        order_id=[f"planted-{number}-now" for number in bad.index], ordered_at=known - timedelta(hours=2)
    )
    folder.mkdir()
    pd.concat([*parts, recent]).to_parquet(folder / "orders.parquet", index=False)
    end = (pd.Timestamp(covered) + timedelta(days=1)).date().isoformat()
    (folder / "delivery.json").write_text(json.dumps({"covers_through": {"orders": end}}), encoding="utf-8")
    return folder
