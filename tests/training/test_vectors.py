"""Rows of a dataset as scoring and the served model take them."""

from __future__ import annotations

import json

import numpy as np

from features.catalogue import CATALOGUE
from tests.training.datasets import OBSERVED, TABLES, dataset
from training.dataset import EXAMPLE_SELLER, example_row, served_rows

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
