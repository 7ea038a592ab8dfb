"""The overview: best offer, nearest offer, next step, consent requests, past scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.consents import service as consents
from api.consents import service as requests
from api.consents.repository import Consent, ConsentRequest
from api.consents.service import ConsentTerms
from api.kit.database import transaction
from api.products.eligibility import Offer
from api.scores.self_view_history import LONGEST, Change, Facts, PastScore, change_between, history_of, past_scores
from api.settings import Settings
from api.web.consent_pages import Access
from api.web.outcome_texts import OutcomeText
from api.web.overview import (
    CHANGES,
    Financing,
    access_view,
    best_offer,
    financing_of,
    history_view,
    nearest_offer,
    next_step,
)
from api.web.routing import PageContext
from api.web.score_pages import self_view_for
from api.web.score_views import MissingScore, ScoreOverview
from api.web.translations import translator_for
from scoring import EligibilityInputs, Outcome, Product, eligibility
from scoring.bands import Band, Bands
from scoring.formatting import Language
from tests.api.conftest import AS_OF, NEWCOMER, SELLERS, SNAPSHOT, Opener
from tests.api.products.conftest import LINE, Desk, land
from tests.api.web.conftest import Browser, text_of
from tests.api.web.self_views import Differs, store_self_view

if TYPE_CHECKING:
    from starlette.testclient import TestClient

EN, ZH = translator_for(Language.ENGLISH), translator_for(Language.CHINESE)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BANDS = Bands((Band("A", 0.05), Band("B", 0.1), Band("C", 0.2), Band("D", 0.4), Band("E", 1.0)))
RATES = {"USD": 1.0, "CNY": 0.145, "VND": 0.00004}
PRODUCT = Product("Line", "USD", "C", 12, frozenset(), 2.0, 1_000, 50_000, {"A": 0.06, "B": 0.08, "C": 0.12}, 365)
GROUNDS = EligibilityInputs("B", "CN", 24.0, 10_000.0, {})


def offer(bank: str, grounds: EligibilityInputs = GROUNDS, **terms: Any) -> Offer:
    product = replace(PRODUCT, **terms)
    rate = RATES[product.currency]
    sales = None if grounds.monthly_sales is None else grounds.monthly_sales / rate
    grounds = replace(grounds, monthly_sales=sales)
    return Offer(bank.lower(), bank, "line", 1, product, grounds, eligibility(product, grounds, BANDS))


def test_the_best_offer_is_the_largest_amount_in_one_currency() -> None:
    dollars, yuan = offer("Dollars"), offer("Yuan", currency="CNY", multiple=3.0, cap=10**6)
    dong = offer("Dong", currency="VND", multiple=1.0, cap=10**10)
    assert best_offer([dong, dollars, yuan], RATES) is yuan
    assert (dong.eligibility.limit or 0) > (yuan.eligibility.limit or 0)


def test_of_equal_amounts_the_lowest_rate_is_best_then_the_name_of_the_bank() -> None:
    dear = offer("A bank")
    cheap, same = (offer(bank, prices={"A": 0.05, "B": 0.07, "C": 0.12}) for bank in ("C bank", "B bank"))
    assert best_offer([dear, cheap, same], RATES) is same
    assert best_offer([offer("None", minimum_months=60)], RATES) is None


def test_the_nearest_offer_misses_least_and_can_be_reached() -> None:
    abroad = offer("Abroad", countries=frozenset({"DE"}))
    far = offer("Far", minimum_months=60)
    near = offer("Near", minimum_months=30)
    two = offer("Two", minimum_months=25, minimum_band="A", prices={"A": 0.06})
    assert nearest_offer([abroad, far, two, near]) is near
    assert nearest_offer([abroad, two]) is two
    assert nearest_offer([abroad]) is abroad
    assert nearest_offer([offer("Open")]) is None


@pytest.mark.parametrize(
    ("grounds", "terms", "english", "chinese"),
    [
        ({"band": "E"}, {}, "band C or better (you are in E)", "C级或以上（您目前为E级）"),
        ({"band": None}, {}, "a score in band C or better", "C级或以上的评分"),
        ({}, {"countries": frozenset({"DE", "FR"})}, "a business in Germany and France", "在德国和法国经营"),
        ({}, {"minimum_months": 30}, "6 more months of trading", "再经营6个月"),
        ({"months_trading": None}, {}, "12 months of trading", "经营满12个月"),
        ({"doubts": {"rush": None}}, {}, "visit and parcel data to check your sales", "用于核实销售额的访问及物流数据"),
        ({"monthly_sales": 400.5}, {}, "US$100 more monthly sales after refunds", "每月退款后销售额再增加US$100"),
        ({"monthly_sales": None}, {}, "monthly sales of US$500 after refunds", "每月退款后销售额达到US$500"),
        (
            {},
            {"prices": {"A": 0.1, "B": 0.1}, "minimum_band": "X"},
            "an update of the offer by the bank",
            "银行更新该产品",
        ),
    ],
)
def test_what_is_missing_is_one_sentence(
    grounds: dict[str, Any], terms: dict[str, Any], english: str, chinese: str
) -> None:
    closed = offer("Bank", replace(GROUNDS, **grounds), **terms)
    assert financing_of([closed], RATES, EN).missing == f"Still missing: {english}."
    assert financing_of([closed], RATES, ZH).missing == f"还差：{chinese}。"


def test_several_missing_things_are_a_list() -> None:
    closed = offer("Bank", replace(GROUNDS, band="D", months_trading=8.0))
    found = financing_of([closed], RATES, EN)
    assert found.missing == "Still missing: band C or better (you are in D) and 4 more months of trading."
    assert (found.best, found.others, found.nearest and found.nearest.bank) == (None, 0, "Bank")


def test_other_open_offers_are_counted() -> None:
    found = financing_of([offer("A"), offer("B"), offer("C"), offer("D", minimum_months=60)], RATES, EN)
    assert (found.best and found.best.limit, found.others) == ("US$20,000", 2)
    assert financing_of([], RATES, EN) == Financing(None, 0, None, "")


def request(number: int, bank: str = "Bank") -> tuple[str, ConsentRequest]:
    return bank, ConsentRequest(f"r{number}", "S", "b", "credit_application", NOW, NOW + timedelta(days=30))


def consent(bank: str) -> tuple[str, Consent]:
    return bank, Consent("c", "S", "b", "account_review", NOW, NOW + timedelta(days=90), None, NOW, "seller")


def standing(*, best: bool) -> ScoreOverview:
    any_: Any = None
    return ScoreOverview(640, "A" if best else "B", best, any_, (), None, None, False, False, (), "", "")


UNSCORED = MissingScore(OutcomeText("title", (), "to do"), "")
OPEN = financing_of([offer("Bank of the North")], RATES, EN)
CLOSED = financing_of([], RATES, EN)


@pytest.mark.parametrize(
    ("pending", "financing", "where", "address", "text"),
    [
        (1, OPEN, standing(best=False), "/seller/consents", "Bank asks to see your data. Answer by 31 Mar 2026."),
        (2, OPEN, UNSCORED, "/seller/consents", "2 bank requests wait for your answer."),
        (
            0,
            OPEN,
            standing(best=False),
            "/seller/products",
            "You may qualify for up to US$20,000 from Bank of the North.",
        ),
        (0, CLOSED, standing(best=False), "/seller/improve", "See which changes would raise your score."),
        (0, CLOSED, standing(best=True), "/seller/data", "You are in the best band."),
        (0, CLOSED, UNSCORED, "/seller/data", "See which of your data we have received."),
    ],
)
def test_the_next_step_follows_what_is_most_pressing(
    pending: int, financing: Financing, where: ScoreOverview | MissingScore, address: str, text: str
) -> None:
    found = next_step(where, financing, Access(tuple(map(request, range(pending))), ()), EN)
    assert found.address == address
    assert found.text.startswith(text)


def test_requests_and_banks_with_access_are_named_up_to_three() -> None:
    found = access_view(Access(tuple(map(request, range(5))), tuple(map(consent, "ABCDAE"))), EN)
    assert found.requests[0] == "Bank requests your score for a credit application. Answer by 31 Mar 2026."
    assert (len(found.requests), found.more) == (3, 2)
    assert found.line == "Access now: A, B, C and 2 more."
    assert access_view(Access((), ()), EN).line == "No bank has access to your data now."


FACTS = Facts(NOW, "scored", 640, "B", "bundle", "catalogue", "period", "values", corrects=False)


@pytest.mark.parametrize(
    ("differs", "change"),
    [
        ({}, Change.RENEWAL),
        ({"outcome": "stale_data", "score": None, "band": None}, Change.AGE),
        ({"period": "later"}, Change.DATA),
        ({"values": "others"}, Change.DATA),
        ({"bundle": "other"}, Change.MODEL),
        ({"bundle": "other", "catalogue": "other", "values": "others"}, Change.MODEL),
        ({"bundle": "other", "catalogue": "other", "period": "later"}, Change.DATA_AND_MODEL),
        ({"values": "others", "corrects": True}, Change.CORRECTION),
    ],
)
def test_what_changed_between_two_scores(differs: dict[str, Any], change: Change) -> None:
    after = replace(FACTS, **differs)
    assert change_between(FACTS, after) is change
    assert change_between(None, after) is Change.FIRST
    assert [each.change for each in past_scores([FACTS, after])] == [Change.FIRST, change]
    assert set(CHANGES) == set(Change)


def past(day: int, score: int | None, change: Change = Change.DATA) -> PastScore:
    outcome = Outcome.SCORED if score else Outcome.STALE_DATA
    return PastScore(NOW + timedelta(days=day), outcome, score, "B" if score else None, change)


def test_a_score_without_a_number_breaks_the_line_and_has_its_reason() -> None:
    scores = [past(0, 600, Change.FIRST), past(1, 610), past(2, None), past(3, 620, Change.MODEL), past(4, 625)]
    found = history_view(scores, EN)
    assert [(row.day, row.result, row.change) for row in found.rows][:3] == [
        ("5 Mar 2026", "625, band B", "new data"),
        ("4 Mar 2026", "620, band B", "scoring model updated"),
        ("3 Mar 2026", "No score: data out of date", "new data"),
    ]
    assert found.chart is not None
    assert found.chart.count("<polyline") == 2
    assert found.chart.count('class="gap"') == 1
    assert found.chart.count('class="point model"') == 1
    assert "between 600 and 625 points" in found.chart
    assert found.latest == "Last change on 5 Mar 2026: new data."


def test_without_two_scores_or_a_number_there_is_no_chart() -> None:
    assert history_view([past(0, 600, Change.FIRST)], EN).chart is None
    assert history_view([past(0, None), past(1, None)], EN).chart is None
    assert history_view([past(0, 600), past(0, None)], EN).chart is not None


@pytest.fixture
def desk_of_seller(settings: Settings, open_client: Opener) -> Iterator[Desk]:
    land(settings, {"S": {}, "S-young": {"days_since_first_order": 95.0}})
    with open_client(settings, ["S"]) as client:
        yield Desk(client)


def test_the_overview_shows_the_amount_the_rate_and_the_bank(desk_of_seller: Desk) -> None:
    browser = Browser(desk_of_seller.client).log_in("S")
    assert "No bank offers financing here yet." in text_of(browser.get("/seller"))
    desk_of_seller.put(LINE, {**LINE, "id": "small", "name": "Small line", "multiple": 0.5})
    told = desk_of_seller.eligibility(desk_of_seller.score("S")["id"])["products"][0]
    page = text_of(browser.get("/seller"))
    assert f"Up to {EN.money(told['limit'])} Annual rate {EN.percent(told['price'], 2)}" in page
    assert "Working capital line Compare with 1 other open offer" in page
    young = text_of(Browser(desk_of_seller.client).log_in("S-young").get("/seller"))
    assert "Still missing: 2.9 more months of trading." in young
    # withdrawn offers are gone at once, although the page is cached
    desk_of_seller.put()
    assert "No bank offers financing here yet." in text_of(browser.get("/seller"))


@pytest.mark.databases
def test_the_overview_follows_requests_and_consents(browser: Browser) -> None:
    seller_id, services, now = SELLERS[0], browser.services, datetime.now(UTC)
    bank_id = access.create_client(services.engine, ClientKind.BANK, "Bank <of> the North", now=now).client.id
    browser.log_in(seller_id)
    assert "No bank is requesting your data at the moment." in text_of(browser.get("/seller"))
    with transaction(services.engine, writes=True) as connection:
        asked = requests.create_request(connection, bank_id, seller_id, "credit_application", now)
        requests.create_request(connection, bank_id, SELLERS[1], "account_review", now)
    page = text_of(browser.get("/seller"))
    assert "Bank <of> the North asks to see your data." in page
    assert "Bank <of> the North requests your score for a credit application." in page
    assert "Bank <of> the North" not in page.partition("Access now")[2]
    terms = ConsentTerms(seller_id, bank_id, asked.purpose, timedelta(days=9))
    with transaction(services.engine, writes=True) as connection:
        granted = consents.grant_consent(connection, services.ledger, terms, "tests")
    page = text_of(browser.get("/seller"))
    assert "No bank is requesting your data at the moment." in page
    assert "Bank <of> the North" in page.partition("Access now")[2]
    with transaction(services.engine, writes=True) as connection:
        consents.revoke_consent(connection, services.ledger, granted.id, "tests")
    assert "Bank <of> the North" not in text_of(browser.get("/seller"))


@pytest.mark.databases
def test_the_history_holds_the_latest_twelve_and_what_changed(browser: Browser) -> None:
    seller_id, services, now = SELLERS[0], browser.services, datetime.now(UTC)
    for number in range(LONGEST):
        covers = AS_OF - timedelta(days=300) if number == 5 else None
        bundle = "sha256:" + "0" * 64 if number == LONGEST - 1 else None
        differs = Differs(as_of=AS_OF - timedelta(days=20 - number), covers=covers, bundle=bundle)
        store_self_view(services, seller_id, now - timedelta(days=20 - number), differs)
    view = self_view_for(_here(browser, seller_id), services)
    assert view is not None
    with transaction(services.engine) as connection:
        found = history_of(services, connection, view)
    assert len(found) == LONGEST
    assert [each.change for each in found] == [Change.DATA] * (LONGEST - 2) + [Change.DATA_AND_MODEL] * 2
    assert [each.score is None for each in found].index(True) == 4
    assert found[-1].score == view.assessment.score
    page = text_of(browser.log_in(seller_id).get("/seller"))
    assert "No score: data out of date" in page
    assert "new data and updated scoring model" in page


def _here(browser: Browser, seller_id: str) -> PageContext:
    viewer: Any = None
    return PageContext(seller_id, viewer, lambda: transaction(browser.services.engine))


@pytest.mark.parametrize("seller_id", [NEWCOMER, "S-stale"])
def test_a_view_without_a_number_shows_none_and_all_the_rest(browser: Browser, seller_id: str) -> None:
    if seller_id == "S-stale":
        covers = {"orders": date(2026, 1, 1), "refunds": AS_OF}
        snapshot = replace(SNAPSHOT, covers_through=covers, data_version="stale")
        browser.services.vectors.replace(snapshot, [(seller_id, (400.0, *(0.5,) * 14))])
    page = browser.log_in(seller_id).get("/seller")
    said = text_of(page)
    assert 'id="score"' not in page.text
    assert "points" not in said
    for heading in ("You qualify for", "Next step", "Who is asking to see your data", "Your past scores"):
        assert f"{heading} " in said
    assert "See which of your data we have received." in said


def test_a_second_look_reads_little(client: TestClient) -> None:
    browser = Browser(client).log_in(SELLERS[0])
    browser.get("/seller")
    statements: list[str] = []
    keep = lambda *given: statements.append(given[2])  # noqa: E731 - to be taken off again
    event.listen(browser.services.engine, "before_cursor_execute", keep)
    browser.get("/seller")
    event.remove(browser.services.engine, "before_cursor_execute", keep)
    assert len([each for each in statements if each.startswith("SELECT")]) <= 7, statements
