"""Confidence intervals, bootstrap, calibration slope and out-of-fold models against scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from training.evidence.metrics import auc, evaluate, resampled
from training.evidence.statistics import (
    draw_resamples,
    mean_interval,
    predict_by_single_features,
    predict_out_of_fold,
    recalibration,
    wilson_interval,
)


def logistic(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def outcomes(count: int, seed: int = 3) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Outcomes whose log-odds are -0.4 plus 0.7 times what is predicted; predictions tie often."""
    rng = np.random.default_rng(seed)
    predicted = np.round(rng.normal(-1.0, 1.2, count), 2)
    return rng.random(count) < logistic(-0.4 + 0.7 * predicted), logistic(predicted)


def unpenalised(log_odds: NDArray[np.float64], *sample: object) -> tuple[float, float]:
    """Return intercept and slope by scikit-learn."""
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds.reshape(-1, 1), *sample)
    return oracle.intercept_[0], oracle.coef_[0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_slope_and_intercept_are_those_of_an_unpenalised_logistic_regression(seed: int) -> None:
    bad, probability = outcomes(400, seed)
    log_odds = np.log(probability / (1 - probability))
    sample = bad.astype(float), np.random.default_rng(seed).integers(0, 4, len(bad)).astype(float)
    line = recalibration(log_odds, *sample)
    assert line == pytest.approx(unpenalised(log_odds, *sample), abs=1e-4)
    assert recalibration(log_odds, *sample, (9.0, -7.0)) == pytest.approx(line, abs=1e-6), "the start does not matter"


@pytest.mark.parametrize(
    ("probability", "slope"),
    [([0.1, 0.2, 0.8, 0.9], (1, np.inf)), ([0.0, 0.0, 1.0, 1.0], (1, np.inf)), ([1.0, 1.0, 0.0, 0.0], (-np.inf, 0))],
)
def test_certain_predictions_have_a_finite_slope(probability: list[float], slope: tuple[float, float]) -> None:
    figures = evaluate(np.array([False, False, True, True]), np.array(probability))
    assert all(np.isfinite([each.value, each.low, each.high]).all() for each in figures.values())
    assert slope[0] < figures["calibration_slope"].value < slope[1]


def test_a_constant_prediction_keeps_its_slope_and_moves_its_intercept() -> None:
    bad = np.repeat([1.0, 0.0], [20, 80])
    line = recalibration(np.zeros(100), bad, np.ones(100))
    assert line == pytest.approx((np.log(0.25), 1.0), abs=1e-4)


def test_intervals_have_the_width_of_theory() -> None:
    bad, probability = outcomes(3_000)
    found = evaluate(bad, probability, names=("calibration_slope", "calibration_intercept"))
    design = np.column_stack([np.ones(len(bad)), np.log(probability / (1 - probability))])
    fitted = logistic(design @ (found["calibration_intercept"].value, found["calibration_slope"].value))
    errors = np.sqrt(np.diag(np.linalg.inv((design * (fitted * (1 - fitted))[:, None]).T @ design)))
    for name, error in zip(("calibration_intercept", "calibration_slope"), errors, strict=True):
        assert (found[name].high - found[name].low) / 3.92 == pytest.approx(error, rel=0.2)


def test_figures_of_a_resample_are_those_of_its_rows() -> None:
    bad, probability = outcomes(250)
    _, drawn = resampled(bad, probability, seed=11)
    for number, weight in enumerate(draw_resamples(bad, 11, count=5)):
        rows = np.repeat(np.arange(len(bad)), weight.astype(int))
        truth, predicted = bad[rows], probability[rows]
        gaps = [abs((predicted[truth] <= cut).mean() - (predicted[~truth] <= cut).mean()) for cut in predicted]
        exact = {
            "auc": roc_auc_score(truth, predicted),
            "gini": 2 * roc_auc_score(truth, predicted) - 1,
            "ks": max(gaps),
            "brier": brier_score_loss(truth, predicted),
            "log_loss": log_loss(truth, predicted),
        }
        assert {name: drawn[name][number] for name in exact} == pytest.approx(exact, abs=1e-12)
        line = (drawn["calibration_intercept"][number], drawn["calibration_slope"][number])
        assert line == pytest.approx(unpenalised(np.log(predicted / (1 - predicted)), truth), abs=1e-3)


def test_the_interval_of_ks_contains_it_even_where_predictions_are_random() -> None:
    rng = np.random.default_rng(3)
    for rows in (60, 600, 6_000):
        found = evaluate(rng.random(rows) < 0.2, rng.random(rows), names=("ks",))["ks"]
        assert 0.0 <= found.low < found.value < found.high


def test_resamples_draw_as_many_rows_as_there_are_and_never_lack_a_kind() -> None:
    bad = np.arange(40) == 7
    drawn = np.array(list(draw_resamples(bad, seed=1, count=1_000)))
    assert set(drawn.sum(axis=1)) == {40.0}
    assert drawn[:, 7].min() >= 1
    # a binomial of 40 draws with one in forty, without its zeros; all other rows are drawn equally often
    often = 1 / (1 - (39 / 40) ** 40)
    assert drawn[:, 7].mean() == pytest.approx(often, abs=0.08)
    assert drawn[:, ~bad].mean(axis=0) == pytest.approx((40 - often) / 39, abs=0.15)


def test_two_models_are_compared_on_the_same_rows() -> None:
    """A model that ranks in the opposite order has one minus the AUC on every resample."""
    bad, probability = outcomes(100)
    one, two = (resampled(bad, each, seed=4, names=("auc",))[1]["auc"] for each in (probability, 1 - probability))
    assert one + two == pytest.approx(np.ones(len(one)))
    assert list(evaluate(bad, probability, names=("ks", "auc"))) == ["auc", "ks"], "only these are computed"


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3_000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_wilson_is_that_of_scipy_and_contains_the_share(counts: tuple[int, int]) -> None:
    hits, rows = counts
    low, high = wilson_interval(hits, rows)
    oracle = binomtest(hits, rows).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(oracle.low, abs=1e-6), pytest.approx(oracle.high, abs=1e-6))
    assert low <= hits / rows <= high


