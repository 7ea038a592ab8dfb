"""Forms are the session's own, pages load nothing from elsewhere, and each says in its signature who may look."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from api.consents import service as requests
from api.errors import DatabaseUnavailable
from api.kit.database import transaction
from api.web import score_pages
from api.web.routing import PageContext, PageRoute, SessionRoute
from tests.api.conftest import SELLERS, bank_of
from tests.api.web.conftest import PAGES, Browser, OpenBrowser

LOADING = {"href", "src", "action", "hx-post", "hx-get"}
FORMS = (
    ("/seller/language", {"language": "zh"}),
    ("/seller/logout", {}),
    ("/seller/consents/grant", {"request_id": "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55", "days": "30"}),
    ("/seller/consents/decline", {"request_id": "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"}),
    ("/seller/consents/revoke", {"consent_id": "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"}),
    ("/seller/reviews", {"statement": "It is wrong."}),
)


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_a_form_without_the_token_of_the_session_is_refused(
    browser: Browser, open_browser: OpenBrowser, path: str, fields: dict[str, str]
) -> None:
    browser.log_in(SELLERS[0]).get("/seller")
    other = open_browser().log_in(SELLERS[0])
    other.get("/seller")
    good = browser.token
    for token in ("", "x", good[:-1], good + "A", other.token, "é"):
        browser.token = token
        refused = browser.post(path, **fields)
        assert refused.status_code == 403, token
        assert "Nothing was changed" in refused.text
    browser.token = good
    elsewhere = browser.post(path, headers={"Sec-Fetch-Site": "cross-site"}, **fields)
    assert elsewhere.status_code == 403
    plain = browser.send("POST", path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert plain.status_code == 403
    browser.cookie = None
    assert browser.post(path, **fields).status_code == 401
    assert browser.get("/seller").status_code == 401


class _Loads(HTMLParser):
    """Collects what a page loads, where its forms go, and what runs in it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.forms = self.tokens = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in LOADING]
        self.inline += [name for name in given if name.startswith(("on", "hx-on")) or name == "style"]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []
        self.forms += tag == "form"
        self.tokens += given.get("name") == "token"


def test_pages_load_nothing_from_elsewhere_and_run_nothing_that_stands_in_them(browser: Browser) -> None:
    browser.log_in(SELLERS[0])
    with transaction(browser.services.engine, writes=True) as connection:
        requests.create_request(
            connection, bank_of(browser.client), SELLERS[0], "credit_application", datetime.now(UTC)
        )
    for path in PAGES:
        page = browser.get(f"/seller{path}")
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        found = _Loads()
        found.feed(page.text)
        assert found.inline == []
        assert found.forms == found.tokens > 0
        assert all(re.match(r"/(seller|operator)(/|$)|#", address) for address in found.addresses), found.addresses
        loaded = [each for each in found.addresses if each.startswith("/seller/static/")]
        assets = [browser.get(each) for each in dict.fromkeys(loaded)]
        assert all(each.status_code == 200 and "immutable" in each.headers["Cache-Control"] for each in assets)
        assert sum(len(each.content) for each in (page, *assets)) < 100_000
    assert browser.get("/seller/static/0000000000000000/style.css").status_code == 404
    assert browser.get("/seller/static/x/..%2f..%2ferrors.py").status_code == 404


def test_every_page_says_in_its_signature_who_may_look(browser: Browser) -> None:
    included = [each.original_router for each in browser.client.app.routes if hasattr(each, "original_router")]
    routes = [route for router in included for route in router.routes]
    all_pages = [route for route in routes if isinstance(route, PageRoute)]
    anyones = {route.path for route in all_pages if not isinstance(route, SessionRoute)}
    logging_in = {"/seller/login/{token}", "/seller/login", "/seller/oidc", "/seller/oidc/callback"}
    assert anyones == {*logging_in, "/seller/static/{digest}/{name}"}
    for route in all_pages:
        if isinstance(route, SessionRoute):
            path = re.sub(r"{\w+}", "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55", route.path)
            for method in route.methods or ():
                assert browser.send(method, path).status_code == 401, path
    assert {each.path for each in routes if each.path.startswith(("/seller", "/operator"))} == {
        p.path for p in all_pages
    }


