"""The pages show the numbers of the stored score; one score per data and model; language, consents and markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from api.consents import service as consents
from api.kit.database import transaction
from api.ledger import chain
from api.ledger.verification import verify
from api.scores import self_view
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.repository import scores
from scoring.formatting import Language
from tests.api.conftest import AS_OF, NEWCOMER, SELLERS, SNAPSHOT, bank_of, snapshot_of
from tests.api.web.conftest import PAGES, Browser, create_bank, current_score, number_in, store_tables, text_of


def count_scores(browser: Browser) -> int:
    query = select(func.count()).select_from(scores).where(scores.c.chain == chain.SELF_CHAIN)
    with transaction(browser.services.engine) as connection:
        return int(connection.execute(query).scalar_one())


def points_in(page: str) -> Iterator[tuple[str, int]]:
    for feature, row in re.findall(r'<tr data-feature="([^"]+)">(.*?)</tr>', page, re.S):
        yield feature, number_in(row, 'points">')


@pytest.mark.parametrize("language", Language)
def test_every_point_on_the_pages_is_that_of_the_score(browser: Browser, language: Language) -> None:
    for seller_id in SELLERS[:12]:
        browser.log_in(seller_id, language=language)
        page, assessment = browser.get("/seller/reasons").text, current_score(browser, seller_id)["assessment"]
        contributions = assessment["explanation"]["contributions"]
        assert sorted(points_in(page)) == sorted((each["feature"], each["points"]) for each in contributions)
        base, added, deducted, score = (number_in(page, f'id="{name}">') for name in ("base", "added", "taken", "sum"))
        assert (base, score) == (assessment["explanation"]["base_points"], assessment["score"])
        assert base + added + deducted == score
        groups: dict[str, int] = {}
        for each in contributions:
            groups[each["reason_group"]] = groups.get(each["reason_group"], 0) + each["points"]
        shown = re.findall(r'data-group="([^"]+)".*?<strong class="\w+">([^< 分]+)', page, re.S)
        assert {name: number_in(f"p:{points}", "p:") for name, points in shown} == groups
        assert f'id="score">{assessment["score"]}<' in browser.get("/seller").text


@pytest.mark.databases
def test_opening_pages_often_and_at_once_issues_one_score(browser: Browser) -> None:
    browser.log_in(SELLERS[0])
    for path in PAGES * 2:
        assert browser.get(f"/seller{path}").status_code == 200
    assert count_scores(browser) == 1
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: current_score(browser, SELLERS[1])["id"], range(24)))) == 1
    assert count_scores(browser) == 2


def test_new_data_lead_to_a_new_score_and_its_change(browser: Browser) -> None:
    before, vectors = current_score(browser, SELLERS[0])["assessment"]["score"], browser.services.vectors
    browser.log_in(SELLERS[0])
    assert "first score" in text_of(browser.get("/seller"))
    stored = vectors.latest(SELLERS[0])
    assert stored is not None
    later = replace(SNAPSHOT, as_of=AS_OF + timedelta(days=1), data_version="data-9")
    vectors.replace(later, [(SELLERS[0], (stored.values[0], 0.99, 0.99, *stored.values[3:]))])
    change = current_score(browser, SELLERS[0])["assessment"]["score"] - before
    assert change != 0
    text = text_of(browser.get("/seller"))
    assert f"{'−' if change < 0 else '+'}{abs(change)} points (previous score: {before})" in text
    assert count_scores(browser) == 2


def test_data_that_are_too_old_leave_no_number_on_any_page(browser: Browser) -> None:
    browser.log_in(SELLERS[0])
    day = datetime.now(UTC).date()
    for days, is_old in ((7, False), (8, True)):
        snapshot = replace(snapshot_of(day - timedelta(days=days)), data_version=f"data-{days}")
        browser.services.vectors.replace(snapshot, [(SELLERS[0], (400.0, *(0.5,) * 14))])
        pages = [browser.get(f"/seller{path}") for path in ("", "/reasons", "/improve")]
        assert ['id="score"' in pages[0].text, 'id="sum"' in pages[1].text] == [not is_old] * 2
        assert ["are too old" in text_of(page) for page in pages] == [is_old] * 3
    assert "delivered until 24 Jan 2026, 8 days before the request on 1 Feb 2026" in text_of(pages[0])


def test_an_expired_score_is_issued_again(browser: Browser) -> None:
    now, days = datetime.now(UTC), timedelta(days=3)
    settings = browser.services.settings.model_copy(update={"score_validity_days": days.days})
    services = replace(browser.services, settings=settings)
    first = self_view.issue_self_view(services, SELLERS[0], now)
    assert self_view.issue_self_view(services, SELLERS[0], now + days - timedelta(seconds=1)).score.id == first.score.id
    second = self_view.issue_self_view(services, SELLERS[0], now + days)
    assert second.score.id != first.score.id
    assert second.assessment == replace(first.assessment, requested_on=str((now + days).date()))


def test_an_unknown_seller_can_download_the_data_and_see_consents(browser: Browser) -> None:
    browser.log_in("S-nobody")
    assert "We have no data about your business yet" in browser.get("/seller").text
    for path in ("/reasons", "/improve", "/products", "/data"):
        page = browser.get(f"/seller{path}").text
        assert "What you can do" in page
        assert 'href="/seller/download"' in page
        assert 'class="button" href="/seller/consents"' in page
    assert browser.get("/seller/consents").status_code == 200
    assert browser.get("/seller/download").json()["scores"] == []


def test_a_bank_never_sees_the_sellers_own_score(browser: Browser) -> None:
    own, bank = current_score(browser, SELLERS[0]), browser.client
    assert (own["bank_id"], own["purpose"]) == ("self", "self_view")
    assert bank.get(f"/v1/scores/{own['id']}").status_code == 404
    assert bank.post(f"/v1/scores/{own['id']}/replay").status_code == 404
    assert bank.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "self_view"}).status_code == 422
    services = browser.services
    assert (
        verify(
            services.engine, services.ledger, services.receipts.jwks, [ScoreIndexCheck(services.receipts.jwks)]
        ).faults
        == ()
    )


@pytest.mark.parametrize(
    ("seller_id", "covers", "title", "fact"),
    [
        (NEWCOMER, None, "too few days for a score", "Days on platform: 10. A score needs 90."),
        (
            "S-stale",
            {"orders": AS_OF - timedelta(days=30), "refunds": AS_OF},
            "are too old",
            "Orders: delivered until 1 Jan 2026, 31 days before the request on 1 Feb 2026.",
        ),
        (
            "S-withheld",
            {"orders": AS_OF},
            "data about your business are missing",
            "Refunds and returns: not delivered.",
        ),
    ],
)
def test_a_seller_without_a_score_reads_what_is_missing_and_what_to_do(
    browser: Browser, seller_id: str, covers: dict[str, Any] | None, title: str, fact: str
) -> None:
    if covers is not None:
        store_tables(browser, seller_id, **covers)
    browser.log_in(seller_id)
    for path in ("", "/reasons", "/improve"):
        text = text_of(browser.get(f"/seller{path}"))
        assert title in text
        assert fact in text
        assert "None" not in text
    assert browser.get("/seller/data").status_code == 200


@pytest.mark.databases
def test_the_language_is_that_of_the_session_then_of_the_browser(browser: Browser) -> None:
    browser.log_in(SELLERS[0], language=None)
    assert '<html lang="en">' in browser.get("/seller").text
    assert '<html lang="zh-Hans">' in browser.get("/seller", **{"Accept-Language": "zh-CN,en;q=0.5"}).text
    back = browser.post("/seller/language", language="zh", back="/seller/reasons")
    assert (back.status_code, back.headers["Location"]) == (303, "/seller/reasons")
    assert '<html lang="zh-Hans">' in browser.get("/seller", **{"Accept-Language": "en"}).text
    for elsewhere in (
        *("https://elsewhere.example/", "//elsewhere.example", "/sellerx"),
        *("/seller/中", "/seller/x\r\nX: y", "javascript:alert(1)"),
    ):
        assert browser.post("/seller/language", language="en", back=elsewhere).headers["Location"] == "/seller"
    assert browser.post("/seller/language", language="fr").status_code == 422


@pytest.mark.databases
def test_consents_are_granted_used_and_withdrawn(browser: Browser) -> None:
    bank, bank_id = browser.client, bank_of(browser.client)
    body = {"seller_id": SELLERS[0], "purpose": "credit_application"}
    browser.log_in(SELLERS[0])

    def request_consent() -> str:
        assert bank.post("/v1/consent-requests", json=body).status_code == 202
        (request_id,) = set(re.findall(r'name="request_id" value="([^"]+)"', browser.get("/seller/consents").text))
        return request_id

    assert bank.post("/v1/scores", json=body).status_code == 403
    request_id = request_consent()
    name = browser.services.auth.find_clients([bank_id])[bank_id].name
    shown = {"request_id": request_id, "bank_id": bank_id, "bank_name": name, "purpose": body["purpose"], "days": "30"}
    for changed, status in (
        ({"days": "31"}, 422),
        ({"bank_id": "bank-other"}, 404),
        ({"bank_name": "Another bank"}, 404),
        ({"purpose": "account_review"}, 404),
        ({}, 303),
        ({}, 409),
    ):
        assert browser.post("/seller/consents/grant", **(shown | changed)).status_code == status
    assert bank.post("/v1/scores", json=body).status_code == 201
    page = browser.get("/seller/consents?done=granted").text
    assert "Scored you for a credit application" in page
    assert "Done. The bank can score you" in page
    (consent_id,) = set(re.findall(r'name="consent_id" value="([^"]+)"', page))
    assert browser.post("/seller/consents/revoke", consent_id=consent_id).status_code == 303
    assert bank.post("/v1/scores", json=body).status_code == 403
    with transaction(browser.services.engine) as connection:
        consent = consents.find_consent(connection, bank_id, consent_id)
    assert (consent.recorded_by, consent.revoked_at is not None) == ("seller", True)
    assert browser.post("/seller/consents/decline", request_id=request_consent()).status_code == 303
    assert "declined" in text_of(browser.get("/seller/consents"))


def test_no_text_becomes_markup(browser: Browser) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    browser.log_in(SELLERS[0]).get("/seller/reviews")
    assert browser.post("/seller/reviews", statement=hostile).status_code == 303
    bank_id = create_bank(browser, hostile)
    with transaction(browser.services.engine, writes=True) as connection:
        consents.create_request(connection, bank_id, SELLERS[0], "account_review", datetime.now(UTC))
    for path in ("", "/reviews", "/consents"):
        page = browser.get(f"/seller{path}").text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_an_error_inside_a_page_is_shown_above_its_form(browser: Browser) -> None:
    response = browser.get("/seller/consents", **{"HX-Request": "true"})
    assert (response.status_code, response.headers["HX-Refresh"]) == (401, "true")
    browser.log_in(SELLERS[0]).get("/seller/reviews")
    response = browser.post("/seller/reviews", {"HX-Request": "true"}, statement=" ")
    assert (response.status_code, response.headers["HX-Retarget"]) == (422, "#said")
    assert "HX-Refresh" not in response.headers
    assert 'id="refused"' in response.text
    assert all('id="said"' in browser.get(f"/seller/{path}").text for path in ("reviews", "consents"))
