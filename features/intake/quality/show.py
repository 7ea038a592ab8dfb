"""Numbers, shares, times and lengths of time as a reader wants them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

_SMALLEST: Final = 0.0001
_MANY: Final = 1000
_UNITS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))


def number(value: float | date | None) -> str:
    """Return a number with thousands apart, a time to the second, nothing as a dash.

    Example: 1234567 is "1,234,567", 0.12345 "0.123", 12345.678 "12,345.68".
    """
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= _MANY else f"{value:,.3g}"


def percent(share: float) -> str:
    """Return a share in percent; what is there never reads as nothing.

    Example: 0.1234 is "12.3%", 0.00123 "0.12%", 0.00001 "under 0.01%", 0 "0%".
    """
    if share == 0:
        return "0%"
    if share < _SMALLEST:
        return "under 0.01%"
    return f"{share:.2%}" if share < 100 * _SMALLEST else f"{share:.1%}"


def duration(time: timedelta) -> str:
    """Return a length of time in its largest fitting unit; example: "1.5 hours", and "1.5 hours before" below zero."""
    seconds = abs(time.total_seconds())
    after = " before" if time < timedelta(0) else ""
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{number(round(seconds / unit, 1))} {name}{after}"
    return f"{number(round(seconds))} seconds{after}"
