"""Values as people read them."""

from __future__ import annotations

import pytest

from scoring.figures import figure


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "USD", "missing"),
        (0.0621, "ratio", "6.2%"),
        (-0.5, "ratio", "-50.0%"),
        (12345.6, "USD", "$12,346"),
        (0.8766, "USD", "$0.88"),
        (-0.8766, "USD", "-$0.88"),
        (-2500.0, "USD", "-$2,500"),
        (1452.0, "days", "1,452 d"),
        (31.5, "hours", "31.5 h"),
        (-0.08832, "days", "-0.1 d"),
        (4.83333, "stars", "4.833"),
        (0.0, "count", "0"),
    ],
)
def test_a_value_has_its_unit_and_no_more_digits_than_a_person_reads(
    value: float | None, unit: str, expected: str
) -> None:
    assert figure(value, unit) == expected
