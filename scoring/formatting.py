"""Formatting of feature values for people, in English and Chinese."""

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
"""Amounts and counts from this size are formatted without decimals."""

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


def format_value(value: float | None, unit: str, language: Language = Language.ENGLISH) -> str:
    """Return a value with its unit.

    Example:
        >>> format_value(0.0621, "ratio"), format_value(12345.6, "USD"), format_value(-0.8766, "USD")
        ('6.2%', '$12,346', '-$0.88')
        >>> format_value(0.013, "pp"), format_value(1.0, "days"), format_value(41.26, "days")
        ('+1.3 pp', '1 day', '41.3 days')
        >>> format_value(41.26, "days", Language.CHINESE), format_value(None, "USD")
        ('41.3天', 'not known')
    """
    if value is None:
        return MISSING[language]
    if unit == "ratio":
        return f"{_rounded(value * 100, 1):,.1f}%"
    if unit == "USD":
        amount = _rounded(abs(value), 0 if abs(value) >= _LARGE else 2)
        sign = "-" if value < 0 and amount else ""
        return f"{sign}{_DOLLAR[language]}{amount:,.{0 if abs(value) >= _LARGE else 2}f}"
    singular, plural = _UNITS[language].get(unit, ("", ""))
    if unit == "pp":
        return f"{_rounded(value * 100, 1):+.1f}{plural}"
    rounded = _rounded(value, 0 if abs(value) >= _LARGE else 1 if unit in ("days", "hours") else 2)
    number = f"{rounded:,.2f}".rstrip("0").rstrip(".") if rounded % 1 else f"{rounded:,.0f}"
    return number + (singular if rounded == 1 else plural)


def _rounded(value: float, digits: int) -> float:
    # adding 0.0 turns -0.0 into 0.0
    return round(value, digits) + 0.0
