"""The outcome of an assessment: whether a vector can be scored, and if not, what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from scoring.freshness import required_gaps
from scoring.sheet import FeatureSheet
from scoring.vector import Vector


class Outcome(StrEnum):
    """The result of a request for a score; all but `SCORED` carry no number.

    `INSUFFICIENT_HISTORY`: the seller is new on the platform or has too few days with sales. `INACTIVE`: the seller has
    past sales but no recent ones. `INSUFFICIENT_DATA`: a required table was not delivered. `STALE_DATA`: the data of a
    required table end too long before the request.
    """

    SCORED = "scored"
    INSUFFICIENT_HISTORY = "insufficient_history"
    INACTIVE = "inactive"
    INSUFFICIENT_DATA = "insufficient_data"
    STALE_DATA = "stale_data"


@dataclass(frozen=True)
class Shortfall:
    """One requirement of a score that is not met: a table or feature, the value found and the value needed."""

    what: str
    found: float | str | None
    needed: float | str


def determine_outcome(sheet: FeatureSheet, vector: Vector) -> tuple[Outcome, tuple[Shortfall, ...]]:
    """Return the outcome of a vector, and what it lacks for a score.

    Example: a seller with 40 days of history where 90 are required gets
    `(Outcome.INSUFFICIENT_HISTORY, (Shortfall("tenure_days", 40.0, 90.0),))`.
    """
    gaps = required_gaps(sheet, vector)
    if undelivered := [gap for gap in gaps if gap.data_through is None]:
        return Outcome.INSUFFICIENT_DATA, tuple(Shortfall(gap.table, None, "delivered") for gap in undelivered)
    if gaps:
        needed = f"at most {sheet.max_age_days} days before {vector.requested_on}"
        return Outcome.STALE_DATA, tuple(Shortfall(gap.table, gap.data_through, needed) for gap in gaps)
    short_history = tuple(
        Shortfall(threshold.feature, value, threshold.least)
        for threshold in sheet.history
        if ((value := vector.values[sheet.index_of[threshold.feature]]) or 0.0) < threshold.least
    )
    if (inactivity := _inactivity(sheet, vector)) is not None:
        return Outcome.INACTIVE, (inactivity, *short_history)
    return (Outcome.INSUFFICIENT_HISTORY if short_history else Outcome.SCORED), short_history


def outcomes_of_rows(sheet: FeatureSheet, vector: Vector, values: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return the name of the outcome of each row of `values`, such as `scored`, as `determine_outcome` for a vector.

    Args:
        sheet: the feature sheet.
        vector: a vector with the dates and the delivered tables that all rows share; its values are not read.
        values: the values of all features, shape (rows, features), NaN if missing.
    """
    gaps = required_gaps(sheet, vector)
    outcomes = np.full(len(values), Outcome.SCORED.value, dtype=object)
    if gaps:
        undelivered = any(gap.data_through is None for gap in gaps)
        outcomes[:] = (Outcome.INSUFFICIENT_DATA if undelivered else Outcome.STALE_DATA).value
        return outcomes
    for threshold in sheet.history:
        found = np.nan_to_num(values[:, sheet.index_of[threshold.feature]], nan=0.0)
        outcomes[found < threshold.least] = Outcome.INSUFFICIENT_HISTORY.value
    if sheet.activity is not None:
        since_first, since_last = (
            values[:, sheet.index_of[name]] for name in (sheet.activity.since, sheet.activity.feature)
        )
        # the comparison is false for a missing value, which stands for a sale that is too long ago
        outcomes[~np.isnan(since_first) & ~(since_last <= sheet.activity.most)] = Outcome.INACTIVE.value
    return outcomes


def _inactivity(sheet: FeatureSheet, vector: Vector) -> Shortfall | None:
    """Return the days since the last sale if they are too many for a seller with past sales, else None."""
    if sheet.activity is None or vector.values[sheet.index_of[sheet.activity.since]] is None:
        return None
    days_since_sale = vector.values[sheet.index_of[sheet.activity.feature]]
    if days_since_sale is not None and days_since_sale <= sheet.activity.most:
        return None
    return Shortfall(sheet.activity.feature, days_since_sale, sheet.activity.most)