@dataclass
class Held:
    """Stands for what a page does to find the score: the first one waits, and each does what it is told to."""

    does: Callable[[PageContext], None] = lambda _: None
    begun: list[str] = field(default_factory=list)
    first: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, seller: PageContext, _: object) -> None:
        self.begun.append(seller.subject)
        self.first.set()
        assert self.goes_on.wait(20)
        self.does(seller)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held()
    monkeypatch.setattr(score_pages, "self_view_for", made)
    yield made
    made.goes_on.set()


@pytest.mark.databases
def test_pages_are_made_one_after_the_other_and_forms_wait_for_none(browser: Browser, held: Held) -> None:
    browser.log_in(SELLERS[0]).get("/seller/reviews")
    cookie, token, begun = browser.cookie, browser.token, []
    event.listen(browser.services.engine, "begin", lambda _: begun.append("begin"))
    with ThreadPoolExecutor(12) as pool:
        looking = [pool.submit(lambda: Browser(browser.client, cookie).get("/seller").status_code) for _ in range(12)]
        assert held.first.wait(20)
        assert Browser(browser.client, cookie, token).post("/seller/language", language="zh").status_code == 303
        assert len(held.begun) == 1
        begun.clear()
        held.goes_on.set()
        assert {each.result(20) for each in looking} == {200}
    assert len(held.begun) == 12
    assert len(begun) < 11, "those who waited were looked at in one transaction"


@pytest.mark.databases
def test_a_page_that_fails_fails_alone(browser: Browser, open_browser: OpenBrowser, held: Held) -> None:
    """Whatever it is: what the database says ends the transaction of all, and all the others are made once more."""
    others = [browser.log_in(SELLERS[0]), *(open_browser().log_in(SELLERS[0]) for _ in range(3))]
    unlucky = open_browser().log_in(SELLERS[1])

    def fail_in_the_database(seller: PageContext) -> None:
        with seller.reading() as connection:
            # a NULL on SQLite
            assert connection.execute(text("SELECT 1/0")).scalar() is not None

    def fail_with(error: Exception) -> Callable[[PageContext], None]:
        def fail(_: PageContext) -> None:
            raise error

        return fail

    twice = IntegrityError("INSERT", {}, ValueError("twice"))
    failures = (fail_in_the_database, *map(fail_with, (twice, ValueError("unknown"), DatabaseUnavailable())))
    for failure, status in zip(failures, (500, 500, 500, 503), strict=True):
        held.does = lambda seller, failure=failure: failure(seller) if seller.subject == SELLERS[1] else None
        held.first.clear()
        held.goes_on.clear()
        with ThreadPoolExecutor(5) as pool:
            first = pool.submit(others[0].get, "/seller")
            assert held.first.wait(20)
            waiting = [pool.submit(each.get, "/seller") for each in (unlucky, *others[1:])]
            until_waiting(browser, len(waiting))
            held.goes_on.set()
            assert waiting[0].result(20).status_code == status
            assert {each.result(20).status_code for each in (first, *waiting[1:])} == {200}


def until_waiting(browser: Browser, count: int) -> None:
    for _ in range(2_000):
        if sum(map(len, browser.services.batcher._queues.values())) == count:
            return
        time.sleep(0.005)
    raise AssertionError("the pages do not wait for one another")


@pytest.mark.databases
def test_a_page_reads_in_the_transaction_in_which_its_session_was_looked_at(browser: Browser) -> None:
    browser.log_in(SELLERS[0]).get("/seller")
    begun: list[str] = []
    engine = browser.services.engine
    event.listen(engine, "begin", lambda _: begun.append("begin"))
    for path in PAGES:
        begun.clear()
        assert browser.get(f"/seller{path}").status_code == 200
        assert len(begun) == 1, path
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
