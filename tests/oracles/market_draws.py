"""Random draws for a hostile market: times at the edges of windows and of visibility, and amounts.

All functions draw from the generator in their arguments, so that one seed determines everything.
"""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta

from tests.oracles.seller_view import midnight

MIDNIGHTS = (date(2023, 12, 31), date(2024, 2, 29), date(2024, 3, 1), date(2024, 5, 29), date(2025, 3, 1))
"""Around a leap day and a change of year, and 90 and 366 days apart."""

EDGES = (
    *(0, 1, 2, 6, 7, 8, 13, 14, 15, 29, 30, 31, 44, 45, 46, 59, 60, 61, 89, 90, 91, 104, 105, 119, 120, 121, 150, 151),
    *(179, 180, 181, 209, 210, 211, 224, 225, 226, 270, 271, 300, 330, 359, 360, 364, 365, 366, 378, 379, 380),
    *(389, 390, 391, 394, 395, 396, 484, 485, 486),
)
"""Days before T at which a window opens or closes, and the adjacent days."""

FESTIVE = (
    *(date(2023, 6, day) for day in (15, 16, 18, 19)),
    *(date(2023, 11, day) for day in (8, 9, 11, 12, 23, 24, 27, 28)),
    *(date(2023, 12, day) for day in (10, 11, 20, 21)),
    *(date(2024, 11, day) for day in (8, 9, 11, 12, 28, 29)),
    *(date(2024, 12, day) for day in (2, 3, 10, 11, 20, 21)),
)
"""First and last days of festivals, and the adjacent days."""

SLIPS = (timedelta(), timedelta(microseconds=1), timedelta(microseconds=500_000), timedelta(seconds=1))
"""Distances from an edge."""


def moment(rng: random.Random, centre: date | None = None) -> datetime:
    """Return a time near the edge of a window, often within a microsecond, or any time of these years."""
    day = midnight(centre or rng.choice(MIDNIGHTS))
    kind = rng.random()
    if kind < 0.55:
        day -= timedelta(days=rng.choice(EDGES))
    elif kind < 0.65:
        day = midnight(rng.choice(FESTIVE))
    else:
        day -= timedelta(days=rng.randint(-30, 500))
    within = timedelta(seconds=rng.randrange(86400), microseconds=rng.choice((0, 0, 1, 500_000, 999_999)))
    return day + rng.choice((timedelta(), timedelta(microseconds=-1), within))


def known_time(rng: random.Random, at: datetime) -> datetime:
    """Return the `known_at` of a row.

    Mostly soon after the event, sometimes at a midnight or a microsecond later, sometimes weeks late, rarely earlier.
    """
    kind = rng.random()
    next_midnight = midnight(at.date() + timedelta(days=1))
    if kind < 0.5:
        return at + timedelta(seconds=rng.randrange(3600))
    if kind < 0.65:
        return next_midnight
    if kind < 0.75:
        return next_midnight + timedelta(microseconds=1)
    if kind < 0.95:
        return at + timedelta(days=rng.randint(1, 60))
    return at - timedelta(days=rng.randint(0, 3))


def amount(rng: random.Random, largest: int) -> int:
    """Return an amount in micro-USD up to `largest`, often 0, 1 or `largest`."""
    return rng.choice((0, 1, largest, rng.randint(0, largest), rng.randint(0, largest)))


def near_hours(rng: random.Random, hours: float) -> timedelta:
    """Return this many hours, exactly or with a small difference."""
    return timedelta(hours=hours) + rng.choice((-1, 1)) * rng.choice(SLIPS)
