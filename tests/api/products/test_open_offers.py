"""What the seller's pages show as open is open at the bank's own endpoint, and no limit rests on doubted sales."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.kit.database import transaction
from api.products.eligibility import Offer
from api.products.service import offers
from api.settings import Settings
from tests.api.conftest import Opener
from tests.api.products.conftest import LINE, RATES, Desk, land

SELLERS = [f"P-{number:02}" for number in range(24)]
BANDS = "ABCDE"


def drawn(rng: random.Random) -> dict[str, float | None]:
    """Return values at the edges, and some between."""
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


LISTS = st.lists(product(), max_size=4).map(lambda found: [{**each, "id": f"p-{i}"} for i, each in enumerate(found)])


@pytest.fixture
def scored(stored_in: Settings, open_client: Opener) -> Iterator[tuple[Desk, dict[str, str]]]:
    """A desk, and the scores of sellers who differ, by their ids."""
    rng = random.Random(5)  # noqa: S311 - test sellers, nothing secret
    land(stored_in, {seller: drawn(rng) for seller in SELLERS[:-4]} | {seller: {} for seller in SELLERS[-4:]})
    with open_client(stored_in, SELLERS) as client:
        desk = Desk(client)
        yield desk, {seller: desk.score(seller)["id"] for seller in SELLERS}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_products=LISTS, seller=st.sampled_from(SELLERS))
def test_what_is_offered_as_open_is_open_at_the_banks_endpoint(
    scored: tuple[Desk, dict[str, str]], given_products: list[dict[str, Any]], seller: str
) -> None:
    desk, scores = scored
    desk.put(*given_products)
    told = {each["id"]: each for each in desk.eligibility(scores[seller])["products"]}
    with transaction(desk.services.engine) as connection:
        found = offers(connection, desk.services, desk.stored(scores[seller]))
    assert [each.product_id for each in found] == list(told) == [each["id"] for each in given_products]
    for each in found:
        same = told[each.product_id]
        assert (same["eligible"], same["limit"], same["price"]) == (
            each.eligibility.eligible,
            each.eligibility.limit,
            each.eligibility.price,
        )
        assert [one["criterion"] for one in same["unmet"]] == [str(one.criterion) for one in each.eligibility.unmet]
        held_to_undoubted(each)


def held_to_undoubted(offer: Offer) -> None:
    limit, inputs = offer.eligibility.limit, offer.inputs
    if limit is None:
        assert offer.eligibility.unmet
        return
    doubts = list(inputs.doubts.values())
    assert inputs.monthly_sales is not None
    assert None not in doubts
    undoubted = inputs.monthly_sales * max(0.0, 1 - math.fsum(share or 0.0 for share in doubts))
    assert limit <= offer.product.multiple * undoubted * (1 + 1e-12)
    assert offer.product.least <= limit <= offer.product.cap


def test_sellers_differ_enough_that_products_open_and_close(scored: tuple[Desk, dict[str, str]]) -> None:
    desk, scores = scored
    desk.put({**LINE, "countries": [], "minimum_months": 3})
    found = [desk.eligibility(score)["products"][0] for score in scores.values()]
    assert {each["eligible"] for each in found} == {True, False}
    assert {one["criterion"] for each in found for one in each["unmet"]} >= {
        "score",
        "months_trading",
        "checked_sales",
        "monthly_sales",
    }
