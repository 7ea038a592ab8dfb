"""Twelve-month series: steps of 30 days and their values."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.profile.series import SERIES, STEPS, SUMS, Series, step_value, steps_before

RATE = Series(name="r", label="R", meaning="A rate.", unit="ratio", of="returned", over="gross")
NET = Series(name="n", label="N", meaning="A difference.", unit="micro-USD", of="gross", less="refunded")
STARS = Series(name="s", label="S", meaning="Stars.", unit="stars", of="star_hundredths", over="ratings")


@given(st.dates(date(2019, 1, 1), date(2030, 1, 1)))
def test_steps_are_contiguous_and_end_at_the_midnight(as_of: date) -> None:
    steps = steps_before(as_of)
    assert len(steps) == STEPS
    assert steps[-1].ends == as_of
    assert all(before.ends == after.begins for before, after in pairwise(steps))
    assert {step.ends - step.begins for step in steps} == {timedelta(days=30)}
    assert [step.settled for step in steps] == [True] * 11 + [False]


def test_a_leap_day_is_a_day() -> None:
    assert steps_before(date(2024, 3, 30))[-1].begins == date(2024, 2, 29)
    assert steps_before(date(2023, 3, 30))[-1].begins == date(2023, 2, 28)


@pytest.mark.parametrize(
    ("series", "sums", "expected"),
    [
        (NET, {"gross": 2**53 + 1, "refunded": 0}, 2**53 + 1),
        (NET, {"gross": 5, "refunded": 7}, -2),
        (NET, {"gross": 5, "refunded": None}, None),
        (RATE, {"returned": 1, "gross": 4}, 0.25),
        (RATE, {"returned": 1, "gross": 0}, None),
        (STARS, {"star_hundredths": 1770, "ratings": 4}, 4.425),
    ],
)
def test_step_values(series: Series, sums: dict[str, int | None], expected: float | None) -> None:
    found = step_value(series, sums)
    assert found == expected
    assert isinstance(found, int) == isinstance(expected, int)


def test_names_and_labels_are_unique_and_all_sums_are_stored() -> None:
    assert len({series.name for series in SERIES}) == len({series.label for series in SERIES}) == len(SERIES)
    assert {name for series in SERIES for name in series.sums} == set(SUMS)
    assert all(series.meaning.endswith(".") and series.tables for series in SERIES)
