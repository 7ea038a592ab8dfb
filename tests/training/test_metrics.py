"""Figures against brute force and scikit-learn; intervals that hold their value and narrow with more rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.errors import TrainingError
from training.evidence.metrics import Estimate, auc, evaluate
from training.fit import calibrate_out_of_fold, fit_calibration, probabilities

_QUICK = settings(max_examples=100, deadline=None)


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Outcomes of both kinds, with probabilities that tie often."""
    size = draw(st.integers(2, 40))
    bad = draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(lambda kinds: 0 < sum(kinds) < size))
    tenths = draw(st.lists(st.integers(0, 10), min_size=size, max_size=size))
    return np.array(bad), np.array(tenths) / 10


def drawn(count: int, seed: int = 3) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Outcomes that happen with the probabilities given."""
    rng = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(2 - rng.normal(size=count)))
    return rng.random(count) < probability, probability


@_QUICK
@given(outcomes())
def test_auc_counts_ties_as_half_and_ks_is_the_largest_gap(
    found: tuple[NDArray[np.bool_], NDArray[np.float64]],
) -> None:
    bad, probability = found
    pairs = [(b > g) + (b == g) / 2 for b in probability[bad] for g in probability[~bad]]
    assert auc(bad, probability) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    gaps = [abs((probability[bad] <= cut).mean() - (probability[~bad] <= cut).mean()) for cut in probability]
    assert evaluate(bad, probability, names=("ks",))["ks"].value == pytest.approx(max(gaps), abs=1e-12)


def test_figures_agree_with_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    bad, probability = drawn(500)
    figures = evaluate(bad, probability)
    assert list(figures)[:5] == ["auc", "gini", "ks", "brier", "log_loss"]
    assert figures["auc"].value == pytest.approx(roc_auc_score(bad, probability), abs=1e-12)
    assert figures["gini"].value == pytest.approx(2 * roc_auc_score(bad, probability) - 1, abs=1e-12)
    assert figures["brier"].value == pytest.approx(brier_score_loss(bad, probability), abs=1e-12)
    assert figures["log_loss"].value == pytest.approx(log_loss(bad, probability), abs=1e-12)
    certain = evaluate(np.array([True, False, True, False]), np.array([0.0, 1.0, 1.0, 0.0]))["log_loss"]
    assert certain.value == pytest.approx(-np.log(1e-15) / 2, rel=0.01)
    assert str(Estimate(0.8121, 0.79, 0.8333)) == "0.812 (0.790 to 0.833)"


def test_intervals_hold_their_value_and_narrow_with_the_rows() -> None:
    few, many = evaluate(*drawn(200)), evaluate(*drawn(5_000))
    for figures in (few, many):
        for estimate in figures.values():
            assert estimate.low <= estimate.value <= estimate.high
    for name in ("auc", "gini", "brier", "log_loss"):
        assert many[name].high - many[name].low < (few[name].high - few[name].low) / 2
    assert few["auc"].low > 0.5
    bad, probability = drawn(2_000)
    chance = evaluate(bad, np.random.default_rng(0).permutation(probability))["auc"]
    assert chance.low < 0.5 < chance.high
    assert evaluate(*drawn(200), seed=1) == evaluate(*drawn(200), seed=1) != evaluate(*drawn(200), seed=2)


def test_rows_of_one_seller_are_drawn_together() -> None:
    """Four copies of each row contain no more information than one, if they are of one seller."""
    bad, probability = drawn(400)
    once = evaluate(bad, probability)["auc"]
    copies = np.repeat(bad, 4), np.repeat(probability, 4)
    sellers = pd.Series(np.repeat(np.arange(400), 4)).map("S-{}".format)
    clustered, alone = evaluate(*copies, sellers=sellers)["auc"], evaluate(*copies)["auc"]
    assert clustered.value == pytest.approx(once.value)
    width = once.high - once.low
    assert clustered.high - clustered.low == pytest.approx(width, rel=0.25)
    assert alone.high - alone.low < 0.7 * width
    assert evaluate(bad, probability, sellers=pd.Series(range(400))) == evaluate(bad, probability)


def test_a_draw_of_sellers_never_lacks_an_outcome() -> None:
    bad = np.array([True, True, False, False])
    found = evaluate(bad, np.array([0.4, 0.3, 0.2, 0.1]), sellers=pd.Series(["a", "a", "b", "b"]))
    assert found["auc"] == Estimate(1.0, 1.0, 1.0)


def test_calibration_finds_the_slope_and_intercept_that_made_the_outcomes() -> None:
    rng = np.random.default_rng(5)
    margins = rng.normal(-1.0, 1.5, 60_000)
    bad = rng.random(len(margins)) < 1 / (1 + np.exp(-(0.4 + 0.7 * margins)))
    found = fit_calibration(margins, bad)
    assert (found.slope, found.intercept) == (pytest.approx(0.7, abs=0.03), pytest.approx(0.4, abs=0.04))
    assert probabilities(found, margins).mean() == pytest.approx(bad.mean(), abs=1e-4)


def test_calibration_refuses_a_model_that_ranks_the_wrong_way() -> None:
    rng = np.random.default_rng(5)
    margins = rng.normal(size=2_000)
    bad = rng.random(len(margins)) < 1 / (1 + np.exp(1 + margins))
    with pytest.raises(TrainingError, match=r"no better than a random ranking: the calibration slope is -"):
        fit_calibration(margins, bad)


def test_a_calibration_of_other_folds_does_not_fit_the_level_that_it_is_judged_by() -> None:
    bad, probability = drawn(300, seed=8)
    margins = np.log(probability / (1 - probability))
    folds = [
        (np.flatnonzero(np.arange(300) % 5 != fold), np.flatnonzero(np.arange(300) % 5 == fold)) for fold in range(5)
    ]
    found = calibrate_out_of_fold(margins, bad, folds)
    assert probabilities(fit_calibration(margins, bad), margins).sum() == pytest.approx(bad.sum(), abs=0.01)
    assert abs(found.sum() - bad.sum()) > 0.02
    first = folds[0][1]
    changed = bad.copy()
    changed[first] = ~changed[first]
    assert calibrate_out_of_fold(margins, changed, folds)[first].tolist() == found[first].tolist()
