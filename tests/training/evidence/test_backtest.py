"""The backtest compares model and scorecard on the rows that origins leave out, with two draws of sellers."""

from __future__ import annotations

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


def loans(*, timed: bool = True) -> Sample:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(1_500, 6))
    bad = rng.random(1_500) < 1 / (1 + np.exp(1.5 - 1.2 * matrix.sum(axis=1) / np.sqrt(6)))
    names = [f"feature_{number}" for number in range(6)]
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 1_500), unit="D")
    return Sample.of(
        pd.DataFrame(matrix, columns=names),
        pd.Series(bad),
        pd.Series(rng.integers(0, 500, 1_500)),
        pd.Series(days) if timed else None,
        Columns.of(names, dict.fromkeys(names, 1), not_scored=()),
    )


@pytest.fixture(scope="module")
def sample() -> Sample:
    return loans()


@pytest.fixture(scope="module")
def fitted(sample: Sample) -> FittedModel:
    return fit_sample(sample, CONFIG)


@pytest.fixture(scope="module")
def repeated(sample: Sample, fitted: FittedModel) -> LeftOut:
    found = repeat_origins(sample, CONFIG, fitted)
    assert found is not None
    return found


def test_the_second_draw_leaves_out_other_sellers_of_the_same_periods(
    sample: Sample, fitted: FittedModel, repeated: LeftOut
) -> None:
    assert fitted.choice is not None
    first = fitted.choice.left_out
    assert repeated.days is not None
    assert first.days is not None
    assert sorted(repeated.days) == sorted(first.days)
    assert repeated.sellers.tolist() != first.sellers.tolist()
    assert set(repeated.margins) == {fitted.recipe.kind, Kind.SCORECARD}
    inside = [set(sample.sellers[part]) for part, _ in sample.origins(CONFIG.origins, CONFIG.seed + 1)]
    outside = [set(sample.sellers[left]) for _, left in sample.origins(CONFIG.origins, CONFIG.seed + 1)]
    assert all(not trained & left for trained, left in zip(inside, outside, strict=True))


def test_figures_are_of_both_draws_together(fitted: FittedModel, repeated: LeftOut) -> None:
    assert fitted.choice is not None
    found = study_backtest(fitted.choice, repeated, seed=7)
    rows = (fitted.choice.left_out, repeated)
    bad = np.concatenate([each.bad for each in rows])
    own, scorecard = (
        np.concatenate([each.margins[kind] for each in rows]) for kind in (fitted.recipe.kind, Kind.SCORECARD)
    )
    assert found.figures["auc"] == pytest.approx(auc(bad, own))
    assert found.figures["auc_difference"] == pytest.approx(auc(bad, own) - auc(bad, scorecard))
    assert found.figures["defaults"] == bad.sum()
    assert found.tables["By draw of borrowers"]["bad"].sum() == bad.sum()
    assert (found.tables["By period"]["bad"] >= LEAST_BAD).all()
    assert "with two draws of borrowers" in found.summary


def test_a_model_that_ranks_worse_than_the_scorecard_raises_an_alarm(fitted: FittedModel, repeated: LeftOut) -> None:
    assert fitted.choice is not None
    margins = {**repeated.margins, fitted.recipe.kind: np.random.default_rng(1).normal(size=len(repeated.bad))}
    worse = LeftOut(repeated.bad, repeated.sellers, repeated.days, margins)
    (alarm,) = study_backtest(fitted.choice, worse, seed=7).alarms
    assert "below the limit of 0" in alarm


def test_without_dates_nothing_is_repeated() -> None:
    sample = loans(timed=False)
    fitted = fit_sample(sample, CONFIG)
    assert repeat_origins(sample, CONFIG, fitted) is None
    assert fitted.choice is not None
    found = study_backtest(fitted.choice, None, seed=7)
    assert found.tables == {}
    assert "two draws" not in found.summary
    assert found.title == "Backtest on folds of borrowers"
    assert found.summary.startswith("Fitted without each of several folds of borrowers in turn, the ")
    assert "origin" not in found.summary + found.checks[0].figure
