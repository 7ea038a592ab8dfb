"""Final fit: after the test, the recipe of the tested model is fitted on all matured loans. That model serves.

all matured loans -> recipe of the tested model -> served bundle, and its out-of-fold predictions of the test loans
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import BundleParts
from training.fit import FittedModel, fit_calibration, fit_rows, out_of_fold
from training.package import Package, bundle_parts
from training.predictions import loan_keys

if TYPE_CHECKING:
    from scoring.track_record import TrackRecord
    from training.dataset import Dataset
    from training.engines import TrainingEngine
    from training.fit import FitConfig


@dataclass(frozen=True)
class FinalFit:
    """A model fitted on all matured loans with the recipe of a tested one.

    Attributes:
        parts: parts of its bundle.
        rows: number of training loans.
        bad: number of training loans that defaulted.
        before: the first day after the last of these loans.
        margins: raw margin of each test loan, by models that were not trained on its seller, shape (test rows,).
    """

    parts: BundleParts
    rows: int
    bad: int
    before: date
    margins: NDArray[np.float64] = field(repr=False)


def fit_final(dataset: Dataset, test: Dataset, tested: Package, config: FitConfig, engine: TrainingEngine) -> FinalFit:
    """Fit the recipe of a tested model on all matured loans, including test loans and sellers kept from training.

    Features are selected on these loans. The calibration is fitted on them out of fold, so that the level follows the
    latest matured outcomes. Metrics and the track record remain those of the tested model: they are the evidence.

    Args:
        dataset: all labelled rows.
        test: the test part of the tested model.
        tested: the tested model and its evidence.
        config: the settings that it was fitted with.
        engine: where to keep the training data, and what fits the trees.
    """
    import pandas as pd

    matured = dataset.select(dataset.rows["as_of"].dt.date <= dataset.labels.matured_through)
    sample, bad = engine.sample(matured), matured.rows["bad"]
    recipe = tested.fitted.recipe
    margins = out_of_fold(sample, config, recipe, engine.boost)
    features, booster = fit_rows(sample, config, recipe, engine.boost)
    calibration = fit_calibration(margins, bad.to_numpy())
    fitted = FittedModel(booster, recipe, features, None, tested.fitted.stability, margins)
    record = None if tested.track_record is None else _tested_record(tested.track_record, len(tested.train.rows))
    test_rows = pd.Index(loan_keys(matured.rows)).get_indexer(loan_keys(test.rows))
    return FinalFit(
        parts=bundle_parts(replace(tested, train=matured, fitted=fitted, calibration=calibration, track_record=record)),
        rows=len(bad),
        bad=int(bad.sum()),
        before=dataset.labels.matured_through + timedelta(days=1),
        margins=margins[test_rows],
    )


def _tested_record(record: TrackRecord, rows: int) -> TrackRecord:
    """Return the track record as the served bundle states it. Bundles hold this text: do not reword."""
    text = f"{record.loans}; predicted by the tested model, which has the same recipe and {rows:,} training loans"
    return replace(record, loans=text)
