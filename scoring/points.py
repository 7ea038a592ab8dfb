"""From contributions in log-odds to whole points that add up to the score, exactly.

With calibration `a + b * margin` and scale `offset - factor * log_odds`, the score is a sum again:
`offset - factor * (a + b * base)` for the population and `-factor * b * phi_j` for each feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.explain import Contributions
from scoring.model import Calibration
from scoring.scale import Scale

_DIGITS = 9
"""Contributions are rounded to a billionth of a point first, so that equal ones tie instead of differing by noise."""


@dataclass(frozen=True)
class Points:
    """Whole points of n rows: `base + features[i].sum() + scale_limit[i] == score[i]` for each row i.

    `log_odds` is the calibrated log-odds of default, shape (n,); `features` has a column for each scored feature.
    """

    base: int
    features: NDArray[np.int64]
    scale_limit: NDArray[np.int64]
    score: NDArray[np.int64]
    log_odds: NDArray[np.float64]

    @property
    def unlimited(self) -> NDArray[np.int64]:
        """The scores before an end of the scale cuts them off."""
        return self.score - self.scale_limit


def to_points(
    explained: Contributions, calibration: Calibration, scale: Scale, scored: Sequence[int] | None = None
) -> Points:
    """Turn SHAP values into whole points.

    Args:
        explained: the SHAP values, in log-odds.
        calibration: turns margins into log-odds of default.
        scale: turns log-odds into points.
        scored: the columns of the features that the model reads; all others are zero. None for all.

    Example: on the default scale with an identity calibration, a feature that lowers the log-odds of default by
    0.5 earns 28.85 points, given as 28 or 29 so that the sum is right.
    """
    values = explained.values if scored is None else explained.values[:, scored]
    exact, exact_base, real = _exact(values, explained.base, calibration, scale)
    base = int(np.floor(exact_base + 0.5))
    unlimited = _whole(real)
    score = np.clip(unlimited, scale.min, scale.max)
    return Points(
        base=base,
        features=largest_remainder(exact, unlimited - base),
        scale_limit=score - unlimited,
        score=score,
        log_odds=(scale.offset - real) / scale.factor,
    )


def to_unlimited_scores(explained: Contributions, calibration: Calibration, scale: Scale) -> NDArray[np.int64]:
    """Return the whole scores of n rows before an end of the scale cuts them off, without points of single features."""
    _, _, real = _exact(explained.values, explained.base, calibration, scale)
    return _whole(real)


def _exact(
    values: NDArray[np.float64], base: float, calibration: Calibration, scale: Scale
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Return exact points of each feature, of the base, and their sum for each row."""
    exact_base = scale.offset - scale.factor * (calibration.intercept + calibration.slope * base)
    exact = np.round(-scale.factor * calibration.slope * values, _DIGITS)
    return exact, exact_base, _sum_in_order(exact) + exact_base


def _whole(real: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(real + 0.5).astype(np.int64)


def largest_remainder(exact: NDArray[np.float64], total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round each row of `exact` to integers that sum to that row's `total`.

    All are rounded down; the units still missing go one each to the largest remainders, ties in column order
    (Hamilton's method). `total` may differ from the exact sum by up to a whole point, as the base is rounded too:
    when every column has had a unit, the next round begins; when units are too many, the smallest remainders give one.

    Example:
        >>> largest_remainder(np.array([[1.5, 1.5, -0.4]]), np.array([3]))
        array([[2, 1, 0]])
    """
    floors = np.floor(exact).astype(np.int64)
    columns = exact.shape[1]
    if columns == 0:
        return floors
    rounds, extra = np.divmod(total - floors.sum(axis=1), columns)
    order = np.argsort(-(exact - floors), axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    units: NDArray[np.int64] = floors + rounds[:, None] + (rank < extra[:, None])
    return units


def _sum_in_order(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    # numpy's own sum picks its order by memory layout, so a row alone and in a batch could differ in the last bit
    total = np.zeros(columns.shape[0])
    for column in columns.T:
        total += column
    return total
