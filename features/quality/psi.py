"""The population stability index (PSI) with a bootstrap interval."""

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
"""With fewer groups of stores, resampling gives no useful interval."""

LEAST_SHARE: Final = 1e-4
"""Smaller shares are raised to this one, so that an empty bin does not give an infinite index."""

_RESAMPLES: Final = 400
_ENDS: Final = (2.5, 97.5)
_SEED: Final = 7


class Verdict(StrEnum):
    """The usual verdicts: stable below 0.1, watch from 0.1, act above 0.25; unknown with too little data."""

    STABLE = "stable"
    WATCH = "watch"
    ACT = "act"
    UNKNOWN = "too few to tell"


@dataclass(frozen=True)
class Stability:
    """A PSI with its 95% interval, whose ends are None with too few groups."""

    psi: float
    low: float | None
    high: float | None

    @property
    def verdict(self) -> Verdict:
        """The verdict of the index itself."""
        return Verdict.UNKNOWN if self.low is None else verdict(self.psi)

    @property
    def is_certain(self) -> bool:
        """Whether both ends of the interval have the same verdict."""
        return self.low is not None and self.high is not None and verdict(self.low) == verdict(self.high)


def verdict(psi: float) -> Verdict:
    """Return the verdict of an index.

    Example: 0.1 and 0.25 are watch, 0.26 is act.
    """
    if psi > ACT:
        return Verdict.ACT
    return Verdict.WATCH if psi >= WATCH else Verdict.STABLE


def index(before: Counts, now: Counts) -> Counts:
    """Return `sum((n - b) * ln(n / b))` over the last axis, for the shares b and n of two arrays of counts.

    Example: shares 50:50 become 80:20: 0.3 * ln(0.8 / 0.5) - 0.3 * ln(0.2 / 0.5) = 0.416.
    """
    b, n = (np.maximum(counts / counts.sum(axis=-1, keepdims=True), LEAST_SHARE) for counts in (before, now))
    total: Counts = ((n - b) * np.log(n / b)).sum(axis=-1)
    return total


def stability(before: Counts, now: Counts) -> Stability:
    """Return the index of counts by group of stores (rows) and bin (columns), with its interval.

    Rows of one store are similar, so whole groups of stores are resampled, the same for both sides. The interval is a
    basic bootstrap, which subtracts what chance adds to the index; it always contains the index.
    """
    value = float(index(before.sum(axis=0), now.sum(axis=0)))
    present = np.flatnonzero(now.sum(axis=1) > 0)
    if len(present) < FEWEST_GROUPS:
        return Stability(value, None, None)
    groups = len(before)
    weights = np.random.default_rng(_SEED).multinomial(groups, np.full(groups, 1 / groups), size=_RESAMPLES)
    sampled_before, sampled_now = weights @ before, weights @ now
    filled = (sampled_before.sum(axis=1) > 0) & (sampled_now.sum(axis=1) > 0)
    lower, upper = np.percentile(index(sampled_before[filled], sampled_now[filled]), _ENDS)
    return Stability(value, max(0.0, min(value, 2 * value - upper)), max(value, 2 * value - lower))
