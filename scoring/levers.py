"""What a seller could move, and how far: the reaches of the feature sheet, met with one vector."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from scoring.sheet import FeatureEntry, FeatureSheet, Reach
from scoring.vector import Vector

_DIGITS: Final = {"ratio": 3, "USD": 2, "days": 1, "hours": 1, "stars": 2, "count": 0}
_FEW_DIGITS: Final = 4
"""Decimals of a value that is told to a person, by its unit; it is scored with no others."""


class Way(NamedTuple):
    """A feature that may be moved: its place in the sheet, where it is, and the end of its reach."""

    place: int
    entry: FeatureEntry
    value: float
    end: float

    def at(self, share: float) -> float:
        """Return the value after a share of the way, as it is told, and never beyond the end.

        Example: half of the way from a return rate of 0.08 to 0.0531 is 0.066.
        """
        aim = _told(self.value + share * (self.end - self.value), self.entry, -self.entry.sign)
        return max(aim, self.end) if self.entry.sign > 0 else min(aim, self.end)


Lever = tuple[Way, ...]
"""Ways that are gone together, since they tell of one thing: those of a reason group."""


def levers(sheet: FeatureSheet, vector: Vector) -> tuple[Lever, ...]:
    """Return what this seller could move, in the order of the catalogue; nothing where his size is not known.

    A missing value is no way: nobody can say from where it would have to be moved.
    """
    ways: dict[str, list[Way]] = {}
    for place, entry, value, reach in _within_reach(sheet, vector):
        # told at this side of the end, which is not passed
        end = _told(reach.of(value, entry.sign), entry, entry.sign)
        if (value - end) * entry.sign > 0:
            ways.setdefault(entry.reason_group, []).append(Way(place, entry, value, end))
    return tuple(map(tuple, ways.values()))


def _within_reach(sheet: FeatureSheet, vector: Vector) -> Iterator[tuple[int, FeatureEntry, float, Reach]]:
    sales = vector.values[sheet.names.index(sheet.sizes.feature)] if sheet.sizes else None
    if sheet.sizes is None or sales is None:
        return
    size = sheet.sizes.of(sales)
    for place, (entry, value) in enumerate(zip(sheet.entries, vector.values, strict=True)):
        reach = entry.reach[size] if entry.reach else None
        if reach is not None and value is not None:
            yield place, entry, float(value), reach


def _told(value: float, entry: FeatureEntry, upwards: int) -> float:
    """Round to the decimals of the unit, upwards where that is above 0, else downwards."""
    digits = _DIGITS.get(entry.unit, _FEW_DIGITS)
    # what is a whole step but for noise is that step
    steps = round(value * 10**digits, 6)
    whole = math.ceil(steps) if upwards > 0 else math.floor(steps)
    told: float = round(whole / 10**digits, digits)
    return told
