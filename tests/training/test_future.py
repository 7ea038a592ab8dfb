"""Rows that become known after a loan was disbursed never enter the training dataset."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from features.catalogue import CATALOGUE
from features.ingest import ingest, open_store
from features.pipeline import accepted_rows, compute_frame, latest_midnight
from tests.world import World
from training.dataset import build, loan_labels
from training.labels import Labels
from training.registry import Registry, find_version


def test_rows_known_after_the_loan_leave_the_training_set_as_it_was(world: World, tmp_path: Path) -> None:
    world = world.copy(tmp_path)
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


def _orders_of_the_bad(labels: Labels, covered: date, folder: Path, operating: Path) -> Path:
    """Write a delivery that reveals the labels: orders from the days before each bad loan, known only now."""
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
