"""Whoever goes astray below the addresses of pages reads a page, in their language, with a way back."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from api import errors
from api.auth import sessions
from api.auth.sessions import UserKind
from api.errors import MAX_BODY_BYTES
from api.settings import Settings
from api.web import score_pages
from tests.api.conftest import SELLERS, Opener
from tests.api.web.conftest import Browser, OpenBrowser, create_operator, text_of

STRAY = ("/seller/", "/seller/nothing", "/seller/reasons/more", "/seller/consents/%00", "/seller/nothing?seller_id=S-1")
GONE = "Page not found"


def is_page(answer, status: int, says: str) -> bool:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-Id"]
    return says in text_of(answer)


@pytest.mark.parametrize("path", STRAY)
def test_an_address_that_there_is_not_is_a_page_with_a_way_back(browser: Browser, path: str) -> None:
    assert is_page(browser.get(path), 404, GONE)
    browser.log_in(SELLERS[0], language="zh")
    answer = browser.get(path)
    assert is_page(answer, 404, "页面不存在")
    assert '<html lang="zh-Hans">' in answer.text
    assert '<a class="button" href="/seller">' in answer.text
    assert is_page(browser.post(path), 404, "页面不存在")


def test_other_addresses_are_answered_as_before(browser: Browser) -> None:
    for path in ("/sellers", "/v1/nothing", "/operators/x", "/"):
        answer = browser.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_a_form_that_is_opened_and_a_page_that_is_sent_to_say_so(browser: Browser) -> None:
    browser.log_in(SELLERS[0])
    for path in ("/seller/consents/grant", "/seller/consents/revoke", "/seller/logout", "/seller/language"):
        answer = browser.get(path)
        assert is_page(answer, 405, "Open the page with the form again")
        assert answer.headers["Allow"] == "POST"
        assert 'href="/seller"' in answer.text
    assert is_page(browser.post("/seller/reasons"), 405, GONE)


def test_what_an_address_cannot_hold_is_no_fault_of_a_form(browser: Browser, open_browser: OpenBrowser) -> None:
    browser.log_in(SELLERS[0])
    assert is_page(browser.get("/seller/consents?done=" + "x" * 50), 404, GONE)
    client_id = create_operator(browser)
    operator = open_browser().log_in(client_id, UserKind.OPERATOR)
    answer = operator.get("/operator/reviews/7")
    assert is_page(answer, 404, GONE)
    assert '<a class="button" href="/operator">' in answer.text


@pytest.mark.parametrize("declared", [True, False])
def test_what_is_too_long_is_refused_on_a_page(browser: Browser, declared: bool) -> None:
    browser.log_in(SELLERS[0]).get("/seller/reviews")
    body = b"statement=" + b"x" * MAX_BODY_BYTES
    content = body if declared else iter([body, b"x"])
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = browser.send("POST", "/seller/reviews", content=content, headers=headers)
    assert is_page(answer, 413, "Shorten it and send it again")
    assert 'href="/seller"' in answer.text


def test_a_fault_of_ours_is_told_with_something_to_try(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    browser.log_in(SELLERS[0], language="zh")
    monkeypatch.setattr(score_pages, "self_view_for", fail)
    answer = browser.get("/seller")
    assert is_page(answer, 500, "我们这边出了问题")
    assert "secret" not in answer.text
    assert 'href="/seller"' in answer.text


def test_a_database_that_is_away_is_told_wherever_one_looks(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    browser.log_in(SELLERS[0])
    monkeypatch.setattr(sessions, "find_session", away)
    answer = browser.get("/seller")
    assert is_page(answer, 503, "The service is not available right now")
    assert '<a class="button" href="/seller">Try again</a>' in answer.text
    assert answer.headers["Retry-After"] == "5"
    assert is_page(browser.get("/seller/nothing"), 404, GONE)


def test_who_looks_too_often_is_told_so_in_their_language(settings: Settings, open_client: Opener) -> None:
    with open_client(settings.model_copy(update={"rate_limit_calls": 1}), ()) as client:
        browser = Browser(client).log_in(SELLERS[0], language="zh")
        assert browser.get("/seller").status_code == 200
        for path, status in (("/seller", 429), ("/seller/nothing", 404)):
            answer = browser.get(path)
            assert answer.status_code == status
            assert '<html lang="zh-Hans">' in answer.text
            assert 'href="/seller"' in answer.text
        assert int(browser.get("/seller").headers["Retry-After"]) >= 1


def test_an_operator_is_not_sent_to_a_marketplace(browser: Browser) -> None:
    for path in ("/operator", "/operator/reviews/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"):
        answer = browser.get(path)
        assert is_page(answer, 401, "Ask the administrator of the service for a new login link")
        assert "marketplace" not in answer.text


def test_every_refusal_has_words_of_its_own_kind() -> None:
    from api.web.error_pages import _TEXTS

    assert errors.MethodNotAllowed in _TEXTS
    assert all(said and advice for said, advice in _TEXTS.values())
