"""A feature's value as people read it."""

from __future__ import annotations

from typing import Final

MISSING: Final = "missing"
_MOST_DECIMALS_BELOW: Final = 1000
_AFTER: Final = {"days": " d", "hours": " h"}


def figure(value: float | None, unit: str) -> str:
    """Return a value with its unit, four digits or cents below a thousand.

    Example: 0.0621 of `ratio` is 6.2%, 12345.6 of `USD` is $12,346 and -0.8766 -$0.88, none is `missing`.
    """
    if value is None:
        return MISSING
    if unit == "ratio":
        return f"{value:.1%}"
    large = abs(value) >= _MOST_DECIMALS_BELOW
    if unit == "USD":
        return f"{'-' if value < 0 else ''}${abs(value):,.{0 if large else 2}f}"
    # tenths of a day or an hour are what a person reads
    told = round(value, 1) if unit in _AFTER else value
    return (f"{value:,.0f}" if large else f"{told:.4g}") + _AFTER.get(unit, "")
