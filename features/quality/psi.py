"""The population stability index of counts by bin, and how sure of it one can be: arithmetic alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.float64]

WATCH: Final = 0.1
ACT: Final = 0.25
FEWEST_GROUPS: Final = 10
"""Resampling fewer groups of stores than this would only pretend to know."""

LEAST_SHARE: Final = 1e-4
"""A smaller share counts as this one, so that an empty bin is rare rather than infinitely far."""

_RESAMPLES: Final = 400
_ENDS: Final = (2.5, 97.5)
_SEED: Final = 7


class Verdict(StrEnum):
    """The words of the practice: below 0.1, from 0.1, above 0.25; and where there is too little to tell."""

    STABLE = "stable"
    WATCH = "watch"
    ACT = "act"
    UNKNOWN = "too few to tell"


@dataclass(frozen=True)
class Stability:
    """A PSI with its 95% interval, both ends missing where there are too few groups.

    `settled` says that the whole interval has the verdict's word.
    """

    psi: float
    low: float | None
    high: float | None

    @property
    def verdict(self) -> Verdict:
        """The word for the index itself."""
        return Verdict.UNKNOWN if self.low is None else verdict(self.psi)

    @property
    def settled(self) -> bool:
        """Whether both ends of the interval have the same word."""
        return self.low is not None and self.high is not None and verdict(self.low) == verdict(self.high)


def verdict(psi: float) -> Verdict:
    """Return the practice's word for an index; example: 0.1 is watch, 0.25 still is, 0.26 is act."""
    if psi > ACT:
        return Verdict.ACT
    return Verdict.WATCH if psi >= WATCH else Verdict.STABLE


def index(before: Counts, now: Counts) -> Counts:
    """Return `sum((n - b) * ln(n / b))` over the last axis, of shares of two rows of counts, none below LEAST_SHARE.

    Example: shares 50:50 become 80:20: 0.3 * ln(0.8 / 0.5) - 0.3 * ln(0.2 / 0.5) = 0.416.
    """
    b, n = (np.maximum(counts / counts.sum(axis=-1, keepdims=True), LEAST_SHARE) for counts in (before, now))
    total: Counts = ((n - b) * np.log(n / b)).sum(axis=-1)
    return total


def stability(before: Counts, now: Counts) -> Stability:
    """Return the index of counts by group of stores (rows) and bin (columns), with its interval.

    Rows of one store resemble each other, so whole groups of stores are drawn again, the same for both sides. What
    chance alone adds to the index is taken off (the basic bootstrap); the interval always holds the index itself.
    """
    value = float(index(before.sum(axis=0), now.sum(axis=0)))
    drawn_from = np.flatnonzero(now.sum(axis=1) > 0)
    if len(drawn_from) < FEWEST_GROUPS:
        return Stability(value, None, None)
    groups = len(before)
    weights = np.random.default_rng(_SEED).multinomial(groups, np.full(groups, 1 / groups), size=_RESAMPLES)
    drawn_before, drawn_now = weights @ before, weights @ now
    held = (drawn_before.sum(axis=1) > 0) & (drawn_now.sum(axis=1) > 0)
    drawn = index(drawn_before[held], drawn_now[held])
    lower, upper = np.percentile(drawn, _ENDS)
    return Stability(value, max(0.0, min(value, 2 * value - upper)), max(value, 2 * value - lower))
