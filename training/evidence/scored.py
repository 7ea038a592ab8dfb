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
    return _calibrated(bundle, _margins(bundle, matrix))


def scores(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the whole score of rows, as an assessment would give it."""
    return whole_scores(bundle, _margins(bundle, matrix))


def whole_scores(bundle: Bundle, margins: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return what raw margins, of the bundle's model or of one made like it, are worth in whole points.

    Example: a margin that is calibrated to even odds is worth 404 points on the usual scale.
    """
    scale = bundle.policy.scale
    points = scale.offset - scale.factor * _calibrated(bundle, margins)
    return np.clip(np.floor(np.round(points, _DIGITS) + 0.5), scale.min, scale.max).astype(np.int64)


def _margins(bundle: Bundle, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(matrix):
        return np.empty(0)
    return np.asarray(bundle.model.booster.predict(matrix, raw_score=True), dtype=np.float64)


def _calibrated(bundle: Bundle, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    return bundle.policy.calibration.intercept + bundle.policy.calibration.slope * margins
