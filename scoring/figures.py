"""A feature's value as people read it, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Language(StrEnum):
    """The languages of statements and pages."""

    ENGLISH = "en"
    CHINESE = "zh"


MISSING: Final[Mapping[Language, str]] = {Language.ENGLISH: "not known", Language.CHINESE: "未知"}

_LARGE: Final = 1_000
"""Amounts and counts from here on are written without decimals."""

_UNITS: Final[Mapping[Language, Mapping[str, tuple[str, str]]]] = {
    Language.ENGLISH: {
        "days": (" day", " days"),
        "hours": (" hour", " hours"),
        "pp": (" pp", " pp"),
        "stars": (" stars",) * 2,
    },
    Language.CHINESE: {"days": ("天",) * 2, "hours": ("小时",) * 2, "pp": ("个百分点",) * 2, "stars": ("星",) * 2},
}
_DOLLAR: Final[Mapping[Language, str]] = {Language.ENGLISH: "$", Language.CHINESE: "US$"}


def figure(value: float | None, unit: str, language: Language = Language.ENGLISH) -> str:
    """Return a value with its unit.

    Example:
        >>> figure(0.0621, "ratio"), figure(12345.6, "USD"), figure(-0.8766, "USD"), figure(41.26, "days")
        ('6.2%', '$12,346', '-$0.88', '41.3 days')
        >>> figure(0.013, "pp"), figure(1.0, "days"), figure(41.26, "days", Language.CHINESE), figure(None, "USD")
        ('+1.3 pp', '1 day', '41.3天', 'not known')
    """
    if value is None:
        return MISSING[language]
    if unit == "ratio":
        return f"{_rounded(value * 100, 1):,.1f}%"
    if unit == "USD":
        whole = _rounded(abs(value), 0 if abs(value) >= _LARGE else 2)
        sign = "-" if value < 0 and whole else ""
        return f"{sign}{_DOLLAR[language]}{whole:,.{0 if abs(value) >= _LARGE else 2}f}"
    one, many = _UNITS[language].get(unit, ("", ""))
    if unit == "pp":
        return f"{_rounded(value * 100, 1):+.1f}{many}"
    told = _rounded(value, 0 if abs(value) >= _LARGE else 1 if unit in ("days", "hours") else 2)
    number = f"{told:,.2f}".rstrip("0").rstrip(".") if told % 1 else f"{told:,.0f}"
    return number + (one if told == 1 else many)


def _rounded(value: float, digits: int) -> float:
    # zero has no sign for a reader
    return round(value, digits) + 0.0
