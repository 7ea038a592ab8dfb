"""Additive models: LightGBM and scoring read the same step functions, sums are exact, and explanations add up."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.explain import contributions, verify_tables
from scoring.model import Model
from tests.training.datasets import dataset
from training.additive import Steps, additive_model, weighted_sum
from training.columns import FARTHEST, Columns
from training.fit import FitConfig, boost
from training.sample import Sample

COLUMNS = 3
NUMBERS = st.floats(-1e6, 1e6)
EDGES = st.one_of(NUMBERS, st.sampled_from([0.0, -5e-324, -FARTHEST, 0.1 + 0.2]))
STEEP = Steps(0, np.array([-1.0, 2.5]), np.array([-0.3, 0.0, 0.7]), np.array([50, 30, 20]))
FALLING = Steps(2, np.array([0.5]), np.array([0.4, -0.2]), np.array([25, 75]))


@st.composite
def step_functions(draw: st.DrawFn) -> list[Steps]:
    """At most one step function for each column, of up to 21 steps, over the same number of rows."""
    found = []
    for column in draw(st.lists(st.integers(0, COLUMNS - 1), unique=True, max_size=COLUMNS)):
        edges = np.array(sorted(draw(st.sets(EDGES, max_size=20))))
        values = draw(st.lists(st.floats(-5, 5), min_size=len(edges) + 1, max_size=len(edges) + 1))
        rows = np.full(len(edges) + 1, 1)
        rows[0] += 500 - rows.sum()
        found.append(Steps(column, edges, np.array(values), rows))
    return found


def added(functions: list[Steps], intercept: float, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the step functions as their definition has it, one value at a time, in the order of the trees."""
    margins = np.full(len(matrix), intercept)
    for each in functions:
        margins += [each.values[sum(value > edge for edge in each.edges)] for value in matrix[:, each.column]]
    return margins


def around(functions: list[Steps]) -> NDArray[np.float64]:
    """Return rows with every edge, its neighbours on both sides, and values beyond all of them.

    LightGBM takes a value within 1e-35 of 0 as 0, so that there are no others of those.
    """
    edges = [edge for each in functions for edge in each.edges]
    near = [np.nextafter(edge, side) for edge in edges for side in (-np.inf, np.inf)]
    values = np.array([*edges, *near, 0.0, FARTHEST, -FARTHEST, np.inf, -np.inf])
    values[np.abs(values) <= 1e-35] = 0.0
    return np.column_stack([np.roll(values, turn) for turn in range(COLUMNS)])


@settings(max_examples=25)
@given(step_functions(), st.floats(-10, 10))
@example([], -2.25)
def test_lightgbm_and_scoring_read_the_step_functions(functions: list[Steps], intercept: float) -> None:
    """A contribution is the value of the step, less its mean over the training rows."""
    matrix = around(functions)
    booster = additive_model(functions, intercept, COLUMNS)
    expected = added(functions, intercept, matrix)
    for each in (booster, lightgbm.Booster(model_str=booster.model_to_string())):
        assert each.predict(matrix, raw_score=True).tolist() == expected.tolist()
    found = contributions(Model.from_text(booster.model_to_string()), matrix)
    usual = {each.column: float(each.values @ each.rows) / float(each.rows.sum()) for each in functions}
    assert found.base == pytest.approx(intercept + sum(usual.values()), abs=1e-9)
    assert found.base + found.values.sum(axis=1) == pytest.approx(expected, abs=1e-9)
    for column in range(COLUMNS):
        own = [each for each in functions if each.column == column]
        assert found.values[:, column] == pytest.approx(added(own, -usual.get(column, 0.0), matrix), abs=1e-9)


def test_the_tables_of_scoring_agree_with_lightgbm_where_steps_are_many() -> None:
    """Fifty steps are a tree of six levels; `verify_tables` compares margins and contributions at every threshold."""
    rng = np.random.default_rng(1)
    many = [
        Steps(column, np.sort(rng.normal(size=49)), np.sort(rng.normal(size=50)), rng.integers(1, 30, 50))
        for column in range(COLUMNS)
    ]
    verify_tables(Model.from_text(additive_model(many, -2.0, COLUMNS).model_to_string()))


def test_a_missing_value_is_at_the_riskiest_end_once_columns_are_merged() -> None:
    """Risk rises along the first feature and falls along the last; the one between is read by no column."""
    columns = Columns(("rises", "unread", "falls"), (0, 2), (1, -1))
    rises = Steps(0, np.array([1.0, 2.0]), np.array([-0.5, 0.1, 0.9]), np.array([5, 3, 2]))
    falls = Steps(1, np.array([-FARTHEST, 3.0]), np.array([0.8, 0.3, -0.6]), np.array([1, 4, 5]))
    trained = additive_model([rises, falls], -3.0, 2)
    merged = columns.merge(trained)
    assert merged.feature_name() == ["rises", "unread", "falls"]
    shown = np.array([[1.0, np.nan, 3.0], [np.nan, 0.0, 9.0], [0.0, 0.0, np.nan], [np.nan, np.nan, np.nan]])
    expected = [-3.0 + 0.3 - 0.5, -3.0 + 0.9 - 0.6, -3.0 - 0.5 + 0.8, -3.0 + 0.9 + 0.8]
    assert merged.predict(shown, raw_score=True) == pytest.approx(expected, abs=1e-12)
    as_columns = np.array([[1.0, 3.0], [FARTHEST, 9.0], [0.0, -FARTHEST], [FARTHEST, -FARTHEST]])
    assert merged.predict(shown, raw_score=True).tolist() == trained.predict(as_columns, raw_score=True).tolist()
    model = Model.from_text(merged.model_to_string())
    assert [set(sides) for sides in model.missing_direction] == [{"right"}, set(), {"left"}]
    assert contributions(model, shown).values[3] == pytest.approx([0.9 - -0.04, 0.0, 0.8 - -0.1])


@settings(max_examples=10)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_weighted_sum_has_the_weighted_margins(first: float, second: float) -> None:
    one, other = additive_model([STEEP, FALLING], -2.0, COLUMNS), additive_model([FALLING], 1.0, COLUMNS)
    matrix = around([STEEP, FALLING])
    found = weighted_sum([one, other], [first, second]).predict(matrix, raw_score=True)
    parts = [each.predict(matrix, raw_score=True) for each in (one, other)]
    assert found == pytest.approx(first * parts[0] + second * parts[1], abs=1e-12)


def test_the_mean_of_trees_and_step_functions_has_the_mean_margins_and_contributions() -> None:
    sample = Sample.of_dataset(dataset(400, 150)).select_columns(range(COLUMNS))
    trees = boost(sample, FitConfig(learning_rate=0.1, threads=1), 30)
    both = [trees, additive_model([STEEP, FALLING], -2.0, COLUMNS)]
    mean = weighted_sum(both, (0.5, 0.5))
    assert mean.num_trees() == sum(each.num_trees() for each in both)
    margins, *parts = (each.predict(sample.matrix, raw_score=True) for each in (mean, *both))
    assert np.abs(margins - (0.5 * parts[0] + 0.5 * parts[1])).max() <= 1e-12
    rows = sample.matrix[0:50]
    found, one, other = (contributions(Model.from_text(each.model_to_string()), rows) for each in (mean, *both))
    assert found.base == pytest.approx(0.5 * one.base + 0.5 * other.base, abs=1e-9)
    assert found.values == pytest.approx(0.5 * one.values + 0.5 * other.values, abs=1e-9)
