"""Training dataset: rejected labels, no row from the future, and rows as input of the registered model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.errors import StoreError
from features.ingest import OperatingStore, ingest, open_store
from features.pipeline import accepted_rows, compute_frame, latest_midnight
from tests.training.datasets import OBSERVED, TABLES, dataset
from tests.world import World
from training.dataset import EXAMPLE_SELLER, Origin, build, example_row, loan_labels, served_rows
from training.errors import LabelError
from training.labels import Labels, read_label_table
from training.registry import Registry, find_version


def labels_as_of(seller: str, day: date) -> Labels:
    rows = pd.DataFrame({"seller_id": [seller], "as_of": [pd.Timestamp(day)], "bad": [True]})
    return Labels(rows, 0, day, "by hand")


def without(store: OperatingStore, table: str) -> OperatingStore:
    """The store as it would be without a table's coverage."""
    deliveries = (
        replace(each, covers_through={name: day for name, day in each.covers_through.items() if name != table})
        for each in store.deliveries
    )
    return OperatingStore(store.folder, tuple(deliveries))


@pytest.fixture
def store(world: World, monkeypatch: pytest.MonkeyPatch) -> OperatingStore:
    """The world's store, of which only the first feature is computed."""

    def compute_first(store: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        return compute_frame(store, pairs, CATALOGUE[:1])

    monkeypatch.setattr("training.dataset.compute_frame", compute_first)
    return open_store(world.home / "operating")


@pytest.mark.parametrize("table", ["loans", "instalments", "payments"])
def test_loans_need_all_three_tables(store: OperatingStore, table: str) -> None:
    with pytest.raises(LabelError, match=f"The store has no {table}"):
        loan_labels(without(store, table))


def test_the_dataset_has_the_origin_and_the_covered_tables_of_its_rows(store: OperatingStore) -> None:
    found = build(without(store, "purchases"), labels_as_of("S-000001", latest_midnight(store)))
    assert found.origin.data == ("simulated by sellerscore, seed 7",)
    assert found.origin.through == latest_midnight(store)
    assert "orders" in found.tables
    assert "purchases" not in found.tables
    assert str(Origin()) == "not recorded"


@pytest.mark.parametrize(
    ("seller", "day", "words"),
    [
        ("S-000001", timedelta(days=1), "operating data end at"),
        ("S-000001", date(2015, 1, 1), r"1 of the labelled sellers joined after 2015-01-01.*is 'S-000001'"),
        ("nobody", timedelta(), r"1 of the labelled sellers are not in the store\. The first is 'nobody'"),
    ],
)
def test_a_label_without_data_is_rejected(
    store: OperatingStore, seller: str, day: date | timedelta, words: str
) -> None:
    as_of = latest_midnight(store) + day if isinstance(day, timedelta) else day
    with pytest.raises(LabelError, match=words):
        build(store, labels_as_of(seller, as_of))


def test_a_missing_file_of_the_store_is_an_error(world: World, tmp_path: Path) -> None:
    store = open_store(world.copy(tmp_path).home / "operating")
    store.files("orders")[0].unlink()
    shutil.rmtree(store.folder / "tiles")  # with intact tiles, the rows are not read
    with pytest.raises(StoreError, match="cannot be read"):
        compute_frame(store, labels_as_of("S-000001", date(2025, 1, 1)).rows, CATALOGUE[:1])


def test_a_column_of_a_label_table_is_no_feature(store: OperatingStore, tmp_path: Path) -> None:
    rows = loan_labels(store).rows.head(60)
    later = rows.assign(days_past_due_later=rows["bad"] * 120.0, as_of=rows["as_of"].dt.strftime("%Y-%m-%d"))
    later.to_csv(tmp_path / "labels.csv", index=False)
    found = build(store, read_label_table(tmp_path / "labels.csv"))
    assert tuple(found.features.columns) == (CATALOGUE[0].name,)
    assert set(found.rows.columns) == {"seller_id", "as_of", "bad"}


COVERS = dict.fromkeys(TABLES, OBSERVED)
NAMES = [feature.name for feature in CATALOGUE]


def test_rows_have_the_form_of_the_registered_model() -> None:
    loans = dataset(60, days=1)
    rows = served_rows(loans.rows, loans.features, COVERS)
    assert list(rows.columns) == ["seller_id", "as_of", "requested_on", "covers_through", *NAMES]
    assert rows["seller_id"].tolist() == loans.rows["seller_id"].tolist()
    assert rows["as_of"].tolist() == ["2025-01-01"] * 60
    assert json.loads(rows["covers_through"][0]) == dict.fromkeys(sorted(TABLES), "2026-01-01")
    assert np.array_equal(rows[NAMES].to_numpy(), loans.features.to_numpy(), equal_nan=True)


def test_the_input_example_has_typical_values_and_no_seller() -> None:
    loans = dataset(60)
    (row,) = example_row(loans, COVERS).to_dict("records")
    assert row["seller_id"] == EXAMPLE_SELLER
    assert EXAMPLE_SELLER not in set(loans.rows["seller_id"])
    assert row["as_of"] == loans.rows["as_of"].max().date().isoformat()
    assert {name: row[name] for name in NAMES} == loans.features.median().to_dict()
    loans.features[NAMES[0]] = np.nan  # always missing
    example = example_row(loans, COVERS)
    assert example[NAMES].dtypes.eq("float64").all()
    assert np.isnan(example[NAMES[0]][0])


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
    (folder / "delivery.json").write_text(
        json.dumps({"covers_through": {"orders": end}, "covers_stores": "all"}), encoding="utf-8"
    )
    return folder


def test_loans_after_the_data_of_their_seller_are_left_out_and_counted(
    store: OperatingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build(store, loan_labels(store))
    seller = whole.rows["seller_id"].iloc[0]
    stores, sellers = accepted_rows(store, "stores"), accepted_rows(store, "sellers")
    listed = pd.concat([stores.loc[stores["seller_id"] != seller, ["store_id"]], sellers[["seller_id"]]])
    listed.astype("str").to_parquet(tmp_path / "listed.parquet")
    monkeypatch.setattr(OperatingStore, "listed_file", lambda *_: tmp_path / "listed.parquet")
    (delivery,) = store.deliveries
    by_store = OperatingStore(store.folder, (replace(delivery, covers_stores="listed"),))
    found = build(by_store, loan_labels(by_store))
    others = whole.select(whole.rows["seller_id"] != seller)
    assert found.rows.equals(others.rows)
    assert found.features.equals(others.features)
    assert found.labels.uncovered == len(whole.rows) - len(others.rows) > 0
    with pytest.raises(LabelError, match="as of a date after the data of that seller end"):
        build(by_store, replace(labels_as_of(seller, latest_midnight(store)), source="labels.csv"))
