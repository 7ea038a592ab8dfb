"""Forms belong to a session, pages load nothing from elsewhere, signatures state who may open a page, batches."""

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

from api.consents.service import create_request
from api.errors import DatabaseUnavailable
from api.kit.database import transaction
from api.web import score_pages
from api.web.routing import PageContext, PageRoute, SessionRoute
from tests.api.conftest import SELLERS, bank_of
from tests.api.web.conftest import PAGES, UNKNOWN_ID, Browser, OpenBrowser

FORMS = (
    ("/seller/language", {"language": "zh"}),
    ("/seller/logout", {}),
    (
        "/seller/consents/grant",
        {"request_id": UNKNOWN_ID, "days": "30", "bank_id": "b", "bank_name": "B", "purpose": "credit_application"},
    ),
    ("/seller/consents/decline", {"request_id": UNKNOWN_ID}),
    ("/seller/consents/revoke", {"consent_id": UNKNOWN_ID}),
    ("/seller/reviews", {"statement": "It is wrong."}),
)


def test_a_form_without_the_token_of_the_session_is_refused(browser: Browser, open_browser: OpenBrowser) -> None:
    browser.log_in(SELLERS[0]).get("/seller")
    other = open_browser().log_in(SELLERS[0])
    other.get("/seller")
    cookie, token = browser.cookie, browser.token
    for path, fields in FORMS:
        browser.cookie = cookie
        for browser.token in ("", "x", token[:-1], token + "A", other.token, "é"):
            response = browser.post(path, **fields)
            assert response.status_code == 403, browser.token
            assert "Nothing was changed" in response.text
        browser.token = token
        assert browser.post(path, headers={"Sec-Fetch-Site": "cross-site"}, **fields).status_code == 403
        plain = browser.send("POST", path, content=b"{}", headers={"Content-Type": "text/plain"})
        assert plain.status_code == 403
        browser.cookie = None
        assert browser.post(path, **fields).status_code == 401


