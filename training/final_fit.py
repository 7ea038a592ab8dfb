"""The final fit: once a model is tested, its recipe is fitted again on all matured loans, and that model serves.

all matured loans -> recipe of the tested model -> served bundle, and its predictions of the test loans out of fold
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
    import pandas as pd

    from scoring.track_record import TrackRecord
    from training.dataset import Dataset
    from training.engines import TrainingEngine
    from training.fit import FitConfig


@dataclass(frozen=True)
class FinalFit:
    """A model fitted on all matured loans with the recipe of a tested one.

    Attributes:
        parts: of its bundle.
        rows: number of training loans.
        bad: number of training loans that defaulted.
        before: the first day after the last of these loans.
        margins: raw margin of each test loan, by models that did not see its seller, shape (test rows,).
    """

    parts: BundleParts
    rows: int
    bad: int
    before: date
    margins: NDArray[np.float64] = field(repr=False)


def fit_final(dataset: Dataset, test: Dataset, tested: Package, config: FitConfig, learner: TrainingEngine) -> FinalFit:
    """Fit the recipe of a tested model on all matured loans, test loans and sellers kept apart included.

    Features are selected on these loans. The level is fitted on them out of fold, so that it follows the latest
    matured outcomes. Figures of merit and the track record stay those of the tested model: they are the evidence.

    Args:
        dataset: all labelled rows.
        test: those of them that the tested model was measured on.
        tested: the tested model and its evidence.
        config: the settings that it was fitted with.
        learner: where to keep the training data, and what fits the trees.
    """
    matured = dataset.select(dataset.rows["as_of"].dt.date <= dataset.labels.matured_through)
    sample, bad = learner.sample(matured), matured.rows["bad"]
    recipe = tested.fitted.recipe
    margins = out_of_fold(sample, config, recipe, learner.boost)
    shown, booster = fit_rows(sample, config, recipe, learner.boost)
    calibration = fit_calibration(margins, bad.to_numpy())
    fitted = FittedModel(booster, recipe, shown, None, tested.fitted.stability, margins)
    record = None if tested.track_record is None else _of_tested(tested.track_record, len(tested.train.rows))
    parts = bundle_parts(replace(tested, train=matured, fitted=fitted, calibration=calibration, track_record=record))
    return FinalFit(
        parts=parts,
        rows=len(bad),
        bad=int(bad.sum()),
        before=dataset.labels.matured_through + timedelta(days=1),
        margins=margins[_places(matured.rows, test.rows)],
    )


def _of_tested(record: TrackRecord, rows: int) -> TrackRecord:
    """Return the track record of the tested model as the bundle that serves states it."""
    words = f"{record.loans}; predicted by the tested model, which has the same recipe and {rows:,} training loans"
    return replace(record, loans=words)


def _places(rows: pd.DataFrame, wanted: pd.DataFrame) -> NDArray[np.intp]:
    """Return where each wanted loan stands among all rows."""
    import pandas as pd

    places: NDArray[np.intp] = pd.Index(loan_keys(rows)).get_indexer(loan_keys(wanted))
    return places
