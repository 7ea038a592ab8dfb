"""Final fit: trained on every matured loan; the study raises an alarm if it scores unlike the tested model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from scoring.bundle import Bundle, pack
from scoring.model import Calibration
from tests.training.datasets import boosted_trees, dataset
from tests.training.evidence.subjects import subject
from training.dataset import Dataset
from training.engines import memory_engine
from training.evidence.final_fit import study_final_fit
from training.evidence.study import Finding
from training.final_fit import FinalFit, fit_final
from training.fit import FitConfig, out_of_fold
from training.package import Package
from training.sample import Sample
from training.split import SplitConfig, out_of_time

CONFIG = FitConfig(model="lightgbm", learning_rate=0.1, max_rounds=30, folds=3, threads=1)


@pytest.fixture(scope="module")
def loans() -> Dataset:
    found = dataset(900, 300)
    # one loan is later than those whose outcomes are all known
    found.rows.loc[0, "as_of"] = pd.Timestamp(found.labels.matured_through) + pd.Timedelta(days=1)
    return found


def test_it_trains_on_all_matured_loans_and_predicts_the_test_loans_out_of_fold(loans: Dataset) -> None:
    split = out_of_time(loans, SplitConfig(test_days=300, embargo_days=100))
    holdout, fitted = split.test, boosted_trees(split.train, CONFIG, 10)
    final = fit_final(loans, holdout, Package(split.train, fitted, Calibration(0.9, 0.1), {}), CONFIG, memory_engine())
    assert final.rows == len(loans.rows) - 1
    assert final.bad == int(loans.rows["bad"].iloc[1:].sum())
    assert final.parts.reference.population.startswith(f"{final.rows} training rows")
    matured = loans.select(pd.Series(loans.rows.index > 0))
    margins = out_of_fold(Sample.of_dataset(matured), CONFIG, fitted.recipe)
    known = matured.rows.assign(margin=margins).groupby(["seller_id", "as_of", "bad"])["margin"].agg(sorted)
    wanted = holdout.rows.assign(margin=final.margins).groupby(["seller_id", "as_of", "bad"])["margin"].agg(sorted)
    assert wanted.tolist() == known.loc[wanted.index].tolist()
    served = Bundle.from_files(pack(final.parts))
    in_sample = np.asarray(served.model.booster.predict(holdout.features.to_numpy(), raw_score=True))
    assert not np.allclose(in_sample, final.margins)


def found_for(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Finding:
    """Study a final fit whose margins are those of the tested model after a change."""
    tested = subject()
    margins = np.log(tested.probability / (1 - tested.probability))
    final = FinalFit(tested.bundle, 2_000, 300, date(2025, 1, 2), change(margins))  # type: ignore[arg-type]
    return study_final_fit(tested, final)


def test_a_final_fit_that_gives_the_same_scores_raises_no_alarm() -> None:
    found = found_for(lambda margins: margins)
    assert found.alarms == ()
    assert found.figures["rank_correlation"] == pytest.approx(1.0)
    assert found.figures["probability_ratio"] == pytest.approx(1.0)
    assert found.figures["median_points"] == found.figures["changed_band_share"] == 0.0
    assert len(found.tables["Features that only one of both reads"]) == 0


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        (lambda margins: margins + 1.0, "mean probability"),
        (lambda margins: margins - 1.0, "mean probability"),
        (lambda margins: np.random.default_rng(1).permutation(margins), "rank correlation"),
        (lambda margins: 4 * margins - 3 * margins.mean(), "PSI of the score"),
    ],
)
def test_a_final_fit_that_gives_other_scores_raises_an_alarm(
    change: Callable[[NDArray[np.float64]], NDArray[np.float64]], alarm: str
) -> None:
    found = found_for(change)
    assert any(alarm in each for each in found.alarms)
    assert all("Read the study of discrimination" in each for each in found.alarms)
