"""A seller sees nothing of another seller, the download has everything, and erased data are gone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.consents import service as consents
from api.consents.service import ConsentTerms
from api.kit.database import transaction
from api.operations.retention import erase_seller
from tests.api.conftest import EVERYONE, SELLERS, fill
from tests.api.web.conftest import (
    PAGES,
    UNKNOWN_ID,
    Browser,
    OpenBrowser,
    create_bank,
    current_score,
    open_review,
)

ALL_PAGES = (*PAGES, "/download")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seller_id=st.sampled_from(EVERYONE), path=st.sampled_from(ALL_PAGES), other=st.sampled_from(EVERYONE))
def test_no_page_names_another_seller_whatever_the_address_asks_for(
    browser: Browser, seller_id: str, path: str, other: str
) -> None:
    browser.log_in(seller_id)
    page = browser.get(f"/seller{path}?seller_id={other}&subject={other}&feature={other}&done={other}")
    assert page.status_code == 200
    # the parameters are not repeated either
    assert [name for name in EVERYONE if name in page.text and name != seller_id] == []


def test_a_seller_sees_and_changes_nothing_of_another(browser: Browser, open_browser: OpenBrowser) -> None:
    engine, ledger, now = browser.services.engine, browser.services.ledger, datetime.now(UTC)
    sellers, ids = SELLERS[:3], {}
    for seller_id in sellers:
        bank_id = create_bank(browser, f"Bank only of {seller_id}")
        with transaction(engine, writes=True) as connection:
            request = consents.create_request(connection, bank_id, seller_id, "account_review", now)
            terms = ConsentTerms(seller_id, bank_id, "credit_application", timedelta(days=9))
            consent = consents.grant_consent(connection, ledger, terms, "tests")
        review = open_review(browser, seller_id, statement=f"secret of {seller_id}")
        ids[seller_id] = [request.id, consent.id, review.id, current_score(browser, seller_id)["id"], bank_id]
    for seller_id in sellers:
        own = open_browser().log_in(seller_id)
        seen = "\n".join(own.get(f"/seller{path}").text for path in ALL_PAGES)
        for trace in (seller_id, *ids[seller_id][:2], f"secret of {seller_id}"):
            assert trace in seen
        for other in set(sellers) - {seller_id}:
            for trace in (other, *ids[other], f"secret of {other}", f"Bank only of {other}"):
                assert trace not in seen, trace
            shown = {"bank_id": ids[other][4], "bank_name": f"Bank only of {other}", "days": "30"}
            shown["purpose"] = "account_review"
            for path, name, number in (
                ("grant", "request_id", 0),
                ("decline", "request_id", 0),
                ("revoke", "consent_id", 1),
            ):
                foreign, unknown = (
                    own.post(f"/seller/consents/{path}", **{name: each}, **shown)
                    for each in (ids[other][number], UNKNOWN_ID)
                )
                assert (foreign.status_code, foreign.text) == (404, unknown.text)


@pytest.mark.databases
def test_the_download_has_everything_until_the_seller_is_erased(browser: Browser) -> None:
    seller_id, services = SELLERS[0], browser.services
    browser.client.post("/v1/consent-requests", json={"seller_id": seller_id, "purpose": "account_review"})
    browser.log_in(seller_id).get("/seller")
    browser.post("/seller/reviews", statement="Please check it.", feature="signal_03")
    response = browser.get("/seller/download")
    assert "attachment" in response.headers["Content-Disposition"]
    content = json.loads(response.content)
    assert [each["score"] for each in content["scores"]] == [current_score(browser, seller_id)]
    assert content["scores"][0]["inputs"]["seller_id"] == seller_id
    assert [each["purpose"] for each in content["requests"]] == ["account_review"]
    assert [each["statement"] for each in content["reviews"]] == ["Please check it."]
    assert content["vectors"][0]["values"]["days_on_platform"] == 400.0
    assert {"consents", "views", "corrections", "profile", "created_at", "seller_id"} <= content.keys()
    erase_seller(
        services.engine, services.receipts, services.vectors, seller_id=seller_id, reason="asked", now=datetime.now(UTC)
    )
    assert browser.get("/seller").status_code == 401
    browser.log_in(seller_id)
    assert "You have not sent any requests yet." in browser.get("/seller/reviews").text
    assert json.loads(browser.get("/seller/download").content)["scores"] == []
    fill(services.settings.home)
    assert browser.get("/seller").status_code == 200
