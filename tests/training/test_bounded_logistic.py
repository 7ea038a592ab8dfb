"""Bounded logistic regression: signs hold for any outcomes; without active bounds it equals scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from training.bounded_logistic import STEPS, Binned, fit_bounded, normal_scores
from training.columns import FARTHEST, Columns
from training.sample import Sample
from training.scorecard import evidence_bins

BINNINGS = [normal_scores, evidence_bins]


def sample_of(matrix: NDArray[np.float64], bad: NDArray[np.bool_], signs: tuple[int, ...]) -> Sample:
    """Return rows of other sellers each, NaN at the riskiest end of its column."""
    names = tuple(f"feature_{number}" for number in range(len(signs)))
    columns = Columns(names, tuple(range(len(signs))), signs)
    shown = np.where(np.isnan(matrix), np.array(signs) * FARTHEST, matrix)
    return Sample(columns, shown, bad.astype(float), np.arange(len(bad)), None)


def informative(rows: int = 2_000, seed: int = 1, missing: float = 0.0) -> Sample:
    """Risk rises along the first column, falls along the second, and has nothing to do with the third."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 3))
    bad = rng.random(rows) < 1 / (1 + np.exp(1.5 - matrix[:, 0] + 0.5 * matrix[:, 1]))
    matrix[rng.random(matrix.shape) < missing] = np.nan
    return sample_of(matrix, bad, (1, -1, 1))


def turned(sample: Sample) -> Sample:
    """Return the sample with the columns bound to the other direction."""
    signs = tuple(-sign for sign in sample.columns.signs)
    return replace(sample, columns=replace(sample.columns, signs=signs))


@pytest.mark.parametrize("binning", BINNINGS)
def test_a_column_that_contradicts_its_sign_has_no_weight(binning: Callable[[Sample], Binned]) -> None:
    with_signs, against = informative(), turned(informative())
    found = fit_bounded(binning(with_signs), with_signs, 1.0).weights
    assert (found >= 0).all()
    assert found[:2].min() > 0.1
    assert fit_bounded(binning(against), against, 1.0).weights[:2].tolist() == [0.0, 0.0]


@settings(max_examples=20)
@given(
    arrays.arrays(np.float64, (60, 2), elements=st.sampled_from([-1e9, -2.0, 0.0, 0.5, 3.0, np.nan])),
    arrays.arrays(np.bool_, 60),
    st.sampled_from([0.1, 10.0, 1000.0]),
)
def test_risk_never_falls_along_a_sign_or_for_a_missing_value(
    matrix: NDArray[np.float64], bad: NDArray[np.bool_], shrinkage: float
) -> None:
    signs = (1, -1)
    sample = sample_of(matrix, bad, signs)
    fitted = fit_bounded(normal_scores(sample), sample, shrinkage)
    assert (fitted.weights >= 0).all()
    path = np.array([-FARTHEST, -2e9, -1e9, -2.5, -2.0, 0.0, 0.2, 0.5, 1.0, 3.0, 4.0, FARTHEST])
    for place, sign in enumerate(signs):
        rows = np.zeros((len(path), 2))
        rows[:, place] = path
        margins = fitted.margins(sample_of(rows, np.zeros(len(path), dtype=bool), signs))
        assert (sign * np.diff(margins) >= -1e-12).all()


def test_without_active_bounds_it_equals_scikit_learn() -> None:
    sample = informative()
    risk = normal_scores(sample).matrix(sample)
    # noise has no direction: only the two informative columns are compared, so that no weight ends at 0
    two = sample.select_columns([0, 1])
    fitted = fit_bounded(normal_scores(two), two, 5.0)
    spread = risk[:, :2].std(axis=0)
    theirs = LogisticRegression(C=1 / 5.0, tol=1e-10, max_iter=1_000).fit(risk[:, :2] / spread, sample.bad)
    assert fitted.weights * spread == pytest.approx(theirs.coef_[0], abs=1e-3)
    expected = theirs.decision_function(risk[:, :2] / spread)
    assert fitted.margins(two) == pytest.approx(expected, abs=5e-3)


