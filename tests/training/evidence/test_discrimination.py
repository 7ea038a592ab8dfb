"""AUC of two models on the same loans against scikit-learn; when a difference is an alarm; sellers are drawn whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tests.training.evidence.subjects import subject
from training.evidence.discrimination import RankingComparison, compare_ranking, study_discrimination
from training.evidence.limits import Standing, two_digits


def loans(rows: int, seed: int = 1, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Outcomes, a prediction that ranks them, and a seller each."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=rows)
    bad = rng.random(rows) < 1 / (1 + np.exp(2 - 2 * strength * risk))
    return bad, np.round(risk, 1), pd.Series([f"S-{row}" for row in range(rows)])


def judged(rows: int, ours: float, theirs: float) -> RankingComparison:
    """Two predictions of the same loans, each the truth with so much noise."""
    bad, risk, sellers = loans(rows)
    rng = np.random.default_rng(2)
    noisy = [risk + noise * rng.normal(size=rows) for noise in (ours, theirs)]
    return compare_ranking(bad, (noisy[0], noisy[1]), sellers, 7)


def test_aucs_are_those_of_scikit_learn_with_ties() -> None:
    bad, risk, sellers = loans(400)
    other = np.random.default_rng(3).integers(0, 5, 400).astype(float)
    found = compare_ranking(bad, (risk, other), sellers, 7, draws=50)
    assert found.model.value == pytest.approx(roc_auc_score(bad, risk))
    assert found.scorecard.value == pytest.approx(roc_auc_score(bad, other))
    assert found.difference.value == pytest.approx(found.model.value - found.scorecard.value)
    for estimate in (found.model, found.scorecard, found.difference):
        assert estimate.low < estimate.value < estimate.high


def test_a_resample_of_sellers_is_a_sample_of_their_loans() -> None:
    """The interval is that of drawing sellers with all their loans, done here the slow way."""
    bad, risk, sellers = loans(200)
    sellers = pd.Series([f"S-{row // 5}" for row in range(200)])
    found = compare_ranking(bad, (risk, -risk), sellers, 7)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(500):
        rows = np.concatenate([np.arange(5 * seller, 5 * seller + 5) for seller in rng.integers(0, 40, 40)])
        drawn.append(roc_auc_score(bad[rows], risk[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.model.low, found.model.high) == pytest.approx((low, high), abs=0.02)


def test_a_pair_on_the_same_loans_is_surer_than_two_intervals() -> None:
    found = judged(400, 0.2, 0.3)
    assert found.difference.high - found.difference.low < found.model.high - found.model.low


def test_loans_of_one_seller_count_as_one() -> None:
    bad, risk, _ = loans(60)
    alike = [np.repeat(each, 10) for each in (bad, risk)]
    alone, together = (
        compare_ranking(alike[0], (alike[1], alike[1]), pd.Series(sellers), 7).model
        for sellers in (np.arange(600).astype(str), np.repeat(np.arange(60), 10).astype(str))
    )
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_sound_model_raises_no_alarm() -> None:
    finding = study_discrimination(subject())
    assert finding.alarms == ()
    assert finding.figures["auc_low"] > 0.5
    assert finding.figures["scorecard_auc"] == 0.5
    assert "The model ranks better." in finding.summary


def test_a_model_that_ranks_like_chance_raises_an_alarm() -> None:
    found = subject()
    finding = study_discrimination(replace(found, probability=np.full(700, 0.1)))
    (alarm,) = finding.alarms
    assert alarm.startswith("The AUC of the model is 0.5, no better than a random ranking (0.5).")


def test_a_model_that_is_worse_than_the_scorecard_beyond_chance_raises_an_alarm() -> None:
    found = subject()
    noise = np.random.default_rng(1).normal(0, 1.0, 700)
    worse = replace(found, scorecard=found.probability, probability=found.probability + 0.3 * noise)
    finding = study_discrimination(worse)
    assert [alarm for alarm in finding.alarms if alarm.startswith("The difference in AUC (model less scorecard) is -0")]
    assert "The model ranks worse." in finding.summary


def test_few_defaults_say_what_they_cannot_show() -> None:
    found = subject()
    few = found.test.select(found.test.rows.index.to_series() < 60)
    noise = np.random.default_rng(4).normal(0, 0.05, 60)
    small = replace(found, test=few, probability=found.probability[:60] + noise, scorecard=found.probability[:60])
    finding = study_discrimination(small)
    bad = int(small.bad.sum())
    assert f"{bad} defaults are too few to show which of the two ranks better." in finding.summary
    assert f"cannot show a difference in AUC below about {two_digits(half(finding.figures))}." in finding.summary
    by_figure = {check.figure: check for check in finding.checks}
    check = by_figure["difference in AUC (model less scorecard)"]
    if finding.figures["auc_difference"] < 0:
        assert check.standing is Standing.UNCERTAIN


def half(figures: dict[str, float]) -> float:
    return (figures["auc_difference_high"] - figures["auc_difference_low"]) / 2
