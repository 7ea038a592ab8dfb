"""Nobody sees a byte of anybody else: on no page, in no download, by no id; and what is erased is gone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.consents import service as consents
from api.consents import service as requests
from api.consents.service import ConsentTerms
from api.kit.database import transaction
from api.operations.retention import erase_seller
from tests.api.conftest import EVERYONE, SELLERS, fill
from tests.api.web.conftest import PAGES, Browser, OpenBrowser, open_review
from tests.api.web.test_pages import score_of


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seller_id=st.sampled_from(EVERYONE), path=st.sampled_from((*PAGES, "/download")), about=st.sampled_from(EVERYONE)
)
def test_no_page_names_another_seller_whatever_is_asked_for(
    browser: Browser, seller_id: str, path: str, about: str
) -> None:
    browser.log_in(seller_id)
    page = browser.get(f"/seller{path}?seller_id={about}&subject={about}&feature={about}&done={about}")
    assert page.status_code == 200
    # what is asked for is not repeated either
    assert [other for other in EVERYONE if other in page.text and other != seller_id] == []


def everything_of(browser: Browser) -> str:
    """Return every byte that somebody who is logged in is shown."""
    pages = [browser.get(f"/seller{path}").text for path in (*PAGES, "/download")]
    return "\n".join(pages)


def test_a_seller_sees_nothing_of_another(browser: Browser, open_browser: OpenBrowser) -> None:
    engine, ledger = browser.services.engine, browser.services.ledger
    now = datetime.now(UTC)
    banks = {
        each: access.create_client(engine, ClientKind.BANK, f"Bank only of {each}", now=now).client.id
        for each in SELLERS[:3]
    }
    ids: dict[str, list[str]] = {}
    for seller_id, bank_id in banks.items():
        with transaction(engine, writes=True) as connection:
            asked = requests.create_request(connection, bank_id, seller_id, "account_review", now)
            terms = ConsentTerms(seller_id, bank_id, "credit_application", timedelta(days=9))
            consent = consents.grant_consent(connection, ledger, terms, "tests")
        review = open_review(browser, seller_id, statement=f"secret of {seller_id}")
        ids[seller_id] = [asked.id, consent.id, review.id, score_of(browser, seller_id)["id"], bank_id]
    browsers = {each: open_browser().log_in(each) for each in banks}
    for seller_id, own in browsers.items():
        seen = everything_of(own)
        assert f"secret of {seller_id}" in seen
        assert seller_id in seen
        for other in set(banks) - {seller_id}:
            for trace in (other, *ids[other], f"secret of {other}", f"Bank only of {other}"):
                assert trace not in seen, trace
            for path, fields in (
                ("grant", {"request_id": ids[other][0], "days": "30"}),
                ("decline", {"request_id": ids[other][0]}),
                ("revoke", {"consent_id": ids[other][1]}),
            ):
                refused = own.post(f"/seller/consents/{path}", **fields)
                unknown = {**fields, next(iter(fields)): "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"}
                nothing = own.post(f"/seller/consents/{path}", **unknown)
                assert (refused.status_code, refused.text) == (404, nothing.text)
    for seller_id, own in browsers.items():
        assert ids[seller_id][0] in own.get("/seller/consents").text
        assert ids[seller_id][1] in own.get("/seller/consents").text


@pytest.mark.databases
def test_the_download_holds_all_that_is_held(browser: Browser) -> None:
    browser.client.post("/v1/consent-requests", json={"seller_id": SELLERS[0], "purpose": "account_review"})
    browser.log_in(SELLERS[0]).get("/seller")
    browser.post("/seller/reviews", statement="Look at it, please.", feature="signal_03")
    answer = browser.get("/seller/download")
    assert "attachment" in answer.headers["Content-Disposition"]
    held = json.loads(answer.content)
    own = score_of(browser, SELLERS[0])
    assert [each["score"] for each in held["scores"]] == [own]
    assert held["scores"][0]["inputs"]["seller_id"] == SELLERS[0]
    assert [each["purpose"] for each in held["requests"]] == ["account_review"]
    assert [each["statement"] for each in held["reviews"]] == ["Look at it, please."]
    assert held["vectors"][0]["values"]["days_on_platform"] == 400.0
    assert {"consents", "views", "corrections", "profile", "created_at", "seller_id"} <= held.keys()


@pytest.mark.databases
def test_an_erased_seller_is_logged_out_and_nothing_is_left_of_what_they_asked(browser: Browser) -> None:
    browser.log_in(SELLERS[0]).get("/seller")
    browser.post("/seller/reviews", statement="Look at it, please.")
    services = browser.services
    erase_seller(services.engine, services.vectors, seller_id=SELLERS[0], reason="asked", now=datetime.now(UTC))
    assert browser.get("/seller").status_code == 401
    browser.log_in(SELLERS[0])
    assert "You have not sent any requests yet." in browser.get("/seller/reviews").text
    assert json.loads(browser.get("/seller/download").content)["scores"] == []
    fill(services.settings.home)
    assert browser.get("/seller").status_code == 200