class PageReader(HTMLParser):
    """Collects what a page loads, where its forms go, and what runs in it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.forms = self.tokens = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [
            values[name] or "" for name in {"href", "src", "action", "hx-post", "hx-get"} & values.keys()
        ]
        self.inline += [name for name in values if name.startswith(("on", "hx-on")) or name == "style"]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in values) else []
        self.forms += tag == "form"
        self.tokens += values.get("name") == "token"


def test_pages_load_nothing_from_elsewhere_and_contain_no_script(browser: Browser) -> None:
    browser.log_in(SELLERS[0])
    with transaction(browser.services.engine, writes=True) as connection:
        create_request(connection, bank_of(browser.client), SELLERS[0], "credit_application", datetime.now(UTC))
    for path in PAGES:
        page = browser.get(f"/seller{path}")
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        reader = PageReader()
        reader.feed(page.text)
        assert reader.inline == []
        assert reader.forms == reader.tokens > 0
        assert all(re.match(r"/(seller|operator)(/|$)|#", address) for address in reader.addresses), reader.addresses
        loaded = dict.fromkeys(address for address in reader.addresses if address.startswith("/seller/static/"))
        assets = [browser.get(address) for address in loaded]
        assert all(asset.status_code == 200 and "immutable" in asset.headers["Cache-Control"] for asset in assets)
        assert sum(len(response.content) for response in (page, *assets)) < 100_000
    assert browser.get("/seller/static/0000000000000000/style.css").status_code == 404
    assert browser.get("/seller/static/x/..%2f..%2ferrors.py").status_code == 404


def test_every_page_states_in_its_signature_who_may_open_it(browser: Browser) -> None:
    routers = [each.original_router for each in browser.client.app.routes if hasattr(each, "original_router")]
    routes = [route for router in routers for route in router.routes]
    pages = [route for route in routes if isinstance(route, PageRoute)]
    public = {route.path for route in pages if not isinstance(route, SessionRoute)}
    login = {"/seller/login/{token}", "/seller/login", "/seller/oidc", "/seller/oidc/callback"}
    assert public == {*login, "/seller/static/{digest}/{name}"}
    for route in pages:
        if isinstance(route, SessionRoute):
            path = re.sub(r"{\w+}", UNKNOWN_ID, route.path)
            for method in route.methods or ():
                assert browser.send(method, path).status_code == 401, path
    assert {route.path for route in routes if route.path.startswith(("/seller", "/operator"))} == {
        page.path for page in pages
    }


@dataclass
class BlockedPage:
    """Replaces the search for the score of a page: the first page waits, and each page runs `action`."""

    action: Callable[[PageContext], None] = lambda _: None
    subjects: list[str] = field(default_factory=list)
    started: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __call__(self, seller: PageContext, _: object) -> None:
        self.subjects.append(seller.subject)
        self.started.set()
        assert self.released.wait(20)
        self.action(seller)


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockedPage]:
    page = BlockedPage()
    monkeypatch.setattr(score_pages, "self_view_for", page)
    yield page
    page.released.set()


def record_transactions(browser: Browser) -> list[str]:
    transactions: list[str] = []

    def record(_: object) -> None:
        # tasks of the service have transactions of their own
        if threading.current_thread().name not in {"rate limits", "local checkpoints", "reloader"}:
            transactions.append("begin")

    event.listen(browser.services.engine, "begin", record)
    return transactions


@pytest.mark.databases
def test_pages_are_rendered_in_one_batch_and_forms_do_not_wait(browser: Browser, blocked: BlockedPage) -> None:
    browser.log_in(SELLERS[0]).get("/seller/reviews")
    cookie, token, transactions = browser.cookie, browser.token, record_transactions(browser)
    with ThreadPoolExecutor(12) as pool:
        pages = [pool.submit(lambda: Browser(browser.client, cookie).get("/seller").status_code) for _ in range(12)]
        assert blocked.started.wait(20)
        assert Browser(browser.client, cookie, token).post("/seller/language", language="zh").status_code == 303
        assert len(blocked.subjects) == 1
        transactions.clear()
        blocked.released.set()
        assert {page.result(20) for page in pages} == {200}
    assert len(blocked.subjects) == 12
    assert len(transactions) < 11, "the waiting pages shared no transaction"


@pytest.mark.databases
def test_an_error_of_one_page_does_not_reach_the_other_pages_of_its_batch(
    browser: Browser, open_browser: OpenBrowser, blocked: BlockedPage
) -> None:
    """An error of the database ends the transaction of all pages, so the others are rendered again."""
    others = [browser.log_in(SELLERS[0]), *(open_browser().log_in(SELLERS[0]) for _ in range(3))]
    failing = open_browser().log_in(SELLERS[1])

    def fail_in_the_database(seller: PageContext) -> None:
        with seller.reading() as connection:
            # a NULL on SQLite
            assert connection.execute(text("SELECT 1/0")).scalar() is not None

    def fail_with(error: Exception) -> Callable[[PageContext], None]:
        def fail(_: PageContext) -> None:
            raise error

        return fail

    errors = (IntegrityError("INSERT", {}, ValueError("twice")), ValueError("unknown"), DatabaseUnavailable())
    failures = (fail_in_the_database, *map(fail_with, errors))
    for failure, status in zip(failures, (500, 500, 500, 503), strict=True):
        blocked.action = lambda seller, failure=failure: failure(seller) if seller.subject == SELLERS[1] else None
        blocked.started.clear()
        blocked.released.clear()
        with ThreadPoolExecutor(5) as pool:
            first = pool.submit(others[0].get, "/seller")
            assert blocked.started.wait(20)
            waiting = [pool.submit(each.get, "/seller") for each in (failing, *others[1:])]
            wait_for_batch(browser, len(waiting))
            blocked.released.set()
            assert waiting[0].result(20).status_code == status
            assert {page.result(20).status_code for page in (first, *waiting[1:])} == {200}


def wait_for_batch(browser: Browser, count: int) -> None:
    deadline = time.monotonic() + 10
    while sum(map(len, browser.services.batcher._queues.values())) != count:
        assert time.monotonic() < deadline, "the pages do not wait for one another"
        time.sleep(0.005)


@pytest.mark.databases
def test_a_page_reads_in_the_transaction_that_checked_its_session(browser: Browser) -> None:
    browser.log_in(SELLERS[0]).get("/seller")
    transactions = record_transactions(browser)
    for path in PAGES:
        transactions.clear()
        assert browser.get(f"/seller{path}").status_code == 200
        # the names of banks, if any, are read from their signed entries, in transactions of their own
        assert 1 <= len(transactions) <= 1 + {"": 2, "/products": 1, "/consents": 2}.get(path, 0), path
    assert browser.services.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
