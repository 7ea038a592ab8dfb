"""A seller's way through the pages, on a phone and at a desk, with script and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import expect

from api.auth.scopes import ClientKind
from tests.browser.conftest import Look, Looking, Site

STATEMENT: Final = "Two returns were counted twice."


class Bank:
    """A bank at the API."""

    def __init__(self, site: Site, name: str) -> None:
        self.address = site.address
        form = {"grant_type": "client_credentials"}
        answer = httpx.post(f"{site.address}/oauth/token", data=form, auth=site.client(ClientKind.BANK, name))
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def score(self, seller_id: str) -> httpx.Response:
        return self._posted("/v1/scores", seller_id)

    def ask(self, seller_id: str) -> None:
        assert self._posted("/v1/consent-requests", seller_id).status_code == 202

    def _posted(self, path: str, seller_id: str) -> httpx.Response:
        body = {"seller_id": seller_id, "purpose": "credit_application"}
        return httpx.post(self.address + path, json=body, headers=self.headers, timeout=60)


@pytest.mark.parametrize("script", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["script", "no-script"])
@pytest.mark.parametrize("width", [360, pytest.param(1280, marks=pytest.mark.soak)])
def test_a_seller_logs_in_reads_allows_withdraws_disputes_and_takes_everything_along(
    site: Site, look: Look, tmp_path: Path, *, width: int, script: bool
) -> None:
    seller_id = site.scored[[360, 1280].index(width) * 2 + script]
    looking, name = look(width, script=script), f"{width}-{'script' if script else 'plain'}"
    link = site.link(seller_id)
    looking.page.goto(link)
    looking.keep(f"login-{name}")
    looking.page.get_by_role("button", name="Continue").click()
    expect(looking.page).to_have_url(f"{site.address}/seller")
    score = reads_in_two_languages(looking, name)
    allows_and_withdraws(looking, Bank(site, f"Bank {name}"), seller_id, (score, name))
    disputes(looking, name)
    held = takes_everything_along(looking, tmp_path / "mine.json")
    assert (held["seller_id"], len(held["scores"])) == (seller_id, 2)
    assert [each["statement"] for each in held["reviews"]] == [STATEMENT]
    leaves(looking, link)


def reads_in_two_languages(looking: Looking, name: str) -> str:
    page = looking.page
    score = page.locator("#score").inner_text()
    looking.keep(f"overview-{name}")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    assert page.locator("#score").inner_text() == score
    looking.keep(f"overview-zh-{name}")
    page.get_by_role("button", name="English").click()
    page.get_by_role("link", name="Reasons").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(score)
    return score


def allows_and_withdraws(looking: Looking, bank: Bank, seller_id: str, seen: tuple[str, str]) -> None:
    page, (score, name) = looking.page, seen
    assert bank.score(seller_id).status_code == 403
    bank.ask(seller_id)
    page.get_by_role("link", name="Consents").click()
    looking.keep(f"asked-{name}")
    page.get_by_label("Allow for").select_option("30")
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("The bank can score you")
    given = bank.score(seller_id)
    assert (given.status_code, str(given.json()["assessment"]["score"])) == (201, score)
    looking.open("/seller/consents")
    expect(page.get_by_role("table")).to_contain_text("Scored you for a credit application")
    looking.keep(f"looked-{name}")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("status")).to_contain_text("you withdrew your consent")
    assert bank.score(seller_id).status_code == 403


def disputes(looking: Looking, name: str) -> None:
    page = looking.page
    page.get_by_role("link", name="Is something wrong?").click()
    page.get_by_label("Which figure?").select_option(index=3)
    page.get_by_label("What is wrong").fill(STATEMENT)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("We received your request")
    expect(page.get_by_role("main")).to_contain_text(STATEMENT)
    looking.keep(f"disputed-{name}")


def takes_everything_along(looking: Looking, path: Path) -> dict[str, Any]:
    page = looking.page
    page.get_by_role("link", name="My data").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything").click()
    download.value.save_as(path)
    held: dict[str, Any] = json.loads(path.read_bytes())
    return held


def leaves(looking: Looking, link: str) -> None:
    page = looking.page
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out")
    looking.open("/seller")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not logged in")
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("This link has expired or was already used")


def test_with_script_a_form_changes_its_part_of_the_page_alone(site: Site, look: Look) -> None:
    seller_id = site.scored[5]
    bank = Bank(site, "Bank in place")
    bank.ask(seller_id)
    looking = look()
    looking.log_in(seller_id)
    looking.open("/seller/consents")
    looking.page.evaluate("window.still = true")
    looking.page.get_by_role("button", name="Allow", exact=True).click()
    expect(looking.page.get_by_role("status")).to_contain_text("The bank can score you")
    expect(looking.page.get_by_role("button", name="Withdraw")).to_be_visible()
    assert looking.page.evaluate("window.still") is True


def test_with_script_a_refusal_stands_above_the_form_and_leaves_what_was_typed(site: Site, look: Look) -> None:
    looking = look()
    looking.log_in(site.scored[8])
    looking.open("/seller/reviews")
    page = looking.page
    page.get_by_label("What is wrong").fill("   ")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#said")).to_contain_text("Something in the form is missing")
    expect(page.get_by_label("What is wrong")).to_have_value("   ")


def test_a_form_after_the_session_is_over_leads_to_a_page_that_says_so(site: Site, look: Look) -> None:
    looking = look()
    looking.log_in(site.scored[6])
    looking.open("/seller/reviews")
    looking.page.context.clear_cookies()
    looking.page.get_by_label("What is wrong").fill("It is wrong.")
    looking.page.get_by_role("button", name="Send").click()
    expect(looking.page.get_by_role("heading", level=1)).to_have_text("You are not logged in")


def test_the_keyboard_alone_reaches_and_opens_everything(site: Site, look: Look) -> None:
    looking = look(1280)
    looking.log_in(site.scored[7])
    looking.open("/seller/reasons")
    page = looking.page
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
