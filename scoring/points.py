"""Conversion of contributions in log-odds to whole points that add up to the score, exactly.

With the calibration `a + b * margin` and the scale `offset - factor * log_odds`, the score is a sum again:
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
"""Contributions are first rounded to a billionth of a point, so that equal contributions do not differ by noise."""


@dataclass(frozen=True)
class Points:
    """Whole points of n rows: `base + features[i].sum() + scale_limit[i] == score[i]` for each row i.

    `log_odds` is the calibrated log-odds of default, shape (n,); `features` has a column for each scored feature.
    `exact_score` is the score before it is rounded and an end of the scale applies.
    """

    base: int
    features: NDArray[np.int64]
    scale_limit: NDArray[np.int64]
    score: NDArray[np.int64]
    exact_score: NDArray[np.float64]
    log_odds: NDArray[np.float64]

    @property
    def unlimited(self) -> NDArray[np.int64]:
        """The scores before an end of the scale applies."""
        return self.score - self.scale_limit


def to_points(
    explained: Contributions, calibration: Calibration, scale: Scale, scored: Sequence[int] | None = None
) -> Points:
    """Convert SHAP values to whole points.

    Args:
        explained: the SHAP values, in log-odds.
        calibration: converts margins to log-odds of default.
        scale: converts log-odds to points.
        scored: the columns of the features that the model reads; the SHAP values of all others are zero. None for all.

    Example: on the default scale with an identity calibration, a feature that lowers the log-odds of default by
    0.5 adds 28.85 points, given as 28 or 29 so that the sum is exact.
    """
    values = explained.values if scored is None else explained.values[:, scored]
    exact, exact_base, exact_score = _exact_points(values, explained.base, calibration, scale)
    base = int(np.floor(exact_base + 0.5))
    unlimited = _round_half_up(exact_score)
    score = np.clip(unlimited, scale.min, scale.max)
    return Points(
        base=base,
        features=largest_remainder(exact, unlimited - base),
        scale_limit=score - unlimited,
        score=score,
        exact_score=exact_score,
        log_odds=(scale.offset - exact_score) / scale.factor,
    )


def points_of_margins(changes: NDArray[np.float64], calibration: Calibration, scale: Scale) -> NDArray[np.float64]:
    """Return the exact points by which changes of the model's margin change a score.

    Example: on the default scale with an identity calibration, a margin that is lower by 0.5 gives 28.85 points.
    """
    points: NDArray[np.float64] = np.round(-scale.factor * calibration.slope * changes, _DIGITS)
    return points


def _exact_points(
    values: NDArray[np.float64], base: float, calibration: Calibration, scale: Scale
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Return the exact points of each feature, of the base, and their sum for each row."""
    exact_base = scale.offset - scale.factor * (calibration.intercept + calibration.slope * base)
    exact = np.round(-scale.factor * calibration.slope * values, _DIGITS)
    return exact, exact_base, _sum_in_order(exact) + exact_base


def _round_half_up(exact: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(exact + 0.5).astype(np.int64)


def largest_remainder(exact: NDArray[np.float64], total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round each row of `exact` to integers that sum to that row's `total` (Hamilton's method).

    All values are rounded down, and the units that the total still needs go one each to the largest remainders, ties in
    column order. `total` may differ from the exact sum by up to a whole point, because the base is rounded too: if
    every column has received a unit, a second round begins; if there are too many units, the columns with the smallest
    remainders lose one each.

    Example:
        >>> largest_remainder(np.array([[1.5, 1.5, -0.4]]), np.array([3]))
        array([[2, 1, 0]])
    """
    floors = np.floor(exact).astype(np.int64)
    columns = exact.shape[1]
    if columns == 0:
        return floors
    rounds, extra = np.divmod(total - floors.sum(axis=1), columns)
    order = np.argsort(floors - exact, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(columns)[None, :], axis=1)
    units: NDArray[np.int64] = floors + rounds[:, None] + (rank < extra[:, None])
    return units


def _sum_in_order(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    # numpy.sum chooses its order by memory layout, so the last bit of a row could differ alone and in a batch
    total = np.zeros(columns.shape[0])
    for column in columns.T:
        total += column
    return total
