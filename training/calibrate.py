"""Calibration: an affine map of log-odds, fitted to margins that models gave to sellers they had not seen."""

import numpy as np
from numpy.typing import NDArray

from scoring.model import Calibration
from training.errors import TrainingError


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


def probabilities(calibration: Calibration, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of default for raw margins."""
    return 1.0 / (1.0 + np.exp(-(calibration.intercept + calibration.slope * margins)))
