"""Changes within a seller's reach: the reaches of the feature sheet, applied to one seller's values."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.sheet import FeatureEntry, FeatureSheet

_DIGITS: Final = {"ratio": 3, "pp": 3, "USD": 0, "days": 1, "hours": 1, "stars": 2, "count": 0}
_FEW_DIGITS: Final = 4
"""Decimals of a value that is told to a person, by its unit; it is scored with no others."""


class Way(NamedTuple):
    """A feature that may be changed: its place in the sheet, where it is, and the end of its reach."""

    place: int
    entry: FeatureEntry
    value: float
    end: float

    def at(self, share: float) -> float:
        """Return the value after a share of the way, as it is told, and never beyond the end.

        Example: half of the way from a return rate of 0.08 to 0.053 is 0.066.
        """
        aim = _told(self.value + share * (self.end - self.value), self.entry, -self.entry.sign)
        return max(aim, self.end) if self.entry.sign > 0 else min(aim, self.end)


def ways(sheet: FeatureSheet, row: NDArray[np.float64]) -> tuple[Way, ...]:
    """Return what this seller could change, in the order of the catalogue; nothing where the size is not known.

    A missing value is no way: it is not known from where it would have to be moved.

    Args:
        sheet: the feature sheet.
        row: the values as the model reads them, NaN where missing.
    """
    if sheet.sizes is None or math.isnan(sales := float(row[sheet.place_of[sheet.sizes.feature]])):
        return ()
    size = sheet.sizes.of(sales)
    found = []
    for place, (entry, value) in enumerate(zip(sheet.entries, row.tolist(), strict=True)):
        reach = entry.reach[size] if entry.reach else None
        if reach is None or math.isnan(value):
            continue
        # told at this side of the end, which is not passed
        end = _told(reach.of(value, entry.sign), entry, entry.sign)
        if (value - end) * entry.sign > 0:
            found.append(Way(place, entry, value, end))
    return tuple(found)


def _told(value: float, entry: FeatureEntry, upwards: int) -> float:
    """Round to the decimals of the unit, upwards where that is above 0, else downwards."""
    digits = _DIGITS.get(entry.unit, _FEW_DIGITS)
    # what is a whole step but for noise is that step
    steps = round(value * 10**digits, 6)
    if not math.isfinite(steps):
        return value
    whole = math.ceil(steps) if upwards > 0 else math.floor(steps)
    told: float = round(whole / 10**digits, digits)
    return told
