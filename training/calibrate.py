"""Calibration: an affine map of log-odds, fitted to margins that models gave to sellers they had not seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scoring.model import Calibration
from training.errors import TrainingError

if TYPE_CHECKING:
    from training.sample import Part


def affine(out_of_fold: NDArray[np.float64], bad: NDArray[np.bool_]) -> Calibration:
    """Fit `log-odds = intercept + slope * margin` by maximum likelihood (Platt scaling without its prior).

    Example: margins that are already right give a slope near 1 and an intercept near 0.

    Raises:
        TrainingError: the slope is not positive, so the model ranks unseen sellers no better than chance.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf).fit(out_of_fold.reshape(-1, 1), bad)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if not slope > 0:
        raise TrainingError(
            f"The model ranks sellers it has not seen no better than chance (calibration slope {slope:.3f}); "
            "more data or better features are needed."
        )
    return Calibration(slope, intercept)


def cross_calibrated(
    out_of_fold: NDArray[np.float64], bad: NDArray[np.bool_], folds: Iterable[Part]
) -> NDArray[np.float64]:
    """Return probabilities whose calibration was fitted to the margins of the other folds.

    A calibration that is fitted to all margins predicts exactly as many bad rows as there are, so that it says nothing
    about the level.

    Args:
        out_of_fold: margins of models that were not trained on the row's seller, shape (rows,).
        bad: True for the bad rows.
        folds: training rows and left-out rows of each fold.
    """
    found = np.empty(len(bad))
    for inside, outside in folds:
        found[outside] = probabilities(affine(out_of_fold[inside], bad[inside]), out_of_fold[outside])
    return found


def probabilities(calibration: Calibration, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of default for raw margins."""
    return 1.0 / (1.0 + np.exp(-(calibration.intercept + calibration.slope * margins)))
