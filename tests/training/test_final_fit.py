"""The final fit learns from every matured loan, and the study tells if it scores unlike the tested model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scoring.bundle import Bundle, pack
from scoring.model import Calibration
from tests.training.datasets import dataset
from tests.training.evidence.subjects import subject
from training.dataset import Dataset
from training.engines import memory_engine
from training.evidence.final_fit import final_fit
from training.final_fit import FinalFit, fit_final
from training.fit import FitConfig, fit_sample, out_of_fold
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


@pytest.fixture(scope="module")
def tested(loans: Dataset) -> Package:
    split = out_of_time(loans, SplitConfig(test_days=300, embargo_days=100))
    return Package(split.train, fit_sample(Sample.of_dataset(split.train), CONFIG), Calibration(0.9, 0.1), {})


@pytest.fixture(scope="module")
def holdout(loans: Dataset) -> Dataset:
    return out_of_time(loans, SplitConfig(test_days=300, embargo_days=100)).test


@pytest.fixture(scope="module")
def final(loans: Dataset, tested: Package, holdout: Dataset) -> FinalFit:
    return fit_final(loans, holdout, tested, CONFIG, memory_engine())


def test_it_learns_from_every_matured_loan_and_from_no_other(loans: Dataset, final: FinalFit) -> None:
    assert final.rows == len(loans.rows) - 1
    assert final.bad == int(loans.rows["bad"].iloc[1:].sum())
    assert final.parts.reference.population.startswith(f"{final.rows} training rows")


def test_predictions_of_the_test_loans_are_out_of_fold(
    loans: Dataset, tested: Package, holdout: Dataset, final: FinalFit
) -> None:
    matured = loans.select(pd.Series(loans.rows.index > 0))
    margins = out_of_fold(Sample.of_dataset(matured), CONFIG, tested.fitted.recipe)
    known = matured.rows.assign(margin=margins).groupby(["seller_id", "as_of", "bad"])["margin"].agg(sorted)
    wanted = holdout.rows.assign(margin=final.margins).groupby(["seller_id", "as_of", "bad"])["margin"].agg(sorted)
    assert wanted.tolist() == known.loc[wanted.index].tolist()
    served = Bundle.from_files(pack(final.parts))
    seen = np.asarray(served.model.booster.predict(holdout.features.to_numpy(), raw_score=True))
    assert not np.allclose(seen, final.margins)


def test_a_final_fit_that_gives_the_same_scores_raises_no_alarm() -> None:
    tested = subject()
    found = final_fit(tested, _final(tested.probability))
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
def test_a_final_fit_that_gives_other_scores_raises_an_alarm(change: object, alarm: str) -> None:
    assert callable(change)
    tested = subject()
    margins = np.log(tested.probability / (1 - tested.probability))
    found = final_fit(tested, replace(_final(tested.probability), margins=change(margins)))
    assert any(alarm in each for each in found.alarms)
    assert all("train again" in each for each in found.alarms)


def _final(probability: np.ndarray) -> FinalFit:
    parts = subject().bundle
    margins = np.log(probability / (1 - probability))
    return FinalFit(parts, 2_000, 300, pd.Timestamp("2025-01-02").date(), margins)  # type: ignore[arg-type]
