"""What eligibility rests on: months, average months and doubts, by hand and as properties."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.products.eligibility import (
    BEYOND_VISITS,
    FIRST_ORDER,
    SHARES,
    YEAR_OF_SALES,
    doubts,
    monthly_sales,
    months_trading,
)
from features.catalogue import CATALOGUE
from features.catalogue.integrity import CEILING

days = st.integers(0, 20_000).map(float)
sales = st.floats(-1e6, 1e10)


def test_the_features_that_are_read_are_of_the_catalogue_and_what_they_are_taken_for() -> None:
    known = {feature.name: feature for feature in CATALOGUE}
    assert {FIRST_ORDER, YEAR_OF_SALES, BEYOND_VISITS, *SHARES} <= set(known)
    assert (known[YEAR_OF_SALES].unit, known[FIRST_ORDER].unit) == ("USD", "days")
    assert known[YEAR_OF_SALES].window == 395
    assert repr(CEILING) in repr(known[BEYOND_VISITS].expression)


@pytest.mark.parametrize(("since", "months"), [(365.0, 12.0), (73.0, 2.4), (0.0, 0.0), (None, None)])
def test_months_are_twelfths_of_365_days(since: float | None, months: float | None) -> None:
    assert months_trading(since) == months


@pytest.mark.parametrize(
    ("year", "since", "average"),
    [
        (120_000.0, 2_000.0, 10_000.0),
        (120_000.0, 395.0, 10_000.0),  # the first day of the year of sales
        (66_000.0, 212.5, 11_000.0),  # half of it
        (5_000.0, 31.0, 5_000.0),  # one day's sales are not taken for what every day brings
        (0.0, 12.0, 0.0),  # nothing has settled yet
        (-300.0, 395.0, -25.0),
        (None, 395.0, None),
        (120_000.0, None, None),
    ],
)
def test_an_average_month(year: float | None, since: float | None, average: float | None) -> None:
    assert monthly_sales(year, since) == average


@given(sales, days, st.integers(0, 400))
def test_an_average_month_is_never_more_than_all_sales_nor_less_than_a_twelfth(
    year: float, since: float, longer: int
) -> None:
    average = monthly_sales(year, since)
    assert average is not None
    low, high = sorted((year / 12, year))
    assert low - abs(low) * 1e-12 <= average <= high + abs(high) * 1e-12
    later = monthly_sales(abs(year), since + longer)
    assert later is not None
    # the same sales over a longer record are less a month
    assert later <= abs(average) * (1 + 1e-12)


@given(st.none() | st.floats(0, 1e6), st.none() | st.floats(0, 1))
def test_doubts_are_shares_and_none_where_a_feature_is_missing(beyond: float | None, share: float | None) -> None:
    found = doubts({BEYOND_VISITS: beyond, SHARES[0]: share})
    assert list(found) == [*SHARES, BEYOND_VISITS]
    assert found[SHARES[1]] is None
    assert found[SHARES[0]] == share
    if beyond is None:
        assert found[BEYOND_VISITS] is None
    else:
        doubted = found[BEYOND_VISITS]
        assert doubted is not None
        # of c + e orders a visit, what is not doubted is c
        assert 0 <= doubted < 1 or beyond > 1e5
        assert math.isclose((1 - doubted) * (CEILING + beyond), CEILING, rel_tol=1e-6)
