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


def judged(count: int, seed: int = 3) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Outcomes whose log-odds are -0.4 plus 0.7 times what is predicted; predictions tie often."""
    rng = np.random.default_rng(seed)
    predicted = np.round(rng.normal(-1.0, 1.2, count), 2)
    return rng.random(count) < logistic(-0.4 + 0.7 * predicted), logistic(predicted)


@pytest.mark.parametrize("seed", range(5))
def test_slope_and_intercept_are_those_of_an_unpenalised_logistic_regression(seed: int) -> None:
    bad, probability = judged(400, seed)
    log_odds = np.log(probability / (1 - probability))
    weight = np.random.default_rng(seed).integers(0, 4, len(bad)).astype(float)
    intercept, slope = recalibration(log_odds, bad.astype(float), weight)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds.reshape(-1, 1), bad, weight)
    assert slope == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
    assert intercept == pytest.approx(oracle.intercept_[0], abs=1e-4)


def test_the_true_slope_and_intercept_are_recovered() -> None:
    bad, probability = judged(20_000)
    found = evaluate(bad, probability, names=("calibration_slope", "calibration_intercept"))
    assert found["calibration_slope"].value == pytest.approx(0.7, abs=0.05)
    assert found["calibration_intercept"].value == pytest.approx(-0.4, abs=0.07)


def test_the_start_does_not_matter() -> None:
    bad, probability = judged(300)
    log_odds, weight = np.log(probability / (1 - probability)), np.ones(300)
    near, far = (recalibration(log_odds, bad.astype(float), weight, start) for start in ((0.0, 1.0), (9.0, -7.0)))
    assert near == pytest.approx(far, abs=1e-6)


@pytest.mark.parametrize("probability", [[0.1, 0.2, 0.8, 0.9], [0.0, 0.0, 1.0, 1.0]])
def test_predictions_that_separate_good_and_bad_have_a_finite_slope(probability: list[float]) -> None:
    figures = evaluate(np.array([False, False, True, True]), np.array(probability))
    assert all(np.isfinite([each.value, each.low, each.high]).all() for each in figures.values())
    assert figures["calibration_slope"].value > 1


def test_certain_predictions_that_are_wrong_have_a_finite_slope_below_zero() -> None:
    figures = evaluate(np.array([False, False, True, True]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert figures["calibration_slope"].value < 0
    assert all(np.isfinite([each.low, each.high]).all() for each in figures.values())


def test_a_constant_prediction_keeps_its_slope_and_moves_its_intercept() -> None:
    bad = np.repeat([True, False], [20, 80])
    intercept, slope = recalibration(np.zeros(100), bad.astype(float), np.ones(100))
    assert slope == pytest.approx(1.0)
    assert intercept == pytest.approx(np.log(0.25), abs=1e-4)


def test_intervals_have_the_width_of_theory() -> None:
    bad, probability = judged(3_000)
    found = evaluate(bad, probability)
    design = np.column_stack([np.ones(len(bad)), np.log(probability / (1 - probability))])
    fitted = logistic(design @ (found["calibration_intercept"].value, found["calibration_slope"].value))
    errors = np.sqrt(np.diag(np.linalg.inv((design * (fitted * (1 - fitted))[:, None]).T @ design)))
    for name, error in zip(("calibration_intercept", "calibration_slope"), errors, strict=True):
        assert (found[name].high - found[name].low) / 3.92 == pytest.approx(error, rel=0.2)


def test_figures_of_a_resample_are_those_of_its_rows() -> None:
    bad, probability = judged(250)
    _, drawn = resampled(bad, probability, seed=11)
    for number, weight in enumerate(draw_resamples(bad, 11, count=5)):
        rows = np.repeat(np.arange(len(bad)), weight.astype(int))
        truth, predicted = bad[rows], probability[rows]
        gaps = [abs((predicted[truth] <= cut).mean() - (predicted[~truth] <= cut).mean()) for cut in predicted]
        oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(np.log(predicted / (1 - predicted)).reshape(-1, 1), truth)
        assert drawn["auc"][number] == pytest.approx(roc_auc_score(truth, predicted), abs=1e-12)
        assert drawn["gini"][number] == pytest.approx(2 * roc_auc_score(truth, predicted) - 1, abs=1e-12)
        assert drawn["ks"][number] == pytest.approx(max(gaps), abs=1e-12)
        assert drawn["brier"][number] == pytest.approx(brier_score_loss(truth, predicted), abs=1e-12)
        assert drawn["log_loss"][number] == pytest.approx(log_loss(truth, predicted), abs=1e-12)
        assert drawn["calibration_slope"][number] == pytest.approx(oracle.coef_[0, 0], abs=1e-3)
        assert drawn["calibration_intercept"][number] == pytest.approx(oracle.intercept_[0], abs=1e-3)


def test_resamples_draw_as_many_rows_as_there_are_and_never_lack_a_kind() -> None:
    bad = np.arange(40) == 7
    drawn = list(draw_resamples(bad, seed=1, count=300))
    assert {weight.sum() for weight in drawn} == {40.0}
    counts = np.array([weight[bad].sum() for weight in drawn])
    assert counts.min() >= 1
    # a binomial of 40 draws with one in forty, without its zeros
    assert counts.mean() == pytest.approx(1 / (1 - (39 / 40) ** 40), abs=0.15)


def test_every_row_is_drawn_equally_often() -> None:
    bad = np.arange(30) < 10
    mean = np.mean(list(draw_resamples(bad, 5, count=4_000)), axis=0)
    assert mean == pytest.approx(1.0, abs=0.08)


def test_two_models_are_compared_on_the_same_rows() -> None:
    """A model that ranks in the opposite order has one minus the AUC on every resample."""
    bad, probability = judged(100)
    _, one = resampled(bad, probability, seed=4, names=("auc",))
    _, two = resampled(bad, 1 - probability, seed=4, names=("auc",))
    assert one["auc"] + two["auc"] == pytest.approx(np.ones(len(one["auc"])))


def test_only_the_figures_asked_for_are_computed() -> None:
    assert list(evaluate(*judged(60), names=("ks", "auc"))) == ["auc", "ks"]


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


def test_a_mean_has_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    oracle = norm.interval(0.95, values.mean(), values.std(ddof=1) / 20)
    assert mean_interval(values) == pytest.approx((values.mean(), *oracle), abs=1e-6)
    assert mean_interval(np.array([1.0, 3.0])) == pytest.approx((2, 2 - 1.96, 2 + 1.96), abs=1e-3)


def test_one_value_has_an_infinite_interval() -> None:
    assert mean_interval(np.array([4.0])) == (4.0, -np.inf, np.inf)


def test_features_without_a_signal_reach_chance() -> None:
    rng = np.random.default_rng(1)
    features = pd.DataFrame(rng.normal(size=(1_500, 2)), columns=["x", "y"])
    approved = rng.random(1_500) < 1 / (1 + np.exp(-features["x"]))
    shuffled = np.random.default_rng(2).permutation(approved)
    sellers = pd.Series(np.arange(1_500))
    assert auc(shuffled, predict_out_of_fold(features, shuffled, sellers, 1)) == pytest.approx(0.5, abs=0.05)
    found = predict_out_of_fold(features, approved, sellers, 1)
    true = auc(approved, 1 / (1 + np.exp(-features["x"].to_numpy())))
    assert true - 0.05 < auc(approved, found) < true + 0.02


def test_models_are_not_trained_on_rows_of_the_same_seller() -> None:
    rng = np.random.default_rng(1)
    mark = np.repeat(rng.normal(size=100), 10)
    inside = np.repeat(rng.random(100) < 0.5, 10)
    features, sellers = pd.DataFrame({"mark": mark}), pd.Series(np.repeat(np.arange(100), 10))
    assert auc(inside, predict_out_of_fold(features, inside, sellers, 1)) < 0.7
    assert auc(inside, predict_out_of_fold(features, inside, pd.Series(np.arange(1_000)), 1)) > 0.8


@pytest.fixture(scope="module")
def rows() -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    """Features that tell in different ways, and one that tells nothing."""
    rng = np.random.default_rng(2)
    truth = rng.random(2_000) < 0.2
    noise = rng.normal(size=(5, 2_000))
    features = pd.DataFrame(
        {
            "high": truth + noise[0],
            "low": noise[1] - truth,
            "between": np.where(truth, 0.1 * noise[2], 3 * noise[2]),
            "silent": np.where(truth & (rng.random(2_000) < 0.5), np.nan, noise[3]),
            "nothing": noise[4],
        }
    )
    return features, truth, pd.Series(np.arange(2_000) // 2)


def test_each_feature_alone_reaches_its_auc(rows: tuple[pd.DataFrame, np.ndarray, pd.Series]) -> None:
    features, truth, sellers = rows
    found = {name: auc(truth, told) for name, told in predict_by_single_features(features, truth, sellers, 1).items()}
    assert found["high"] == pytest.approx(roc_auc_score(truth, features["high"]), abs=0.06)
    assert found["low"] == pytest.approx(roc_auc_score(truth, -features["low"]), abs=0.06)
    assert found["between"] > 0.9 > abs(roc_auc_score(truth, features["between"]) - 0.5) + 0.5
    assert found["silent"] == pytest.approx(0.75, abs=0.05)
    assert found["nothing"] == pytest.approx(0.5, abs=0.05)


def test_single_feature_models_are_not_trained_on_rows_of_the_same_seller() -> None:
    rng = np.random.default_rng(1)
    features = pd.DataFrame({"mark": np.repeat(rng.permutation(40), 50)})
    truth = np.repeat(rng.random(40) < 0.5, 50)
    sellers = pd.Series(np.repeat(np.arange(40), 50))
    assert auc(truth, predict_by_single_features(features, truth, sellers, 1)["mark"]) < 0.75


def test_outcomes_of_one_seller_alone_are_no_error() -> None:
    truth = np.arange(200) < 30
    sellers = pd.Series(np.where(truth, "S-1", [f"T-{row}" for row in range(200)]))
    found = predict_by_single_features(pd.DataFrame({"x": truth.astype(float)}), truth, sellers, 1)
    assert np.isfinite(found["x"]).all()
