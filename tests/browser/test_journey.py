"""A seller's journey through the pages, on a phone and on a desktop, with and without JavaScript."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import expect

from api.auth.scopes import ClientKind
from tests.browser.conftest import OpenWindow, Site, Window

STATEMENT: Final = "Two returns were counted twice."


class Bank:
    """A bank that calls the API."""

    def __init__(self, site: Site, name: str) -> None:
        self.address = site.address
        form = {"grant_type": "client_credentials"}
        response = httpx.post(f"{site.address}/oauth/token", data=form, auth=site.client(ClientKind.BANK, name))
        self.headers = {"Authorization": f"Bearer {response.json()['access_token']}"}

    def score(self, seller_id: str) -> httpx.Response:
        return self._post("/v1/scores", seller_id)

    def request_consent(self, seller_id: str) -> None:
        assert self._post("/v1/consent-requests", seller_id).status_code == 202

    def _post(self, path: str, seller_id: str) -> httpx.Response:
        body = {"seller_id": seller_id, "purpose": "credit_application"}
        return httpx.post(self.address + path, json=body, headers=self.headers, timeout=60)


@pytest.mark.parametrize("script", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["script", "no-script"])
@pytest.mark.parametrize("width", [360, pytest.param(1280, marks=pytest.mark.soak)])
def test_a_seller_reads_consents_withdraws_requests_a_review_and_downloads_everything(
    site: Site, open_window: OpenWindow, tmp_path: Path, *, width: int, script: bool
) -> None:
    seller_id = site.scored[[360, 1280].index(width) * 2 + script]
    window, name = open_window(width, script=script), f"{width}-{'script' if script else 'plain'}"
    link = site.link(seller_id)
    window.page.goto(link)
    window.save_screenshot(f"login-{name}")
    window.page.get_by_role("button", name="Continue").click()
    expect(window.page).to_have_url(f"{site.address}/seller")
    score = read_in_two_languages(window, name)
    allow_and_withdraw(window, Bank(site, f"Bank {name}"), seller_id, (score, name))
    request_review(window, name)
    download = download_everything(window, tmp_path / "mine.json")
    assert (download["seller_id"], len(download["scores"])) == (seller_id, 2)
    assert [review["statement"] for review in download["reviews"]] == [STATEMENT]
    log_out(window, link)


def read_in_two_languages(window: Window, name: str) -> str:
    page = window.page
    score = page.locator("#score").inner_text()
    window.save_screenshot(f"overview-{name}")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    assert page.locator("#score").inner_text() == score
    window.save_screenshot(f"overview-zh-{name}")
    page.get_by_role("button", name="English").click()
    page.get_by_role("link", name="Reasons").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(score)
    return score


def allow_and_withdraw(window: Window, bank: Bank, seller_id: str, expected: tuple[str, str]) -> None:
    page, (score, name) = window.page, expected
    assert bank.score(seller_id).status_code == 403
    bank.request_consent(seller_id)
    page.get_by_role("link", name="Consents").click()
    window.save_screenshot(f"consent-requested-{name}")
    page.get_by_label("Allow for").select_option("30")
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("The bank can score you")
    response = bank.score(seller_id)
    assert (response.status_code, str(response.json()["assessment"]["score"])) == (201, score)
    window.open("/seller/consents")
    expect(page.get_by_role("table")).to_contain_text("Scored you for a credit application")
    window.save_screenshot(f"scored-{name}")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("status")).to_contain_text("You withdrew your consent")
    assert bank.score(seller_id).status_code == 403


def request_review(window: Window, name: str) -> None:
    page = window.page
    page.get_by_role("link", name="Is something wrong?").click()
    page.get_by_label("Which figure?").select_option(index=3)
    page.get_by_label("What is wrong").fill(STATEMENT)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("We received your request")
    expect(page.get_by_role("main")).to_contain_text(STATEMENT)
    window.save_screenshot(f"review-{name}")


def download_everything(window: Window, path: Path) -> dict[str, Any]:
    page = window.page
    page.get_by_role("link", name="My data").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything").click()
    download.value.save_as(path)
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def log_out(window: Window, link: str) -> None:
    page = window.page
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out")
    window.open("/seller")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not logged in")
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("This link has expired or was already used")


def test_with_script_a_form_updates_only_its_part_of_the_page(site: Site, open_window: OpenWindow) -> None:
    seller_id = site.scored[5]
    bank = Bank(site, "Bank in place")
    bank.request_consent(seller_id)
    window = open_window()
    window.log_in(seller_id)
    window.open("/seller/consents")
    window.page.evaluate("window.still = true")
    window.page.get_by_role("button", name="Allow", exact=True).click()
    expect(window.page.get_by_role("status")).to_contain_text("The bank can score you")
    expect(window.page.get_by_role("button", name="Withdraw")).to_be_visible()
    assert window.page.evaluate("window.still") is True


def test_with_script_an_error_appears_above_the_form_and_keeps_the_input(site: Site, open_window: OpenWindow) -> None:
    window = open_window()
    window.log_in(site.scored[8])
    window.open("/seller/reviews")
    page = window.page
    page.get_by_label("What is wrong").fill("   ")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#said")).to_contain_text("A field of the form is missing or not allowed")
    expect(page.get_by_label("What is wrong")).to_have_value("   ")


def test_a_form_after_the_session_ended_leads_to_a_logged_out_page(site: Site, open_window: OpenWindow) -> None:
    window = open_window()
    window.log_in(site.scored[6])
    window.open("/seller/reviews")
    window.page.context.clear_cookies()
    window.page.get_by_label("What is wrong").fill("It is wrong.")
    window.page.get_by_role("button", name="Send").click()
    expect(window.page.get_by_role("heading", level=1)).to_have_text("You are not logged in")


def test_the_keyboard_reaches_and_opens_everything(site: Site, open_window: OpenWindow) -> None:
    window = open_window(1280)
    window.log_in(site.scored[7])
    window.open("/seller/reasons")
    page = window.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    expect(page.locator("details[open] table").first).to_be_visible()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
