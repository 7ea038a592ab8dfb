"""AUC of two models on the same loans against scikit-learn; when a difference is an alarm; sellers are drawn whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tests.training.evidence.subjects import first_rows, subject
from training.evidence.discrimination import compare_ranking, study_discrimination
from training.evidence.limits import Standing, two_digits
from training.evidence.metrics import evaluate
from training.evidence.study import ReviewedModel


def loans(rows: int) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Outcomes, a prediction that ranks them, and a seller each."""
    rng = np.random.default_rng(1)
    risk = rng.normal(size=rows)
    bad = rng.random(rows) < 1 / (1 + np.exp(2 - 2 * risk))
    return bad, np.round(risk, 1), pd.Series([f"S-{row}" for row in range(rows)])


def test_aucs_are_those_of_scikit_learn_with_ties() -> None:
    bad, risk, sellers = loans(400)
    other = np.random.default_rng(3).integers(0, 5, 400).astype(float)
    found = compare_ranking(bad, (risk, other), sellers, 7)
    assert found.model.value == pytest.approx(roc_auc_score(bad, risk))
    assert found.scorecard.value == pytest.approx(roc_auc_score(bad, other))
    assert found.difference.value == pytest.approx(found.model.value - found.scorecard.value)
    for estimate in (found.model, found.scorecard, found.difference):
        assert estimate.low < estimate.value < estimate.high


def test_intervals_are_those_of_drawing_sellers_with_all_their_loans_for_both_models_together() -> None:
    bad, risk, _ = loans(200)
    other = risk + np.random.default_rng(2).normal(0, 0.3, 200)
    found = compare_ranking(bad, (risk, other), pd.Series([f"S-{row // 5}" for row in range(200)]), 7)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(300):
        rows = (5 * rng.integers(0, 40, 40)[:, None] + np.arange(5)).ravel()
        aucs = [roc_auc_score(bad[rows], each[rows]) for each in (risk, other)]
        drawn.append((*aucs, aucs[0] - aucs[1]))
    ends = [(each.low, each.high) for each in (found.model, found.scorecard, found.difference)]
    assert np.array(ends) == pytest.approx(np.quantile(drawn, [0.025, 0.975], axis=0).T, abs=0.02)


def test_the_auc_has_the_interval_of_the_metrics_of_the_run() -> None:
    sellers = subject().test.rows["seller_id"]
    for model in (subject(), with_sellers(subject(), [f"S-{row}" for row in range(len(sellers))])):
        figures = study_discrimination(model).figures
        metrics = evaluate(model.bad, model.probability, model.seed, ("auc",), model.test.rows["seller_id"])
        assert metrics["auc"].figures("auc") == {name: figures[name] for name in ("auc", "auc_low", "auc_high")}


def with_sellers(model: ReviewedModel, sellers: list[str]) -> ReviewedModel:
    return replace(model, test=replace(model.test, rows=model.test.rows.assign(seller_id=sellers)))


def test_an_auc_that_no_honest_feature_reaches_is_no_proof_of_a_better_model() -> None:
    model = subject()
    summary = study_discrimination(replace(model, probability=np.where(model.bad, 0.9, 0.1))).summary
    assert "is a sign that a feature contains the outcome: read the study of target leakage" in summary
    assert "ranks better." not in summary


def test_a_sound_model_raises_no_alarm() -> None:
    finding = study_discrimination(subject())
    assert finding.alarms == ()
    assert finding.figures["auc_low"] > finding.figures["scorecard_auc"] == 0.5
    assert "The model ranks better." in finding.summary


def test_a_model_that_ranks_like_chance_raises_an_alarm() -> None:
    (alarm,) = study_discrimination(replace(subject(), probability=np.full(700, 0.1))).alarms
    assert alarm.startswith("The AUC of the model is 0.5, no better than a random ranking (0.5).")


def test_a_model_that_is_worse_than_the_scorecard_beyond_chance_raises_an_alarm() -> None:
    model, noise = subject(), np.random.default_rng(1).normal(0, 0.3, 700)
    finding = study_discrimination(replace(model, scorecard=model.probability, probability=model.probability + noise))
    assert any(alarm.startswith("The difference in AUC (model less scorecard) is -0") for alarm in finding.alarms)
    assert "The model ranks worse." in finding.summary


def test_few_defaults_say_what_they_cannot_show() -> None:
    few, noise = first_rows(subject(), 60), np.random.default_rng(1).normal(0, 0.05, 60)
    finding = study_discrimination(replace(few, probability=few.probability + noise, scorecard=few.probability))
    half = (finding.figures["auc_difference_high"] - finding.figures["auc_difference_low"]) / 2
    assert f"{few.bad.sum()} defaults are too few to show which of the two ranks better." in finding.summary
    assert f"cannot show a difference in AUC below about {two_digits(half)}." in finding.summary
    check = next(check for check in finding.checks if check.figure == "difference in AUC (model less scorecard)")
    assert finding.figures["auc_difference"] < 0
    assert check.standing is Standing.UNCERTAIN