def test_outcomes_that_a_column_separates_give_finite_weights() -> None:
    value = np.linspace(-1, 1, 200)
    sample = sample_of(value[:, None], value > 0, (1,))
    fitted = fit_bounded(normal_scores(sample), sample, 1e-6)
    assert np.isfinite([*fitted.weights, fitted.intercept]).all()
    assert ((fitted.margins(sample) > 0) == (value > 0)).mean() > 0.97


@pytest.mark.parametrize("binning", BINNINGS)
def test_a_constant_column_has_no_weight_and_a_model_of_none_is_the_share(binning: Callable[[Sample], Binned]) -> None:
    rng = np.random.default_rng(2)
    matrix = np.column_stack([np.full(400, 7.0), np.full(400, np.nan)])
    sample = sample_of(matrix, rng.random(400) < 0.2, (1, -1))
    fitted = fit_bounded(binning(sample), sample, 1.0)
    assert fitted.weights.tolist() == [0.0, 0.0]
    share = sample.bad.mean()
    assert fitted.intercept == pytest.approx(np.log(share / (1 - share)), abs=1e-4)
    booster = fitted.booster()
    assert booster.predict(sample.matrix, raw_score=True) == pytest.approx(np.full(400, fitted.intercept))
    assert booster.num_feature() == 2


@pytest.mark.parametrize("binning", BINNINGS)
def test_the_trees_have_the_margins_of_the_regression(binning: Callable[[Sample], Binned]) -> None:
    """Also where many values are 0, so that a bin begins there, and beyond the values of the training rows."""
    rng = np.random.default_rng(3)
    value = np.where(rng.random(1_000) < 0.5, 0.0, rng.normal(size=1_000))
    hidden = np.where(rng.random(1_000) < 0.2, np.nan, rng.normal(size=1_000))
    bad = rng.random(1_000) < 1 / (1 + np.exp(1.0 - value + np.nan_to_num(hidden)))
    sample = sample_of(np.column_stack([value, hidden]), bad, (1, -1))
    fitted = fit_bounded(binning(sample), sample, 1.0)
    beyond = np.array([[-9.0, -9.0], [9.0, 9.0], [0.0, np.nan], [np.nan, 0.0]])
    for rows in (sample, sample_of(beyond, np.zeros(4, dtype=bool), (1, -1))):
        assert fitted.booster().predict(rows.matrix, raw_score=True) == pytest.approx(fitted.margins(rows), abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_normal_scores_are_those_of_ranks_and_many_missing_values_have_their_own_step(sign: int) -> None:
    value = np.random.default_rng(4).normal(size=(1_000, 1))
    bad = np.zeros(1_000, dtype=bool)
    plain, heavy = (normal_scores(sample_of(each, bad, (sign,))) for each in (value, np.exp(5 * value)))
    assert plain.risk[0].tolist() == heavy.risk[0].tolist()
    assert set(plain.rows[0]) <= {4, 5, 6}
    assert (sign * np.diff(plain.risk[0]) > 0).all()
    scores = plain.matrix(sample_of(value, bad, (sign,)))[:, 0]
    assert np.corrcoef(scores, sign * value[:, 0])[0, 1] > 0.99
    assert np.abs(scores).max() < 2.6
    value[:300] = np.nan
    hidden = sample_of(value, bad, (sign,))
    binned = normal_scores(hidden)
    assert binned.rows[0][int(binned.risk[0].argmax())] == 300
    assert ((binned.matrix(hidden)[:, 0] == binned.risk[0].max()) == np.isnan(value[:, 0])).all()
    assert len(binned.risk[0]) <= STEPS


def test_steps_count_every_row_once() -> None:
    sample = informative(500, missing=0.1)
    for binned in (normal_scores(sample), evidence_bins(sample)):
        for edges, risk, rows in zip(binned.edges, binned.risk, binned.rows, strict=True):
            assert rows.sum() == 500
            assert rows.min() >= 1
            assert len(edges) + 1 == len(risk) == len(rows)
            assert (np.diff(edges) > 0).all()
