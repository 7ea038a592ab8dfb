"""Calibration slope and intercept against scikit-learn and Wald's theory; the resamples that intervals come from."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from training.evidence.metrics import evaluate, resampled
from training.evidence.statistics import Ranked, draw_resamples, recalibration, without_resampling


def logistic(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def judged(count: int, seed: int = 3) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Outcomes whose log-odds are -0.4 plus 0.7 times what is predicted; predictions tie often."""
    rng = np.random.default_rng(seed)
    predicted = np.round(rng.normal(-1.0, 1.2, count), 2)
    return rng.random(count) < logistic(-0.4 + 0.7 * predicted), logistic(predicted)


def counted(ranked: Ranked, bad: NDArray[np.bool_], seed: int, count: int) -> list[NDArray[np.float64]]:
    """The resamples as how often each row was drawn, in the rows' own order."""
    found = []
    for sample in draw_resamples(ranked, seed, count):
        weight = np.empty(len(bad))
        weight[np.flatnonzero(bad)[ranked.bad_order]] = sample.bad
        weight[np.flatnonzero(~bad)[ranked.good_order]] = sample.good
        found.append(weight)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_slope_and_intercept_are_those_of_an_unpenalised_logistic_regression(seed: int) -> None:
    bad, probability = judged(400, seed)
    log_odds = np.log(probability / (1 - probability))
    weight = np.random.default_rng(seed).integers(0, 4, len(bad)).astype(float)
    intercept, slope = recalibration(log_odds, bad.astype(float), weight)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds.reshape(-1, 1), bad, weight)
    assert slope == pytest.approx(oracle.coef_[0, 0], abs=1e-4)
    assert intercept == pytest.approx(oracle.intercept_[0], abs=1e-4)


def test_what_made_the_outcomes_is_found_again() -> None:
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
def test_predictions_that_part_good_and_bad_have_a_finite_slope(probability: list[float]) -> None:
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


def test_intervals_are_as_wide_as_theory_says() -> None:
    bad, probability = judged(3_000)
    found = evaluate(bad, probability)
    design = np.column_stack([np.ones(len(bad)), np.log(probability / (1 - probability))])
    fitted = logistic(design @ (found["calibration_intercept"].value, found["calibration_slope"].value))
    errors = np.sqrt(np.diag(np.linalg.inv((design * (fitted * (1 - fitted))[:, None]).T @ design)))
    for name, error in zip(("calibration_intercept", "calibration_slope"), errors, strict=True):
        assert (found[name].high - found[name].low) / 3.92 == pytest.approx(error, rel=0.2)


def test_figures_of_a_resample_are_those_of_its_rows() -> None:
    bad, probability = judged(250)
    ranked = Ranked.of(bad, probability)
    _, drawn = resampled(bad, probability, seed=11)
    for number, weight in enumerate(counted(ranked, bad, 11, 5)):
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
    ranked = Ranked.of(bad, np.linspace(0.1, 0.9, 40))
    drawn = list(draw_resamples(ranked, seed=1, count=300))
    assert {sample.bad.sum() + sample.good.sum() for sample in drawn} == {40.0}
    counts = np.array([sample.bad.sum() for sample in drawn])
    assert counts.min() >= 1
    # a binomial of 40 draws with one in forty, without its zeros
    assert counts.mean() == pytest.approx(1 / (1 - (39 / 40) ** 40), abs=0.15)


def test_every_row_is_drawn_equally_often() -> None:
    bad = np.arange(30) < 10
    ranked = Ranked.of(bad, np.random.default_rng(0).random(30))
    mean = np.mean(counted(ranked, bad, 5, 4_000), axis=0)
    assert mean == pytest.approx(1.0, abs=0.08)


def test_two_models_are_compared_on_the_same_rows() -> None:
    bad, probability = judged(100)
    other = np.random.default_rng(2).permutation(probability)
    one, two = (counted(Ranked.of(bad, each), bad, 4, 3) for each in (probability, other))
    assert all((first == second).all() for first, second in zip(one, two, strict=True))


def test_the_sample_of_all_rows_counts_each_once() -> None:
    bad, probability = judged(50)
    sample = without_resampling(Ranked.of(bad, probability))
    assert (sample.bad.sum(), sample.good.sum()) == (bad.sum(), (~bad).sum())


def test_only_the_figures_asked_for_are_computed() -> None:
    assert list(evaluate(*judged(60), names=("ks", "auc"))) == ["auc", "ks"]
