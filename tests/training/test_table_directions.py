"""Directions of columns: declared ones stand, clear ones come from training rows, and noise chooses none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from training.dataset import Dataset
from training.table_directions import CLEAR, FALLING, RISING, apply_directions, find_directions
from training.tables import TableForm, as_dataset


def table(rows: int = 1_000, noise: int = 5, seed: int = 1) -> Dataset:
    """Risk rises with debt, falls with income, has a valley in age, and has nothing to do with noise."""
    rng = np.random.default_rng(seed)
    debt, income, age = rng.normal(size=(3, rows))
    bad = rng.random(rows) < 1 / (1 + np.exp(1.0 - debt + income - age**2 + 1.0))
    noisy = {f"noise_{number}": rng.normal(size=rows) for number in range(noise)}
    shown = np.where(rng.random(rows) < 0.2, np.nan, income)
    columns = {"debt": debt, "income": shown, "age": age, "one": 1.0, **noisy, "bad": bad.astype(int)}
    return as_dataset(pd.DataFrame(columns), TableForm("bad", 1))


def test_clear_directions_come_from_the_rows_and_declared_ones_stand() -> None:
    found = {each.column: each for each in find_directions(table(), {"income": 1})}
    assert (found["debt"].sign, found["debt"].source) == (1, "training rows")
    assert (found["income"].sign, found["income"].source) == (1, "declared")
    assert found["income"].standard_errors < -CLEAR
    assert (found["age"].sign, found["age"].source) == (0, "none")
    assert (found["one"].sign, found["one"].source) == (0, "none")


def test_noise_chooses_no_direction() -> None:
    """One column in 370 is clear by chance, so that a few hundred hardly choose any."""
    found = find_directions(table(500, noise=300), {})
    chosen = [each for each in found if each.column.startswith("noise") and each.sign]
    assert len(chosen) <= 4


def test_a_column_without_a_direction_is_two_features_of_the_same_values() -> None:
    rows = table()
    made = apply_directions(rows, find_directions(rows, {}))
    assert {"debt", "income", "age" + RISING, "age" + FALLING} <= set(made.features)
    assert "age" not in made.features
    assert (made.signs["age" + RISING], made.signs["age" + FALLING]) == (1, -1)
    assert set(made.signs) == set(made.features)
    assert set(made.signs.values()) == {1, -1}
    pd.testing.assert_series_equal(made.features["age" + RISING], rows.features["age"], check_names=False)
    assert replace(made, features=rows.features, signs=rows.signs).digest == rows.digest
