"""The inputs of eligibility by hand and as properties, and limits that exclude doubted sales."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
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
from api.settings import Settings
from features.catalogue import CATALOGUE
from features.catalogue.integrity import CEILING
from tests.api.conftest import Opener
from tests.api.products.conftest import LINE, RATES, Desk, land

BANDS = "ABCDE"
SELLERS = [f"P-{number:02}" for number in range(24)]


def test_eligibility_reads_features_of_the_catalogue() -> None:
    catalogue = {feature.name: feature for feature in CATALOGUE}
    assert {FIRST_ORDER, YEAR_OF_SALES, BEYOND_VISITS, *SHARES} <= set(catalogue)
    assert (catalogue[YEAR_OF_SALES].unit, catalogue[FIRST_ORDER].unit) == ("USD", "days")
    assert catalogue[YEAR_OF_SALES].window == 395
    assert repr(CEILING) in repr(catalogue[BEYOND_VISITS].expression)


@pytest.mark.parametrize(("days", "months"), [(365.0, 12.0), (73.0, 2.4), (0.0, 0.0), (None, None)])
def test_a_month_is_a_twelfth_of_365_days(days: float | None, months: float | None) -> None:
    assert months_trading(days) == months


@pytest.mark.parametrize(
    ("sales", "days", "average"),
    [
        (120_000.0, 2_000.0, 10_000.0),
        (120_000.0, 395.0, 10_000.0),  # the first day of the year of sales
        (66_000.0, 212.5, 11_000.0),  # half of it
        (5_000.0, 31.0, 5_000.0),  # one day of sales counts as a month
        (0.0, 12.0, 0.0),  # nothing has settled yet
        (-300.0, 395.0, -25.0),
        (None, 395.0, None),
        (120_000.0, None, None),
    ],
)
def test_monthly_sales_are_the_average_of_the_settled_months(
    sales: float | None, days: float | None, average: float | None
) -> None:
    assert monthly_sales(sales, days) == average


@given(st.floats(-1e6, 1e10), st.integers(0, 20_000), st.integers(0, 400))
def test_monthly_sales_are_between_a_twelfth_and_all_and_fall_with_time(sales: float, days: int, more: int) -> None:
    average, later = monthly_sales(sales, float(days)), monthly_sales(abs(sales), float(days + more))
    assert average is not None
    assert later is not None
    low, high = sorted((sales / 12, sales))
    assert low - abs(low) * 1e-12 <= average <= high + abs(high) * 1e-12
    assert later <= abs(average) * (1 + 1e-12)


@given(st.none() | st.floats(0, 1e6), st.none() | st.floats(0, 1))
def test_doubts_are_shares_and_missing_with_their_feature(beyond: float | None, share: float | None) -> None:
    result = doubts({BEYOND_VISITS: beyond, SHARES[0]: share})
    assert list(result) == [*SHARES, BEYOND_VISITS]
    assert (result[SHARES[0]], result[SHARES[1]]) == (share, None)
    doubted = result[BEYOND_VISITS]
    assert (doubted is None) is (beyond is None)
    if beyond is not None and doubted is not None:
        # of c + e orders per visit, c are not doubted
        assert 0 <= doubted < 1 or beyond > 1e5
        assert math.isclose((1 - doubted) * (CEILING + beyond), CEILING, rel_tol=1e-6)


def _values(rng: random.Random) -> dict[str, float | None]:
    doubt = [0.0, 0.0, 0.01, 0.3, 1.0, None]
    return {
        "days_on_platform": rng.choice([800.0, 800.0, 800.0, 10.0]),
        "days_since_first_order": rng.choice([None, 1.0, 31.0, 100.0, 365.0, 395.0, 4_000.0]),
        "settled_net_sales_365d": rng.choice([None, -50.0, 0.0, 999.5, 20_000.0, 146_000.0, 9e9]),
        "rush_order_share_180d": rng.choice(doubt),
        "unmoved_parcel_share_180d": rng.choice(doubt),
        "orders_beyond_visits_180d": rng.choice([0.0, 0.0, 0.2, 5.0, None]),
        **{f"signal_{number:02}": rng.random() for number in range(4)},
    }


@st.composite
def product(draw: st.DrawFn) -> dict[str, Any]:
    worst = draw(st.integers(0, len(BANDS) - 1))
    least = draw(st.sampled_from([1, 500, 20_000]))
    return {
        **LINE,
        "currency": draw(st.sampled_from(sorted(RATES))),
        "minimum_band": BANDS[worst],
        "minimum_months": draw(st.sampled_from([0, 1, 12, 24])),
        "countries": draw(st.sampled_from([[], ["CN"], ["DE", "VN"]])),
        "multiple": draw(st.floats(0.01, 120)),
        "least": least,
        "cap": least + draw(st.sampled_from([0, 10**4, 10**9])),
        "prices": {band: 0.05 + place / 100 for place, band in enumerate(BANDS[: worst + 1])},
    }


LISTS = st.lists(product(), max_size=4).map(
    lambda products: [{**item, "id": f"p-{place}"} for place, item in enumerate(products)]
)


@pytest.fixture
def scored(stored_in: Settings, open_client: Opener) -> Iterator[tuple[Desk, dict[str, str]]]:
    """A bank, and the score IDs of sellers with different values."""
    rng = random.Random(5)  # noqa: S311 - test sellers, nothing secret
    land(stored_in, {seller: _values(rng) for seller in SELLERS[:-4]} | {seller: {} for seller in SELLERS[-4:]})
    with open_client(stored_in, SELLERS) as client:
        desk = Desk(client)
        scores = {seller: desk.score(seller)["id"] for seller in SELLERS}
        desk.put({**LINE, "countries": [], "minimum_months": 3})
        results = [desk.eligibility(score)["products"][0] for score in scores.values()]
        assert {result["eligible"] for result in results} == {True, False}
        criteria = {unmet["criterion"] for result in results for unmet in result["unmet"]}
        assert criteria >= {"score", "months_trading", "checked_sales", "monthly_sales"}
        yield desk, scores


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products=LISTS, seller=st.sampled_from(SELLERS))
def test_limits_exclude_doubted_sales_and_pages_offer_what_the_bank_sees(
    scored: tuple[Desk, dict[str, str]], products: list[dict[str, Any]], seller: str
) -> None:
    desk, scores = scored
    desk.put(*products)
    responses = desk.eligibility(scores[seller])["products"]
    offers = desk.offers(scores[seller], datetime.now(UTC))[1]
    assert [offer.product_id for offer in offers] == [item["id"] for item in responses] == [p["id"] for p in products]
    for offer, response in zip(offers, responses, strict=True):
        result, inputs = offer.eligibility, offer.inputs
        assert (result.eligible, result.limit, result.price, [str(unmet.criterion) for unmet in result.unmet]) == (
            response["eligible"],
            response["limit"],
            response["price"],
            [unmet["criterion"] for unmet in response["unmet"]],
        )
        if result.limit is None:
            assert result.unmet
            continue
        shares = list(inputs.doubts.values())
        assert inputs.monthly_sales is not None
        assert None not in shares
        undoubted = inputs.monthly_sales * max(0.0, 1 - math.fsum(share or 0.0 for share in shares))
        assert result.limit <= offer.product.multiple * undoubted * (1 + 1e-12)
        assert offer.product.least <= result.limit <= offer.product.cap
