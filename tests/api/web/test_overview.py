"""The overview: best offer, nearest offer, next step, consent requests, past scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event

from api.consents import service as consents
from api.consents.repository import Consent, ConsentRequest
from api.consents.service import ConsentTerms
from api.kit.database import transaction
from api.products.eligibility import Offer
from api.scores import self_view
from api.scores.self_view_history import LONGEST, Change, Facts, PastScore, change_between, history_of, past_scores
from api.settings import Settings
from api.web import score_pages
from api.web.consent_pages import Access
from api.web.offers import best_offer, missing_criteria, nearest_offer
from api.web.outcome_texts import OutcomeText
from api.web.rendering import Viewer, render_template
from api.web.translations import translator_for
from scoring import Bundle, EligibilityInputs, Outcome, Product, eligibility
from scoring.bands import Band, Bands
from scoring.formatting import Language
from tests.api.conftest import AS_OF, NEWCOMER, SELLERS, Opener
from tests.api.products.conftest import LINE, Desk, land
from tests.api.web.conftest import Browser, create_bank, store_tables, text_in, text_of
from tests.api.web.self_views import Differs, store_self_view

EN, ZH = translator_for(Language.ENGLISH), translator_for(Language.CHINESE)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BANDS = Bands((Band("A", 0.05), Band("B", 0.1), Band("C", 0.2), Band("D", 0.4), Band("E", 1.0)))
RATES = {"USD": 1.0, "CNY": 0.145, "VND": 0.00004}
PRODUCT = Product("Line", "USD", "C", 12, frozenset(), 2.0, 1_000, 50_000, {"A": 0.06, "B": 0.08, "C": 0.12}, 365)
INPUTS = EligibilityInputs("B", "CN", 24.0, 10_000.0, {})


def offer(bank: str, inputs: EligibilityInputs = INPUTS, **terms: Any) -> Offer:
    product = replace(PRODUCT, **terms)
    if inputs.monthly_sales is not None:
        inputs = replace(inputs, monthly_sales=inputs.monthly_sales / RATES[product.currency])
    return Offer(bank.lower(), bank, "line", 1, product, inputs, eligibility(product, inputs, BANDS))


def test_the_best_offer_is_the_largest_amount_in_dollars_then_the_lowest_rate_then_the_name_of_the_bank() -> None:
    dollars, yuan = offer("Dollars"), offer("Yuan", currency="CNY", multiple=3.0, cap=10**6)
    dong = offer("Dong", currency="VND", multiple=1.0, cap=10**10)
    assert best_offer([dong, dollars, yuan], RATES) is yuan
    cheap, same = (offer(bank, prices={"A": 0.05, "B": 0.07, "C": 0.12}) for bank in ("C bank", "B bank"))
    assert best_offer([dollars, cheap, same], RATES) is same
    assert best_offer([offer("None", minimum_months=60)], RATES) is None


def test_the_nearest_offer_misses_least_and_can_be_reached() -> None:
    abroad = offer("Abroad", countries=frozenset({"DE"}))
    far, near = offer("Far", minimum_months=60), offer("Near", minimum_months=30)
    two = offer("Two", minimum_months=25, minimum_band="A", prices={"A": 0.06})
    assert nearest_offer([abroad, far, two, near]) is near
    assert nearest_offer([abroad, two]) is two
    assert nearest_offer([abroad]) is abroad
    assert nearest_offer([offer("Open")]) is None


@pytest.mark.parametrize(
    ("inputs", "terms", "english", "chinese"),
    [
        ({"band": "E"}, {}, "band C or better (you are in E)", "C级或以上（您目前为E级）"),
        ({"band": None}, {}, "a score in band C or better", "C级或以上的评分"),
        ({}, {"countries": frozenset({"DE", "FR"})}, "a business in Germany and France", "在德国和法国经营"),
        ({}, {"minimum_months": 30}, "6 more months of trading", "再经营6个月"),
        ({"months_trading": None}, {}, "12 months of trading", "经营满12个月"),
        ({"doubts": {"rush": None}}, {}, "visit and parcel data to check your sales", "用于核实销售额的访问及物流数据"),
        ({"monthly_sales": 400.5}, {}, "US$100 more monthly sales after refunds", "每月退款后销售额再增加US$100"),
        ({"monthly_sales": None}, {}, "monthly sales of US$500 after refunds", "每月退款后销售额达到US$500"),
        ({}, {"prices": {"A": 0.1}, "minimum_band": "X"}, "an update of the offer by the bank", "银行更新该产品"),
        (
            {"band": "D", "months_trading": 8.0},
            {},
            "band C or better (you are in D) and 4 more months of trading",
            "C级或以上（您目前为D级）和再经营4个月",
        ),
    ],
)
def test_the_unmet_criteria_are_one_sentence(
    inputs: dict[str, Any], terms: dict[str, Any], english: str, chinese: str
) -> None:
    closed = offer("Bank", replace(INPUTS, **inputs), **terms)
    assert missing_criteria(closed, EN) == f"Still missing: {english}."
    assert missing_criteria(closed, ZH) == f"还差：{chinese}。"


def past(day: int, score: int | None, change: Change = Change.DATA) -> PastScore:
    outcome = Outcome.SCORED if score else Outcome.STALE_DATA
    return PastScore(NOW + timedelta(days=day), outcome, score, "B" if score else None, change)


def overview(bundle: Bundle, **values: Any) -> str:
    """Render the overview of a seller in band B without offers, requests, consents or earlier scores."""
    band, history = values.pop("band", "B"), values.pop("history", [past(0, 600, Change.FIRST)])
    shown = {
        "view": SimpleNamespace(previous=None, score=SimpleNamespace(fields={}, expires_at=NOW)),
        "assessment": SimpleNamespace(score=600, band=band, table_gaps=(), as_of="2026-03-01"),
        "bundle": bundle,
        "unscored": None,
        "segments": score_pages.band_segments(bundle, band),
        "best": None,
        "nearest": None,
        "access": Access((), ()),
        "history": score_pages.history_points(history, EN),
    }
    return render_template("overview_of_score.html", Viewer(EN), **{**shown, **values})


REQUEST = ConsentRequest("r", "S", "b", "credit_application", NOW, NOW + timedelta(days=30))
CONSENT = Consent("c", "S", "b", "account_review", NOW, NOW + timedelta(days=90), None, NOW, "seller")
UNSCORED = OutcomeText("title", (), "to do")


@pytest.mark.parametrize(
    ("values", "address", "text"),
    [
        ({"requests": 1, "best": offer("Bank")}, "consents", "Bank asks to see your data. Answer by 31 Mar 2026."),
        ({"requests": 2, "unscored": UNSCORED}, "consents", "2 bank requests wait for your answer."),
        ({"best": offer("North")}, "products", "You may qualify for up to US$20,000 from North."),
        ({}, "improve", "See which changes would raise your score."),
        ({"band": "A"}, "data", "You are in the best band."),
        ({"unscored": UNSCORED}, "data", "See which of your data we have received."),
    ],
)
def test_the_next_step_is_the_most_urgent_one(
    bundle: Bundle, values: Mapping[str, Any], address: str, text: str
) -> None:
    requests = (("Bank", REQUEST),) * values.get("requests", 0)
    page = overview(bundle, others=0, **{**values, "access": Access(requests, ())})
    step = page[page.index('id="step"') :].partition("</section>")[0]
    assert f'href="/seller/{address}"' in step
    assert text in step


def test_requests_and_banks_with_access_are_named_up_to_three(bundle: Bundle) -> None:
    access = Access((("Bank", REQUEST),) * 5, tuple((bank, CONSENT) for bank in "ABCDAE"))
    page = overview(bundle, access=access)
    assert page.count("Bank requests your score for a credit application. Answer by 31 Mar 2026.") == 3
    assert "2 more requests are waiting." in page
    assert "Access now: A, B, C and 2 more." in page
    assert "No bank has access to your data now." in overview(bundle)


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
def test_the_change_between_two_scores(differs: dict[str, Any], change: Change) -> None:
    after = replace(FACTS, **differs)
    assert change_between(None, after) is Change.FIRST
    assert [item.change for item in past_scores([FACTS, after])] == [Change.FIRST, change]
    assert set(score_pages.CHANGES) == set(Change)


def test_a_score_without_a_number_breaks_the_line_and_has_its_reason(bundle: Bundle) -> None:
    scores = [past(0, 600, Change.FIRST), past(1, 610), past(2, None), past(3, 620, Change.MODEL), past(4, 625)]
    page = overview(bundle, history=scores)
    rows = ("5 Mar 2026 625, band B new data", "4 Mar 2026 620, band B scoring model updated")
    assert " ".join((*rows, "3 Mar 2026 No score: data out of date new data")) in text_in(page)
    assert [page.count(part) for part in ("<polyline", 'class="gap"', 'class="point model"')] == [2, 1, 1]
    assert "between 600 and 625 points" in page
    assert "Last change on 5 Mar 2026: new data." in page


@pytest.mark.parametrize(("scores", "drawn"), [([600], False), ([None, None], False), ([600, None], True)])
def test_a_chart_needs_two_scores_and_a_number(bundle: Bundle, scores: list[int | None], *, drawn: bool) -> None:
    page = overview(bundle, history=[past(day, score) for day, score in enumerate(scores)])
    assert ("picture history" in page) is drawn


@pytest.fixture
def desk_of_seller(settings: Settings, open_client: Opener) -> Iterator[Desk]:
    land(settings, {"S": {}, "S-young": {"days_since_first_order": 95.0}})
    with open_client(settings, ["S"]) as client:
        yield Desk(client)


def test_the_overview_shows_the_amount_the_rate_and_the_bank(desk_of_seller: Desk) -> None:
    browser = Browser(desk_of_seller.client).log_in("S")
    assert "No bank offers financing here yet." in text_of(browser.get("/seller"))
    desk_of_seller.put(LINE, {**LINE, "id": "small", "name": "Small line", "multiple": 0.5})
    product = desk_of_seller.eligibility(desk_of_seller.score("S")["id"])["products"][0]
    page = text_of(browser.get("/seller"))
    assert f"Up to {EN.money(product['limit'])} Annual rate {EN.percent(product['price'], 2)}" in page
    assert "Working capital line Compare with 1 other open offer" in page
    young = text_of(Browser(desk_of_seller.client).log_in("S-young").get("/seller"))
    assert "Still missing: 2.9 more months of trading." in young
    # withdrawn offers are gone at once, although the page is cached
    desk_of_seller.put()
    assert "No bank offers financing here yet." in text_of(browser.get("/seller"))


@pytest.mark.databases
def test_the_overview_follows_requests_and_consents(browser: Browser) -> None:
    seller_id, services, now = SELLERS[0], browser.services, datetime.now(UTC)
    bank_id = create_bank(browser, "Bank <of> the North")
    browser.log_in(seller_id)
    assert "No bank is requesting your data at the moment." in text_of(browser.get("/seller"))
    with transaction(services.engine, writes=True) as connection:
        consents.create_request(connection, bank_id, seller_id, "credit_application", now)
        consents.create_request(connection, bank_id, SELLERS[1], "account_review", now)
    page = text_of(browser.get("/seller"))
    assert "Bank <of> the North asks to see your data." in page
    assert "Bank <of> the North requests your score for a credit application." in page
    assert "Bank <of> the North" not in page.partition("Access now")[2]
    terms = ConsentTerms(seller_id, bank_id, "credit_application", timedelta(days=9))
    with transaction(services.engine, writes=True) as connection:
        consent = consents.grant_consent(connection, services.ledger, terms, "tests")
    page = text_of(browser.get("/seller"))
    assert "No bank is requesting your data at the moment." in page
    assert "Bank <of> the North" in page.partition("Access now")[2]
    with transaction(services.engine, writes=True) as connection:
        consents.revoke_consent(connection, services.ledger, consent.id, "tests")
    assert "Bank <of> the North" not in text_of(browser.get("/seller"))


@pytest.mark.databases
def test_the_history_has_the_latest_twelve_scores_and_their_changes(browser: Browser) -> None:
    seller_id, services, now = SELLERS[0], browser.services, datetime.now(UTC)
    for number in range(LONGEST):
        covers = AS_OF - timedelta(days=300) if number == 5 else None
        bundle = "sha256:" + "0" * 64 if number == LONGEST - 1 else None
        differs = Differs(as_of=AS_OF - timedelta(days=20 - number), covers=covers, bundle=bundle)
        store_self_view(services, seller_id, now - timedelta(days=20 - number), differs)
    view = self_view.issue_self_view(services, seller_id, now)
    with transaction(services.engine) as connection:
        history = history_of(services, connection, view)
    assert len(history) == LONGEST
    assert [item.change for item in history] == [Change.DATA] * (LONGEST - 2) + [Change.DATA_AND_MODEL] * 2
    assert [item.score is None for item in history].index(True) == 4
    assert history[-1].score == view.assessment.score
    page = text_of(browser.log_in(seller_id).get("/seller"))
    assert "No score: data out of date" in page
    assert "new data and updated scoring model" in page


@pytest.mark.parametrize("seller_id", [NEWCOMER, "S-stale"])
def test_an_overview_without_a_score_shows_everything_else(browser: Browser, seller_id: str) -> None:
    if seller_id == "S-stale":
        store_tables(browser, seller_id, orders=AS_OF - timedelta(days=30), refunds=AS_OF)
    page = browser.log_in(seller_id).get("/seller")
    assert 'id="score"' not in page.text
    assert "points" not in text_of(page)
    for heading in ("You qualify for", "Next step", "Who is asking to see your data", "Your past scores"):
        assert f"{heading} " in text_of(page)


def test_opening_the_overview_again_reads_little(browser: Browser) -> None:
    browser.log_in(SELLERS[0]).get("/seller")
    statements: list[str] = []
    event.listen(browser.services.engine, "before_cursor_execute", lambda *values: statements.append(values[2]))
    browser.get("/seller")
    assert len([statement for statement in statements if statement.startswith("SELECT")]) <= 7, statements
