"""The service with sellers, and browsers of sellers and operators."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from api.auth.scopes import ClientKind
from api.auth.sessions import Sessions, UserKind
from api.kit.database import transaction
from api.reviews import service as reviews
from api.reviews.repository import Review
from api.reviews.service import ReviewDraft
from api.scores import self_view
from api.services import Services
from api.settings import Settings
from api.web.rendering import COOKIE
from tests.api.auth.conftest import running, start
from tests.api.conftest import SNAPSHOT, Opener
from tests.api.started import register_of

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

__all__ = ["running", "start"]
ADDRESS = "https://testserver"
PAGES = ("", "/reasons", "/improve", "/products", "/consents", "/data", "/reviews")
UNKNOWN_ID = "0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"
_TOKEN = re.compile(r'name="token" value="([^"]+)"')


@dataclass
class Browser:
    """A browser with a cookie of its own, which sends forms with the token of the last page."""

    client: TestClient
    cookie: str | None = None
    token: str = ""

    @property
    def services(self) -> Services:
        services: Services = self.client.app.state.services
        return services

    @property
    def sessions(self) -> Sessions:
        return self.services.auth.sessions

    def get(self, path: str, **headers: str) -> Response:
        response = self.send("GET", path, headers=headers)
        token = _TOKEN.search(response.text)
        self.token = token[1] if token else self.token
        return response

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Response:
        return self.send("POST", path, data={"token": self.token, **fields}, headers=headers or {})

    def log_in(self, subject: str, kind: UserKind = UserKind.SELLER, language: str | None = "en") -> Browser:
        now = datetime.now(UTC)
        return self.use(self.sessions.make_link(kind, subject, by="tests", now=now, language=language).token)

    def use(self, link_token: str) -> Browser:
        response = self.send("POST", "/seller/login", data={"link_token": link_token})
        assert response.status_code == 303, response.text
        self.cookie = response.cookies[COOKIE]
        return self

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, **content: Any) -> Response:
        # the client's own jar would mix up browsers
        self.client.cookies.clear()
        cookie = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        headers = {"Accept-Language": "en", **cookie, **(headers or {})}
        response = self.client.request(method, ADDRESS + path, headers=headers, follow_redirects=False, **content)
        self.client.cookies.clear()
        return response


OpenBrowser = Callable[[], Browser]


@pytest.fixture
def open_browser(stored_in: Settings, open_client: Opener) -> Iterator[OpenBrowser]:
    """Open browsers on one service, on a database of each kind in turn."""
    with open_client(stored_in, ()) as client:
        yield lambda: Browser(client)


@pytest.fixture
def browser(open_browser: OpenBrowser) -> Browser:
    return open_browser()


def create_bank(browser: Browser, name: str) -> str:
    return register_of(browser.services).create(ClientKind.BANK, name, now=datetime.now(UTC)).client.id


def create_operator(browser: Browser) -> str:
    now = datetime.now(UTC)
    return register_of(browser.services).create(ClientKind.OPERATOR, "An operator", now=now).client.id


def current_score(browser: Browser, seller_id: str) -> dict[str, Any]:
    return self_view.issue_self_view(browser.services, seller_id, datetime.now(UTC)).score.fields


def open_review(browser: Browser, seller_id: str, feature: str | None = None, **options: Any) -> Review:
    """Open a review, as the form of a seller does."""
    draft = ReviewDraft(seller_id, feature, None, options.pop("statement", "It is wrong."))
    with transaction(browser.services.engine, writes=True) as connection:
        return reviews.open_review(connection, browser.services, draft, **options)


def store_tables(browser: Browser, seller_id: str, **covers: date) -> None:
    """Store a vector of a seller whose tables are delivered through the given days."""
    snapshot = replace(SNAPSHOT, covers_through=covers, data_version=f"data of {seller_id}")
    browser.services.vectors.replace(snapshot, [(seller_id, (400.0, *(0.5,) * 14))])


def text_of(response: Response) -> str:
    """Return the text of a page, without its markup."""
    return text_in(response.text)


def text_in(page: str) -> str:
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def number_in(page: str, start: str) -> int:
    """Return the number that follows a text."""
    number = re.search(rf"{start}([^< ]+)", page)
    assert number is not None, start
    return int(number[1].replace("−", "-").replace("+", "").replace(",", ""))
