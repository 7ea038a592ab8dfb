"""Scores and explanations of many rows as columns: the arithmetic that single requests, frames and portfolios share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import Bundle
from scoring.explain import Contributions, contributions
from scoring.freshness import UnusedTables
from scoring.points import Points, to_points
from scoring.policy import to_probability
from scoring.reasons import ReasonColumns, principal_reasons


@dataclass(frozen=True)
class ScoredRows:
    """The results of n rows.

    Attributes:
        bundle: the model that scored the rows.
        rows: the values that were scored, shape (n, features), NaN if missing.
        unused: the optional tables that were not used.
        explained: the SHAP values, in raw log-odds.
        points: the points of the scored features, and the scores.
    """

    bundle: Bundle
    rows: NDArray[np.float64]
    unused: UnusedTables
    explained: Contributions
    points: Points

    @cached_property
    def probabilities(self) -> list[float]:
        """The probability of default of each row."""
        return list(map(to_probability, self.points.log_odds.tolist()))

    @cached_property
    def bands(self) -> NDArray[np.intp]:
        """The index of the band of each row in `bundle.policy.bands`, 0 for the best."""
        limits = [band.up_to for band in self.bundle.policy.bands.items]
        return np.searchsorted(limits, self.probabilities)

    @cached_property
    def reasons(self) -> ReasonColumns:
        """The principal reasons of all rows."""
        return principal_reasons(self.bundle, self.rows, self.points, self.unused)


def score_rows(bundle: Bundle, rows: NDArray[np.float64], unused: UnusedTables, threads: int = 1) -> ScoredRows:
    """Score and explain rows; a row's results do not depend on the other rows or on the number of threads.

    Example: `score_rows(bundle, rows, unused).points.score` has a score for each row.

    Raises:
        VectorError: the rows do not have one value for each feature of the model.
        ExplanationError: the model's contributions are not finite or do not add up.
    """
    explained = contributions(bundle.model, rows, threads)
    points = to_points(explained, bundle.policy.calibration, bundle.policy.scale, bundle.sheet.scored)
    return ScoredRows(bundle, rows, unused, explained, points)
