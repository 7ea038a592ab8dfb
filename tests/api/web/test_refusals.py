"""Every error below the addresses of pages is a page in the user's language, with a way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError

from api import errors
from api.auth.sessions import Sessions, UserKind
from api.settings import Settings
from api.web import error_pages, score_pages
from tests.api.conftest import SELLERS, Opener
from tests.api.web.conftest import UNKNOWN_ID, Browser, OpenBrowser, create_operator, text_of

if TYPE_CHECKING:
    from httpx import Response

NOT_FOUND = "Page not found"


def assert_page(response: Response, status: int, text: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-Id"]
    assert text in text_of(response)


@pytest.mark.parametrize(
    "path",
    ["/seller/", "/seller/nothing", "/seller/reasons/more", "/seller/consents/%00", "/seller/nothing?seller_id=S-1"],
)
def test_an_unknown_address_is_a_page_with_a_way_back(browser: Browser, path: str) -> None:
    assert_page(browser.get(path), 404, NOT_FOUND)
    browser.log_in(SELLERS[0], language="zh")
    response = browser.get(path)
    assert_page(response, 404, "页面不存在")
    assert '<html lang="zh-Hans">' in response.text
    assert '<a class="button" href="/seller">' in response.text
    assert_page(browser.post(path), 404, "页面不存在")


def test_other_addresses_get_problem_details(browser: Browser) -> None:
    for path in ("/sellers", "/v1/nothing", "/operators/x", "/"):
        response = browser.get(path)
        assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


def test_a_wrong_method_or_parameter_is_a_page(browser: Browser, open_browser: OpenBrowser) -> None:
    browser.log_in(SELLERS[0])
    for path in ("/seller/consents/grant", "/seller/consents/revoke", "/seller/logout", "/seller/language"):
        response = browser.get(path)
        assert_page(response, 405, "Open the page with the form again")
        assert response.headers["Allow"] == "POST"
        assert 'href="/seller"' in response.text
    assert_page(browser.post("/seller/reasons"), 405, NOT_FOUND)
    assert_page(browser.get("/seller/consents?done=" + "x" * 50), 404, NOT_FOUND)
    response = open_browser().log_in(create_operator(browser), UserKind.OPERATOR).get("/operator/reviews/7")
    assert_page(response, 404, NOT_FOUND)
    assert '<a class="button" href="/operator">' in response.text


@pytest.mark.parametrize("declared", [True, False])
def test_a_form_that_is_too_long_is_refused_on_a_page(browser: Browser, *, declared: bool) -> None:
    browser.log_in(SELLERS[0]).get("/seller/reviews")
    body = b"statement=" + b"x" * errors.MAX_BODY_BYTES
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = browser.send("POST", "/seller/reviews", headers, content=body if declared else iter([body, b"x"]))
    assert_page(response, 413, "Shorten it and send it again")
    assert 'href="/seller"' in response.text


def test_an_internal_error_is_a_page_without_its_details(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    browser.log_in(SELLERS[0], language="zh")
    monkeypatch.setattr(score_pages, "self_view_for", fail)
    response = browser.get("/seller")
    assert_page(response, 500, "我们这边出了问题")
    assert "secret" not in response.text
    assert 'href="/seller"' in response.text


def test_without_the_database_there_is_a_page_to_retry(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    browser.log_in(SELLERS[0])
    monkeypatch.setattr(Sessions, "find_session", fail)
    response = browser.get("/seller")
    assert_page(response, 503, "The service is not available right now")
    assert '<a class="button" href="/seller">Try again</a>' in response.text
    assert response.headers["Retry-After"] == "5"
    assert_page(browser.get("/seller/nothing"), 404, NOT_FOUND)


def test_the_rate_limit_is_a_page_in_the_language_of_the_session(settings: Settings, open_client: Opener) -> None:
    with open_client(settings.model_copy(update={"rate_limit_calls": 1}), ()) as client:
        browser = Browser(client).log_in(SELLERS[0], language="zh")
        assert browser.get("/seller").status_code == 200
        for path, status in (("/seller", 429), ("/seller/nothing", 404)):
            response = browser.get(path)
            assert response.status_code == status
            assert '<html lang="zh-Hans">' in response.text
            assert 'href="/seller"' in response.text
        assert int(browser.get("/seller").headers["Retry-After"]) >= 1


def test_an_operator_is_sent_to_the_administrator_and_not_to_a_marketplace(browser: Browser) -> None:
    for path in ("/operator", f"/operator/reviews/{UNKNOWN_ID}"):
        response = browser.get(path)
        assert_page(response, 401, "Ask the administrator of the service for a new login link")
        assert "marketplace" not in response.text


def test_every_problem_has_a_title_and_advice() -> None:
    assert errors.MethodNotAllowed in error_pages._TEXTS
    assert all(title and advice for title, advice in error_pages._TEXTS.values())
