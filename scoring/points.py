"""From contributions in log-odds to whole points that add up to the score, exactly.

With calibration `a + b * margin` and scale `offset - factor * log_odds`, the score is a sum again:
`offset - factor * (a + b * base)` for the population and `-factor * b * phi_j` for each feature.
"""

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

    `log_odds` is the calibrated log-odds of default, shape (n,); `features` has shape (n, features).
    """

    base: int
    features: NDArray[np.int64]
    scale_limit: NDArray[np.int64]
    score: NDArray[np.int64]
    log_odds: NDArray[np.float64]


def to_points(explained: Contributions, calibration: Calibration, scale: Scale) -> Points:
    """Turn SHAP values into whole points.

    Example: on the default scale with an identity calibration, a feature that lowers the log-odds of default by
    0.5 earns 28.85 points, given as 28 or 29 so that the sum is right.
    """
    exact_base = scale.offset - scale.factor * (calibration.intercept + calibration.slope * explained.base)
    exact = np.round(-scale.factor * calibration.slope * explained.values, _DIGITS)
    real = _sum_in_order(exact) + exact_base
    base = int(np.floor(exact_base + 0.5))
    unlimited = np.floor(real + 0.5).astype(np.int64)
    score = np.clip(unlimited, scale.min, scale.max)
    return Points(
        base=base,
        features=largest_remainder(exact, unlimited - base),
        scale_limit=score - unlimited,
        score=score,
        log_odds=(scale.offset - real) / scale.factor,
    )


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
