"""Rows of a dataset as scoring and the served model take them."""

from __future__ import annotations

import json

import numpy as np

from features.catalogue import CATALOGUE
from tests.training.datasets import OBSERVED, TABLES, dataset
from training.vectors import example_rows


def test_example_rows_are_in_the_served_form() -> None:
    loans = dataset(60, days=1)
    rows = example_rows(loans, dict.fromkeys(TABLES, OBSERVED), count=2)
    names = [feature.name for feature in CATALOGUE]
    assert list(rows.columns) == ["seller_id", "as_of", "covers_through", *names]
    assert rows["as_of"].tolist() == ["2025-01-01"] * 2
    assert json.loads(rows["covers_through"][0]) == dict.fromkeys(sorted(TABLES), "2026-01-01")
    assert np.array_equal(rows[names].to_numpy(), loans.features.head(2).to_numpy(), equal_nan=True)
