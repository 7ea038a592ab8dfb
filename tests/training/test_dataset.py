"""Training dataset: rejected labels, and rows as input of scoring and of the registered model."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.errors import StoreError
from features.intake import OperatingStore, StoredDelivery, open_store
from features.pipeline import compute_frame, latest_midnight
from tests.training.datasets import OBSERVED, TABLES, dataset
from tests.world import World, shared_world
from training.dataset import EXAMPLE_SELLER, Origin, build, example_row, loan_labels, served_rows
from training.errors import LabelError
from training.labels import Labels


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return shared_world(tmp_path_factory)


def labels_as_of(seller: str, day: date) -> Labels:
    rows = pd.DataFrame({"seller_id": [seller], "as_of": [pd.Timestamp(day)], "bad": [True]})
    return Labels(rows, 0, day, "by hand")


def without(store: OperatingStore, table: str) -> OperatingStore:
    """The store as it would be without a table's coverage."""
    kept = [
        StoredDelivery(each.delivery_id, {k: v for k, v in each.covers_through.items() if k != table}, each.rows)
        for each in store.deliveries
    ]
    return OperatingStore(store.folder, tuple(kept))


@pytest.mark.parametrize("table", ["loans", "instalments", "payments"])
def test_loans_need_all_three_tables(world: World, table: str) -> None:
    with pytest.raises(LabelError, match=f"The store has no {table}"):
        loan_labels(without(open_store(world.home / "operating"), table))


def test_the_training_set_carries_the_origin_of_its_rows(world: World) -> None:
    store = open_store(world.home / "operating")
    made = build(store, labels_as_of("S-000001", latest_midnight(store)))
    assert made.origin.data == ("simulated by sellerscore, seed 7",)
    assert made.origin.through == latest_midnight(store)
    assert str(Origin()) == "not recorded"


def test_a_label_after_the_data_is_refused(world: World) -> None:
    store = open_store(world.home / "operating")
    beyond = latest_midnight(store) + timedelta(days=1)
    with pytest.raises(LabelError, match="operating data end at"):
        build(store, labels_as_of("S-000001", beyond))


def test_a_label_before_a_seller_was_known_is_not_told_as_of_a_stranger(world: World) -> None:
    store = open_store(world.home / "operating")
    with pytest.raises(LabelError, match=r"1 of the labelled sellers joined after 2015-01-01.*is 'S-000001'"):
        build(store, labels_as_of("S-000001", date(2015, 1, 1)))
    with pytest.raises(LabelError, match=r"1 of the labelled sellers are not in the store\. The first is 'nobody'"):
        build(store, labels_as_of("nobody", latest_midnight(store)))


def test_a_table_without_coverage_is_not_required_of_sellers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_alone(asked: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        return compute_frame(asked, pairs, CATALOGUE[:1])  # of all features it takes seconds

    monkeypatch.setattr("training.dataset.compute_frame", first_alone)
    store = without(open_store(world.home / "operating"), "purchases")
    assert "purchases" not in build(store, labels_as_of("S-000000", latest_midnight(store))).tables


def test_a_lost_file_of_the_store_is_one_sentence(world: World, tmp_path: Path) -> None:
    store = open_store(world.copy(tmp_path).home / "operating")
    store.files("orders")[0].unlink()
    shutil.rmtree(store.folder / "tiles")  # while they are whole, nobody asks for the rows that they were made of
    pairs = pd.DataFrame({"seller_id": ["S-000001"], "as_of": [date(2025, 1, 1)]})
    with pytest.raises(StoreError, match="cannot be read"):
        compute_frame(store, pairs, CATALOGUE[:1])


COVERS = dict.fromkeys(TABLES, OBSERVED)
NAMES = [feature.name for feature in CATALOGUE]


def test_rows_are_in_the_served_form() -> None:
    loans = dataset(60, days=1)
    rows = served_rows(loans.rows, loans.features, COVERS)
    assert list(rows.columns) == ["seller_id", "as_of", "requested_on", "covers_through", *NAMES]
    assert rows["seller_id"].tolist() == loans.rows["seller_id"].tolist()
    assert rows["as_of"].tolist() == ["2025-01-01"] * 60
    assert json.loads(rows["covers_through"][0]) == dict.fromkeys(sorted(TABLES), "2026-01-01")
    assert np.array_equal(rows[NAMES].to_numpy(), loans.features.to_numpy(), equal_nan=True)


def test_the_example_is_typical_and_nobodys() -> None:
    loans = dataset(60)
    (row,) = example_row(loans, COVERS).to_dict("records")
    assert row["seller_id"] == EXAMPLE_SELLER
    assert EXAMPLE_SELLER not in set(loans.rows["seller_id"])
    assert row["as_of"] == loans.rows["as_of"].max().date().isoformat()
    assert {name: row[name] for name in NAMES} == loans.features.median().to_dict()


def test_the_example_of_a_feature_that_nobody_has_is_missing() -> None:
    loans = dataset(60)
    loans.features[NAMES[0]] = np.nan
    example = example_row(loans, COVERS)
    assert example[NAMES].dtypes.eq("float64").all()
    assert np.isnan(example[NAMES[0]][0])
