"""The bundle's numbers for many rows at once, without explanations: what studies ask of it thousands of times.

It is the model's own call and the bundle's own calibration and scale; the cost of a row is a hundredth of that of an
assessment, which explains every point. Where the answer itself is studied, use `scoring.assess`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scoring.bundle import Bundle

_DIGITS: Final = 6
"""Points are rounded to a millionth before they are made whole, so that noise in the last bit moves no score."""


def log_odds(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the calibrated log-odds of default of rows in the feature sheet's order, NaN where missing."""
    if not len(matrix):
        return np.empty(0)
    margin = np.asarray(bundle.model.booster.predict(matrix, raw_score=True), dtype=np.float64)
    return bundle.policy.calibration.intercept + bundle.policy.calibration.slope * margin


def points(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points of rows before they are made whole and cut off at the ends of the scale."""
    scale = bundle.policy.scale
    return scale.offset - scale.factor * log_odds(bundle, matrix)


def scores(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the whole score of rows, as an assessment would give it."""
    scale = bundle.policy.scale
    whole = np.floor(np.round(points(bundle, matrix), _DIGITS) + 0.5)
    return np.clip(whole, scale.min, scale.max).astype(np.int64)
