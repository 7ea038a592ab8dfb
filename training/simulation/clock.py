"""From day numbers to times: when in the day things happen, and when the platform learns of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.datetime64]
_DAY_US: Final = 86_400_000_000
_LATE_SHARE: Final = 0.015
_LATE_HOURS: Final = 40.0
"""Typical delay of a late row; the log has standard deviation 1, so that some take weeks."""
_LONGEST_LATE_DAYS: Final = 60.0
_USUAL_HOURS: Final = 1.0
"""Mean delay of a row that is on time."""


@dataclass(frozen=True)
class Clock:
    """Times of a record that starts at midnight UTC of `start`."""

    start: date

    def at(self, day: NDArray[Any], of_day: NDArray[np.float64]) -> Times:
        """Times `of_day` (0 to below 1) into the days numbered `day`.

        Example: day 1 and 0.5 of a record from 2022-01-01 is 2022-01-02 12:00.
        """
        micros = day.astype(np.int64) * _DAY_US + (of_day * _DAY_US).astype(np.int64)
        return np.datetime64(self.start, "us") + micros.astype("timedelta64[us]")

    def days(self, day: NDArray[Any]) -> Times:
        """Calendar days of day numbers."""
        return np.datetime64(self.start, "D") + day.astype("timedelta64[D]")


def learned(event: Times, rng: np.random.Generator) -> Times:
    """When the platform learns of events: mostly within hours, and 1.5% of them days or weeks late."""
    count = len(event)
    hours = rng.exponential(_USUAL_HOURS, count)
    late = np.flatnonzero(rng.random(count) < _LATE_SHARE)
    hours[late] = np.minimum(24 + _LATE_HOURS * np.exp(rng.standard_normal(len(late))), 24 * _LONGEST_LATE_DAYS)
    known_at: Times = event.astype("datetime64[us]") + (hours * 3.6e9).astype("timedelta64[us]")
    return known_at


def waking_hours(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Times of day at which buyers buy: around mid-afternoon UTC, rarely at night."""
    draws: NDArray[np.float64] = (rng.random((2, count)).sum(axis=0) / 2 * 0.95 + 0.15) % 1.0
    return draws
