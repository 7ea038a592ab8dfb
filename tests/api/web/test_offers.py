"""A product is open on the page if the API calls it eligible; otherwise the page states what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.settings import Settings
from api.web.translations import Language, translator_for
from tests.api.conftest import Opener
from tests.api.products.conftest import LINE, Desk, land
from tests.api.web.conftest import Browser

AMOUNT = re.compile(r"\d[\d,]*(?:\.\d+)?")
SELLERS: dict[str, dict[str, float | None]] = {
    "S-steady": {},
    "S-small": {"settled_net_sales_365d": 900.0},
    "S-young": {"days_since_first_order": 95.0},
    "S-doubted": {"rush_order_share_180d": 0.6},
    "S-unchecked": {"unmoved_parcel_share_180d": None},
    "S-unknown": {"settled_net_sales_365d": None, "days_since_first_order": None},
    "S-newcomer": {"days_on_platform": 10.0},
}


@dataclass
class Service:
    """The pages of sellers and the desk of the bank, on one service."""

    desk: Desk
    browsers: dict[str, Browser]
    scores: dict[str, str] = field(default_factory=dict)

    def score(self, seller_id: str) -> str:
        if seller_id not in self.scores:
            self.scores[seller_id] = self.desk.score(seller_id)["id"]
        return self.scores[seller_id]


@pytest.fixture
def service(settings: Settings, open_client: Opener) -> Iterator[Service]:
    land(settings, SELLERS)
    with open_client(settings, list(SELLERS)) as client:
        yield Service(Desk(client), {each: Browser(client).log_in(each) for each in SELLERS})


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    minimum_band=st.sampled_from("ABCDE"),
    minimum_months=st.integers(0, 40),
    countries=st.sampled_from([[], ["CN"], ["VN", "DE"]]),
    currency=st.sampled_from(["USD", "CNY", "VND"]),
    multiple=st.floats(0.1, 10.0),
    least=st.integers(1, 100_000),
)
def test_a_product_is_open_on_the_page_if_it_is_open_to_the_bank(service: Service, least: int, **terms: Any) -> None:
    prices = {band: rate for band, rate in LINE["prices"].items() if band <= terms["minimum_band"]}  # type: ignore[attr-defined]
    service.desk.put({**LINE, **terms, "prices": prices, "least": least, "cap": 10 * least})
    english = translator_for(Language.ENGLISH)
    for seller_id, browser in service.browsers.items():
        page = browser.get("/seller/products")
        assert page.status_code == 200
        (product,) = service.desk.eligibility(service.score(seller_id))["products"]
        (shown,) = re.findall(r'<section class="card offer( closed)?" data-product="line"', page.text)
        assert (shown == "") is product["eligible"]
        if product["eligible"]:
            limit = re.search(r'class="limit">([^<]+)<', page.text)
            assert limit is not None
            assert unescape(limit[1]) == english.money(product["limit"], terms["currency"])
            assert english.percent(product["price"], 2) in page.text
        else:
            unmet = re.findall(r"<li>([^<]*) <span class=\"hint\">([^<]*)</span>", page.text)
            assert len(unmet) == len(product["unmet"]) > 0
            assert all(sentence.strip() and advice.strip() for sentence, advice in unmet)
            assert "None" not in "".join(sentence for sentence, _ in unmet)
            for sentence, _ in unmet:
                if sentence.endswith("are missing."):
                    needed, found, gap = (float(each.replace(",", "")) for each in AMOUNT.findall(sentence))
                    assert needed - found == pytest.approx(gap)
                    assert gap > 0
