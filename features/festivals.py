"""Shopping festivals: 6.18, 11.11, Black Friday to Cyber Monday, 12.12 and the days before Christmas."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2100

_FRIDAY: Final = 4


def festivals(year: int) -> tuple[tuple[date, date], ...]:
    """Return the first and the last day of each festival of a year.

    Example: in 2024 Black Friday is 29 November, so `(date(2024, 11, 29), date(2024, 12, 2))` is among them.
    """
    november = date(year, 11, 1)
    # the day after Thanksgiving, the fourth Thursday of November
    black_friday = november + timedelta(days=(_FRIDAY - 1 - november.weekday()) % 7 + 22)
    return (
        (date(year, 6, 16), date(year, 6, 18)),
        (date(year, 11, 9), date(year, 11, 11)),
        (black_friday, black_friday + timedelta(days=3)),
        (date(year, 12, 11), date(year, 12, 20)),
    )


def festival_days(first: int = FIRST_YEAR, last: int = LAST_YEAR) -> list[date]:
    """Return every festival day of the years from `first` to `last`, both included, in order.

    Example: `len(festival_days(2024, 2024))` is 20.
    """
    return [
        start + timedelta(days=offset)
        for year in range(first, last + 1)
        for start, end in festivals(year)
        for offset in range((end - start).days + 1)
    ]
