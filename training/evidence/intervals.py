"""Intervals that need no resampling of rows: of shares, and of means."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z: Final = 1.959964
"""Standard errors on either side of a 95% interval of a normal figure."""


def wilson(hits: ArrayLike, rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the 95% interval of shares `hits / rows`; where there are no rows, 0 and 1.

    Example: of 10 loans none went bad: the share is 0, its interval 0 to 0.278.

    Formula: Wilson, Probable inference, 1927: it stays within 0 and 1 and holds for rare events too.
    """
    n = np.asarray(rows, dtype=np.float64)
    some = np.maximum(n, 1.0)
    share = np.asarray(hits, dtype=np.float64) / some
    centre = (share + Z * Z / (2 * some)) / (1 + Z * Z / some)
    half = Z * np.sqrt(share * (1 - share) / some + Z * Z / (4 * some * some)) / (1 + Z * Z / some)
    low, high = np.clip(centre - half, 0.0, share), np.clip(centre + half, share, 1.0)
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def mean(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean of independent values and its 95% interval, by the central limit theorem.

    Example: two values 1 and 3 have the mean 2 and, by a standard error of 1, the interval 0.04 to 3.96.
    """
    middle = float(values.mean())
    half = Z * float(values.std(ddof=1)) / float(np.sqrt(len(values))) if len(values) > 1 else float("inf")
    return middle, middle - half, middle + half
