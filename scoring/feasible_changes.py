"""Feasible changes of a seller's feature values: the reaches of the feature sheet, applied to one seller."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.sheet import FeatureEntry, FeatureSheet

_DIGITS: Final = {"ratio": 3, "pp": 3, "USD": 0, "days": 1, "hours": 1, "stars": 2, "count": 0}
_DEFAULT_DIGITS: Final = 4
"""Decimals of an advised value, by unit. The advised value is scored with the same decimals."""


class FeasibleChange(NamedTuple):
    """A feature that the seller can change: its column in the sheet, the current value and the end of its reach."""

    column: int
    entry: FeatureEntry
    value: float
    end: float

    def at(self, share: float) -> float:
        """Return the value after a share of the change, rounded for people and never beyond the end.

        Example: half of the change from a return rate of 0.08 to 0.053 is 0.066.
        """
        target = _rounded(self.value + share * (self.end - self.value), self.entry, -self.entry.sign)
        return max(target, self.end) if self.entry.sign > 0 else min(target, self.end)


def feasible_changes(sheet: FeatureSheet, row: NDArray[np.float64]) -> tuple[FeasibleChange, ...]:
    """Return the changes that this seller can make, in catalogue order; none if the seller's size is unknown.

    A missing value cannot be changed, because the value to start from is unknown.

    Args:
        sheet: the feature sheet.
        row: the values that the model reads, NaN if missing.
    """
    if sheet.sizes is None or math.isnan(sales := float(row[sheet.index_of[sheet.sizes.feature]])):
        return ()
    size = sheet.sizes.of(sales)
    changes = []
    for column, (entry, value) in enumerate(zip(sheet.entries, row.tolist(), strict=True)):
        reach = entry.reach[size] if entry.reach else None
        if reach is None or math.isnan(value):
            continue
        # rounded towards the current value, so that the end of the reach is not passed
        end = _rounded(reach.of(value, entry.sign), entry, entry.sign)
        if (value - end) * entry.sign > 0:
            changes.append(FeasibleChange(column, entry, value, end))
    return tuple(changes)


def _rounded(value: float, entry: FeatureEntry, direction: int) -> float:
    """Round to the decimals of the unit, up if `direction` is above 0, else down."""
    digits = _DIGITS.get(entry.unit, _DEFAULT_DIGITS)
    # a value that differs from a whole step by floating-point noise only is that step
    steps = round(value * 10**digits, 6)
    if not math.isfinite(steps):
        return value
    whole = math.ceil(steps) if direction > 0 else math.floor(steps)
    result: float = round(whole / 10**digits, digits)
    return result