def test_without_rows_the_interval_is_zero_to_one() -> None:
    low, high = wilson_interval([0, 0], [0, 10])
    assert low.tolist() == [0.0, 0.0]
    assert high.tolist() == [1.0, pytest.approx(0.278, abs=1e-3)]


def test_a_mean_has_the_normal_interval_and_one_value_an_infinite_one() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    oracle = norm.interval(0.95, values.mean(), values.std(ddof=1) / 20)
    assert mean_interval(values) == pytest.approx((values.mean(), *oracle), abs=1e-6)
    assert mean_interval(np.array([4.0])) == (4.0, -np.inf, np.inf)


def test_features_without_a_signal_reach_chance() -> None:
    rng = np.random.default_rng(1)
    features = pd.DataFrame(rng.normal(size=(1_500, 2)), columns=["x", "y"])
    truth = logistic(features["x"].to_numpy())
    approved = rng.random(1_500) < truth
    shuffled, sellers = np.random.default_rng(2).permutation(approved), pd.Series(np.arange(1_500))
    assert auc(shuffled, predict_out_of_fold(features, shuffled, sellers, 1)) == pytest.approx(0.5, abs=0.05)
    found = auc(approved, predict_out_of_fold(features, approved, sellers, 1))
    assert auc(approved, truth) - 0.05 < found < auc(approved, truth) + 0.02


def test_models_are_not_trained_on_rows_of_the_same_seller() -> None:
    rng = np.random.default_rng(1)
    mark, inside = np.repeat(rng.normal(size=100), 10), np.repeat(rng.random(100) < 0.5, 10)
    features, seller = pd.DataFrame({"mark": mark}), pd.Series(np.arange(1_000))
    assert auc(inside, predict_out_of_fold(features, inside, seller // 10, 1)) < 0.7
    assert auc(inside, predict_by_single_features(features, inside, seller // 10, 1)["mark"]) < 0.75
    assert auc(inside, predict_out_of_fold(features, inside, seller, 1)) > 0.8


def test_each_feature_alone_reaches_its_auc() -> None:
    rng = np.random.default_rng(2)
    truth, noise = rng.random(2_000) < 0.2, rng.normal(size=(5, 2_000))
    features = pd.DataFrame(
        {
            "high": truth + noise[0],
            "low": noise[1] - truth,
            "between": np.where(truth, 0.1 * noise[2], 3 * noise[2]),
            "silent": np.where(truth & (rng.random(2_000) < 0.5), np.nan, noise[3]),
            "nothing": noise[4],
        }
    )
    told = predict_by_single_features(features, truth, pd.Series(np.arange(2_000) // 2), 1)
    found = {name: auc(truth, probability) for name, probability in told.items()}
    assert found["high"] == pytest.approx(roc_auc_score(truth, features["high"]), abs=0.06)
    assert found["low"] == pytest.approx(roc_auc_score(truth, -features["low"]), abs=0.06)
    assert found["between"] > 0.9 > abs(roc_auc_score(truth, features["between"]) - 0.5) + 0.5
    assert found["silent"] == pytest.approx(0.75, abs=0.05)
    assert found["nothing"] == pytest.approx(0.5, abs=0.05)


def test_outcomes_of_one_seller_alone_are_no_error() -> None:
    truth = np.arange(200) < 30
    sellers = pd.Series(np.where(truth, "S-1", [f"T-{row}" for row in range(200)]))
    found = predict_by_single_features(pd.DataFrame({"x": truth.astype(float)}), truth, sellers, 1)
    assert np.isfinite(found["x"]).all()
