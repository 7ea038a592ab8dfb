"""The kernel of an explanation: exact SHAP values of each row.

Values are those of the path-dependent game: what a feature the row does not reveal would be, the trees answer by
the share of the training population that went each way. So the reference is that population.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.errors import ExplanationError
from scoring.model import Model

_TOLERANCE = 1e-6
"""How far contributions may be from the model's own margin, in log-odds: far above rounding, far below a point."""


class Contributions(NamedTuple):
    """SHAP values in raw log-odds of default: `base` is one number per model, `values` has shape (rows, features)."""

    base: float
    values: NDArray[np.float64]


def contributions(model: Model, matrix: NDArray[np.float64]) -> Contributions:
    """Explain every row: `base + values[i].sum()` is the raw margin of row i.

    Args:
        model: the model to explain.
        matrix: shape (rows, features) in the model's order, NaN where missing.

    Raises:
        ExplanationError: a contribution is not finite, or they do not add up to the margin.
    """
    if matrix.shape[0] == 0:
        return Contributions(0.0, np.empty(matrix.shape))
    explained = np.asarray(model.booster.predict(matrix, pred_contrib=True), dtype=np.float64)
    if not np.isfinite(explained).all():
        raise ExplanationError("The model gave a contribution that is not a finite number, so there is no score.")
    margin = np.asarray(model.booster.predict(matrix, raw_score=True), dtype=np.float64)
    gap = float(np.abs(explained.sum(axis=1) - margin).max())
    if gap > _TOLERANCE:
        raise ExplanationError(f"Contributions miss the model's margin by {gap:.3g}, so there is no score.")
    return Contributions(float(explained[0, -1]), np.ascontiguousarray(explained[:, :-1]))
