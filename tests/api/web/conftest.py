"""The service with sellers, and ways to look at its pages as one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from api.auth import clients as access
from api.auth import sessions
from api.auth.scopes import ClientKind
from api.auth.sessions import UserKind
from api.kit.database import transaction
from api.reviews import service as reviews
from api.reviews.repository import Review
from api.reviews.service import ReviewDraft
from api.services import Services
from api.settings import Settings
from api.web.rendering import COOKIE
from tests.api.auth.conftest import running, start
from tests.api.conftest import Opener

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

__all__ = ["running", "start"]
ADDRESS = "https://testserver"
_TOKEN = re.compile(r'name="token" value="([^"]+)"')


@dataclass
class Browser:
    """Somebody's browser: keeps its own cookie, and sends forms with the token that the page gave."""

    client: TestClient
    cookie: str | None = None
    token: str = ""

    @property
    def services(self) -> Services:
        found: Services = self.client.app.state.services
        return found

    def get(self, path: str, **headers: str) -> Response:
        answer = self._send("GET", path, headers=headers)
        found = _TOKEN.search(answer.text)
        self.token = found[1] if found else self.token
        return answer

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Response:
        return self._send("POST", path, data={"token": self.token, **fields}, headers=headers or {})

    def log_in(self, seller_id: str, kind: UserKind = UserKind.SELLER, language: str | None = "en") -> Browser:
        made = sessions.make_link(
            self.services.engine, kind, seller_id, by="tests", now=datetime.now(UTC), language=language
        )
        return self.use(made.token)

    def use(self, link_token: str) -> Browser:
        answer = self._send("POST", "/seller/login", data={"link_token": link_token})
        assert answer.status_code == 303, answer.text
        self.cookie = answer.cookies[COOKIE]
        return self

    def _send(self, method: str, path: str, **given: Any) -> Response:
        # the client's own jar would mix up browsers
        self.client.cookies.clear()
        headers = dict(given.pop("headers", {}))
        headers.setdefault("Accept-Language", "en")
        if self.cookie and "Cookie" not in headers:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        answer = self.client.request(method, ADDRESS + path, headers=headers, follow_redirects=False, **given)
        self.client.cookies.clear()
        return answer


Surf = Callable[[], Browser]


@pytest.fixture
def surf(stored_in: Settings, open_client: Opener) -> Iterator[Surf]:
    """Open browsers on one service, on a database of each kind in turn."""
    with open_client(stored_in, ()) as client:
        yield lambda: Browser(client)


@pytest.fixture
def browser(surf: Surf) -> Browser:
    return surf()


@contextmanager
def operator_of(browser: Browser) -> Iterator[str]:
    """Make an operator, and return the id of its client."""
    made = access.create_client(browser.services.engine, ClientKind.OPERATOR, "An operator", now=datetime.now(UTC))
    yield made.client.id


def asked(browser: Browser, seller_id: str, feature: str | None = None, **given: Any) -> Review:
    """Ask that something is looked at, as a seller does."""
    wanted = ReviewDraft(seller_id, feature, None, given.pop("statement", "It is wrong."))
    with transaction(browser.services.engine, writes=True) as connection:
        return reviews.open_review(connection, browser.services, wanted, **given)


def text_of(answer: Response) -> str:
    """Return what a page says, without its markup."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.text, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
