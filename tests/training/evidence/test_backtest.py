"""The backtest compares model and scorecard on the rows that origins leave out, with two draws of sellers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from training.candidates import Kind, LeftOut
from training.columns import Columns
from training.evidence.backtest import LEAST_BAD, study_backtest
from training.evidence.metrics import auc
from training.fit import FitConfig, FittedModel, fit_sample, repeat_origins
from training.sample import Sample

CONFIG = FitConfig(learning_rate=0.1, max_rounds=60, patience=10, folds=3, threads=1)


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(1_500, 6))
    bad = rng.random(1_500) < 1 / (1 + np.exp(1.5 - 1.2 * matrix.sum(axis=1) / np.sqrt(6)))
    names = [f"feature_{number}" for number in range(6)]
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 1_500), unit="D")
    return Sample.of(
        pd.DataFrame(matrix, columns=names),
        pd.Series(bad),
        pd.Series(rng.integers(0, 500, 1_500)),
        pd.Series(days),
        Columns.of(names, dict.fromkeys(names, 1), not_scored=()),
    )


@pytest.fixture(scope="module")
def fitted(sample: Sample) -> FittedModel:
    return fit_sample(sample, CONFIG)


@pytest.fixture(scope="module")
def repeated(sample: Sample, fitted: FittedModel) -> LeftOut:
    return repeat_origins(sample, CONFIG, fitted)


def test_the_second_draw_leaves_out_other_sellers_of_the_same_periods(
    sample: Sample, fitted: FittedModel, repeated: LeftOut
) -> None:
    first = fitted.choice.left_out
    assert sorted(repeated.days) == sorted(first.days)
    assert repeated.sellers.tolist() != first.sellers.tolist()
    assert set(repeated.margins) == {fitted.recipe.kind, Kind.SCORECARD}
    for inside, left in sample.origins(CONFIG.origins, CONFIG.seed + 1):
        assert not set(sample.sellers[inside]) & set(sample.sellers[left])


def test_figures_are_of_both_draws_together(fitted: FittedModel, repeated: LeftOut) -> None:
    finding = study_backtest(fitted.choice, repeated, seed=7)
    draws = (fitted.choice.left_out, repeated)
    bad = np.concatenate([draw.bad for draw in draws])
    kinds = (fitted.recipe.kind, Kind.SCORECARD)
    own, card = (np.concatenate([draw.margins[kind] for draw in draws]) for kind in kinds)
    assert finding.figures["auc"] == pytest.approx(auc(bad, own))
    assert finding.figures["auc_difference"] == pytest.approx(auc(bad, own) - auc(bad, card))
    assert finding.figures["defaults"] == bad.sum() == finding.tables["By draw of sellers"]["bad"].sum()
    assert (finding.tables["By period"]["bad"] >= LEAST_BAD).all()
    assert "with two draws of sellers" in finding.summary


def test_a_model_that_ranks_worse_than_the_scorecard_raises_an_alarm(fitted: FittedModel, repeated: LeftOut) -> None:
    noise = np.random.default_rng(1).normal(size=len(repeated.bad))
    worse = replace(repeated, margins={**repeated.margins, fitted.recipe.kind: noise})
    (alarm,) = study_backtest(fitted.choice, worse, seed=7).alarms
    assert "below the limit of 0" in alarm


def test_without_dates_nothing_is_repeated(sample: Sample) -> None:
    undated = replace(sample, days=None)
    fitted = fit_sample(undated, CONFIG)
    assert repeat_origins(undated, CONFIG, fitted) is None
    finding = study_backtest(fitted.choice, None, seed=7)
    assert finding.tables == {}
    assert finding.title == "Backtest on folds of sellers"
    assert finding.summary.startswith("Fitted without each of several folds of sellers in turn, the ")
    assert "two draws" not in finding.summary
    assert "origin" not in finding.summary + finding.checks[0].figure
