"""What the pages say agrees with the score object; forms and headers; nobody sees anything of anybody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.consents import service as consents
from api.kit.database import transaction
from api.ledger import chain
from api.ledger.verification import verify
from api.scores import self_view
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.repository import scores
from scoring.formatting import Language
from tests.api.conftest import AS_OF, NEWCOMER, SELLERS, SNAPSHOT, bank_of, snapshot_of
from tests.api.web.conftest import PAGES, Browser, text_of


def score_of(browser: Browser, seller_id: str) -> dict[str, Any]:
    return self_view.current(browser.services, seller_id, datetime.now(UTC)).score.fields


def made(browser: Browser) -> list[Any]:
    with transaction(browser.services.engine) as connection:
        return list(connection.execute(select(scores).where(scores.c.chain == chain.SELF_CHAIN)))


def number(text: str) -> int:
    return int(text.replace("−", "-").replace("+", "").replace(",", ""))


def points_in(page: str) -> Iterator[tuple[str, int]]:
    for feature, row in re.findall(r'<tr data-feature="([^"]+)">(.*?)</tr>', page, re.S):
        yield feature, number(re.search(r'points">([^<]+)<', row)[1])  # type: ignore[index]


@pytest.mark.parametrize("language", Language)
def test_every_point_on_the_pages_is_the_score_objects(browser: Browser, language: Language) -> None:
    for seller_id in SELLERS[:12]:
        browser.log_in(seller_id, language=language)
        page, told = browser.get("/seller/reasons").text, score_of(browser, seller_id)["assessment"]
        explanation = told["explanation"]
        assert sorted(points_in(page)) == sorted((c["feature"], c["points"]) for c in explanation["contributions"])
        base, added, taken, total = (
            number(re.search(f'id="{name}">([^<]+)<', page)[1])  # type: ignore[index]
            for name in ("base", "added", "taken", "sum")
        )
        assert (base, total) == (explanation["base_points"], told["score"])
        assert base + added + taken == total
        groups: dict[str, int] = {}
        for each in explanation["contributions"]:
            groups[each["reason_group"]] = groups.get(each["reason_group"], 0) + each["points"]
        shown = re.findall(r'data-group="([^"]+)".*?<strong class="\w+">([^< 分]+)', page, re.S)
        assert {name: number(points) for name, points in shown} == groups
        overview = browser.get("/seller").text
        assert f'id="score">{told["score"]}<' in overview
        for name, points in re.findall(r'<li><span>([^<]+)</span> <strong class="\w+">([^<]+)<', overview):
            assert groups[name] == number(points)


@pytest.mark.databases
def test_one_score_is_made_however_often_it_is_looked_at(browser: Browser) -> None:
    browser.log_in(SELLERS[0])
    for path in PAGES * 2:
        assert browser.get(f"/seller{path}").status_code == 200
    assert len(made(browser)) == 1

    def look(_: int) -> str:
        return str(score_of(browser, SELLERS[1])["id"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(look, range(24)))) == 1
    assert len(made(browser)) == 2


def test_new_data_make_a_new_score_and_say_how_it_moved(browser: Browser) -> None:
    before = score_of(browser, SELLERS[0])
    browser.log_in(SELLERS[0])
    assert "first score" in text_of(browser.get("/seller"))
    values = browser.services.vectors.latest(SELLERS[0])
    assert values is not None
    moved = (values.values[0], 0.99, 0.99, *values.values[3:])
    later = replace(SNAPSHOT, as_of=AS_OF + timedelta(days=1), data_version="data-9")
    browser.services.vectors.replace(later, [(SELLERS[0], moved)])
    after = score_of(browser, SELLERS[0])
    difference = after["assessment"]["score"] - before["assessment"]["score"]
    assert difference != 0
    page = browser.get("/seller")
    sign = "−" if difference < 0 else "+"
    moved_by = f"{sign}{abs(difference)} points"
    assert f"{moved_by} (previous score: {before['assessment']['score']})" in text_of(page)
    assert len(made(browser)) == 2


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


def test_an_expired_score_is_made_again(browser: Browser) -> None:
    now, days = datetime.now(UTC), timedelta(days=3)
    settings = browser.services.settings.model_copy(update={"score_validity_days": days.days})
    services = replace(browser.services, settings=settings)
    first = self_view.current(services, SELLERS[0], now)
    assert self_view.current(services, SELLERS[0], now + days - timedelta(seconds=1)).score.id == first.score.id
    again = self_view.current(services, SELLERS[0], now + days)
    assert again.score.id != first.score.id
    assert again.assessment == replace(first.assessment, requested_on=str((now + days).date()))


def test_who_is_not_known_may_take_along_what_there_is_and_see_who_asked(browser: Browser) -> None:
    page = browser.log_in("S-nobody").get("/seller/data").text
    assert 'href="/seller/download"' in page
    assert 'class="button" href="/seller/consents"' in page
    assert browser.get("/seller/download").json()["scores"] == []


def test_a_bank_never_sees_the_sellers_own_score(browser: Browser) -> None:
    own = score_of(browser, SELLERS[0])
    assert (own["bank_id"], own["purpose"]) == ("self", "self_view")
    bank = browser.client
    assert bank.get(f"/v1/scores/{own['id']}").status_code == 404
    assert bank.post(f"/v1/scores/{own['id']}/replay").status_code == 404
    assert bank.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "self_view"}).status_code == 422
    services = browser.services
    assert verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks)]).faults == ()


@pytest.mark.parametrize("seller_id", [NEWCOMER, "S-stale", "S-withheld"])
def test_who_has_no_number_reads_what_is_missing_and_what_to_do(browser: Browser, seller_id: str) -> None:
    covers = {"S-stale": {"orders": date(2026, 1, 1), "refunds": AS_OF}, "S-withheld": {"orders": AS_OF}}
    if seller_id in covers:
        snapshot = replace(SNAPSHOT, covers_through=covers[seller_id], data_version=seller_id)
        browser.services.vectors.replace(snapshot, [(seller_id, (400.0, *(0.5,) * 14))])
    browser.log_in(seller_id)
    said, needed = {
        "S-stale": ("are too old", "Orders: delivered until 1 Jan 2026, 31 days before the request on 1 Feb 2026."),
        "S-withheld": ("data about your business are missing", "Refunds and returns: not delivered."),
        NEWCOMER: ("too few days for a score", "Days on platform: 10. A score needs 90."),
    }[seller_id]
    for path in ("", "/reasons", "/improve"):
        page = text_of(browser.get(f"/seller{path}"))
        assert said in page
        assert needed in page
        assert "None" not in page
    assert browser.get("/seller/data").status_code == 200


@pytest.mark.databases
def test_the_language_is_the_sessions_then_the_browsers(browser: Browser) -> None:
    browser.log_in(SELLERS[0], language=None)
    assert '<html lang="en">' in browser.get("/seller").text
    assert '<html lang="zh-Hans">' in browser.get("/seller", **{"Accept-Language": "zh-CN,en;q=0.5"}).text
    back = browser.post("/seller/language", language="zh", back="/seller/reasons")
    assert (back.status_code, back.headers["Location"]) == (303, "/seller/reasons")
    assert '<html lang="zh-Hans">' in browser.get("/seller", **{"Accept-Language": "en"}).text
    for elsewhere in (
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/sellerx",
        "/seller/中",
        "/seller/x\r\nX: y",
        "javascript:alert(1)",
    ):
        assert browser.post("/seller/language", language="en", back=elsewhere).headers["Location"] == "/seller"
    assert browser.post("/seller/language", language="fr").status_code == 422


@pytest.mark.databases
def test_consents_are_granted_seen_used_and_withdrawn(browser: Browser) -> None:
    bank_id, seller_id = bank_of(browser.client), SELLERS[0]
    body = {"seller_id": seller_id, "purpose": "credit_application"}
    assert browser.client.post("/v1/scores", json=body).status_code == 403
    assert browser.client.post("/v1/consent-requests", json=body).status_code == 202
    browser.log_in(seller_id)
    page = browser.get("/seller/consents").text
    (request_id,) = set(re.findall(r'name="request_id" value="([^"]+)"', page))
    assert browser.post("/seller/consents/grant", request_id=request_id, days="31").status_code == 422
    assert browser.post("/seller/consents/grant", request_id=request_id, days="30").status_code == 303
    assert browser.post("/seller/consents/grant", request_id=request_id, days="30").status_code == 409
    assert browser.client.post("/v1/scores", json=body).status_code == 201
    page = browser.get("/seller/consents?done=granted").text
    assert "Scored you for a credit application" in page
    assert "Done. The bank can score you" in page
    (consent_id,) = set(re.findall(r'name="consent_id" value="([^"]+)"', page))
    assert browser.post("/seller/consents/revoke", consent_id=consent_id).status_code == 303
    assert browser.client.post("/v1/scores", json=body).status_code == 403
    with transaction(browser.services.engine) as connection:
        found = consents.find_consent(connection, bank_id, consent_id)
    assert (found.recorded_by, found.revoked_at is not None) == ("seller", True)
    assert browser.client.post("/v1/consent-requests", json=body).status_code == 202
    page = browser.get("/seller/consents").text
    (request_id,) = set(re.findall(r'name="request_id" value="([^"]+)"', page))
    assert browser.post("/seller/consents/decline", request_id=request_id).status_code == 303
    assert "declined" in text_of(browser.get("/seller/consents"))


def test_nothing_that_is_written_becomes_markup(browser: Browser) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    browser.log_in(SELLERS[0]).get("/seller/reviews")
    assert browser.post("/seller/reviews", statement=evil).status_code == 303
    access.create_client(browser.services.engine, ClientKind.BANK, evil, now=datetime.now(UTC))
    page = browser.get("/seller/reviews").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_refusal_within_a_page_is_shown_as_a_page(browser: Browser) -> None:
    answer = browser.get("/seller/consents", **{"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")
    browser.log_in(SELLERS[0]).get("/seller/reviews")
    answer = browser.post("/seller/reviews", {"HX-Request": "true"}, statement=" ")
    assert (answer.status_code, answer.headers["HX-Retarget"], "HX-Refresh" in answer.headers) == (422, "#said", False)
    assert 'id="refused"' in answer.text
    assert all('id="said"' in browser.get(f"/seller/{path}").text for path in ("reviews", "consents"))
