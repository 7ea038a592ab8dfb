"""Formatted values in both languages."""

from __future__ import annotations

import pytest

from scoring.formatting import Language, format_value


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "USD", "not known"),
        (0.0621, "ratio", "6.2%"),
        (-0.5, "ratio", "-50.0%"),
        (12345.6, "USD", "$12,346"),
        (0.8766, "USD", "$0.88"),
        (-0.8766, "USD", "-$0.88"),
        (-2500.0, "USD", "-$2,500"),
        (1452.0, "days", "1,452 days"),
        (31.5, "hours", "31.5 hours"),
        (-0.08832, "days", "-0.1 days"),
        (1.0, "days", "1 day"),
        (4.83333, "stars", "4.83 stars"),
        (0.013, "pp", "+1.3 pp"),
        (0.0, "count", "0"),
    ],
)
def test_a_value_has_its_unit_and_few_digits(value: float | None, unit: str, expected: str) -> None:
    assert format_value(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "USD", "未知"),
        (0.0621, "ratio", "6.2%"),
        (12345.6, "USD", "US$12,346"),
        (-0.8766, "USD", "-US$0.88"),
        (41.26, "days", "41.3天"),
        (1.0, "hours", "1小时"),
        (-0.013, "pp", "-1.3个百分点"),
        (4.83333, "stars", "4.83星"),
    ],
)
def test_a_value_in_chinese(value: float | None, unit: str, expected: str) -> None:
    assert format_value(value, unit, Language.CHINESE) == expected
