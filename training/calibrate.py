"""Calibration: an affine map of log-odds. Its slope is fitted out of fold, its level follows later loans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from scoring.model import Calibration
from training.dataset import LEAST_OF_A_CLASS
from training.errors import TrainingError

if TYPE_CHECKING:
    from training.fit import Fitted

_FARTHEST_SHIFT: Final = 3.0
"""In log-odds; a level that would have to move farther is a mistake in the data, not a trend."""


def calibrate(fitted: Fitted, bad: NDArray[np.bool_]) -> Calibration:
    """Calibrate a fitted model on its training rows.

    Slope and intercept are fitted to margins out of fold. Then the intercept moves so that over the rows that rolling
    origins left out (later, of other sellers) as many loans are expected to go bad as went bad: a model that learns
    from earlier loans may expect too few later, and so would the next one. Without such rows, or with too few bad
    ones, the intercept stays.

    Args:
        fitted: the model, with margins of its training rows out of fold.
        bad: the outcomes of these rows.

    Raises:
        TrainingError: the model ranks no better than chance.
    """
    calibration = affine(fitted.out_of_fold, bad)
    choice = fitted.choice
    if choice is None or not choice.out_of_time or choice.left_out.bad.sum() < LEAST_OF_A_CLASS:
        return calibration
    return follow_level(calibration, choice.left_out.margins[choice.recipe.kind], choice.left_out.bad)


def follow_level(calibration: Calibration, margins: NDArray[np.float64], bad: NDArray[np.bool_]) -> Calibration:
    """Return the calibration with the intercept at which these margins expect as many bad loans as there are.

    Example: where 100 of 1,000 loans went bad and 80 were expected, the intercept rises by about 0.25.
    """
    from scipy.optimize import brentq

    def surplus(shift: float) -> float:
        moved = replace(calibration, intercept=calibration.intercept + shift)
        return float(probabilities(moved, margins).sum() - bad.sum())

    low, high = -_FARTHEST_SHIFT, _FARTHEST_SHIFT
    if surplus(low) > 0 or surplus(high) < 0:
        return calibration
    return replace(calibration, intercept=calibration.intercept + float(brentq(surplus, low, high, xtol=1e-9)))


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
