"""Chromium on the real service: the small marketplace of `tests.world`, served on loopback.

Without Chromium these tests are skipped with a message; with SELLERSCORE_BROWSER=required, as in CI, they fail.
Screenshots are stored in var/screenshots, or in the folder that SELLERSCORE_SCREENSHOTS names.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import time_machine
import uvicorn

from api.app import create_app
from api.auth.scopes import ClientKind
from api.auth.sessions import UserKind
from api.consents import service as consents
from api.consents.service import ConsentTerms
from api.kit.database import transaction
from api.products import service as products
from api.scores.inputs import to_vector
from api.services import Services
from api.settings import Settings
from features.store.vectors import VectorStore
from scoring import Outcome, Product, assess
from tests.api.started import register_of
from tests.world import shared_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROOT = Path(__file__).parents[2]
SCREENSHOTS = Path(os.environ.get("SELLERSCORE_SCREENSHOTS") or ROOT / "var" / "screenshots")
TIMEOUT_MS = 20_000
"""Long, because other tests run at the same time."""


def pytest_configure(config: pytest.Config) -> None:
    # the tables of MLflow use it
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")


@dataclass(frozen=True)
class Site:
    """The running service, sellers with a score (highest first) and one seller without a score."""

    address: str
    app: Any
    scored: tuple[str, ...]
    unscored: str

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def client(self, kind: ClientKind, name: str) -> tuple[str, str]:
        """Create a client, and return its id and secret."""
        created = register_of(self.services).create(
            kind, name, credential=self.services.auth.secrets.new(), now=datetime.now(UTC)
        )
        assert created.secret is not None
        return created.client.id, created.secret

    def link(self, subject: str, kind: UserKind = UserKind.SELLER, language: str | None = None) -> str:
        now = datetime.now(UTC)
        link = self.services.auth.sessions.make_link(kind, subject, by="tests", now=now, language=language)
        return f"{self.address}/seller/login/{link.token}"


@dataclass
class Window:
    """One browser window, with its console messages and its requests to other hosts."""

    page: Page
    site: Site
    console_errors: list[str] = field(default_factory=list)
    foreign_urls: list[str] = field(default_factory=list)

    def log_in(self, subject: str, kind: UserKind = UserKind.SELLER, language: str | None = None) -> None:
        self.page.goto(self.site.link(subject, kind, language))
        self.page.click("button.main")

    def open(self, path: str) -> None:
        self.page.goto(self.site.address + path)

    def save_screenshot(self, name: str) -> None:
        """Save a screenshot of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


OpenWindow = Callable[..., Window]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = os.environ.get("SELLERSCORE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        message = "Chromium is not installed, so no page is tested. On Debian: apt-get install chromium."
        if os.environ.get("SELLERSCORE_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="package")
def chromium(chromium_path: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    assert chromium_path
    home = shared_world(tmp_path_factory).copy(tmp_path_factory.mktemp("site")).home
    home.chmod(0o700)
    # the day after the marketplace ends, so that its data are always fresh
    with (
        time_machine.travel(_day_after(home), tick=True),
        served(Settings(home=home, demo_bank=False)) as (address, app),
    ):
        scored, unscored = _sellers(app.state.services)
        yield Site(address, app, scored, unscored)


@contextmanager
def served(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Serve on a free port of loopback, as `sellerscore serve` does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(settings.model_copy(update={"public_url": address}))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, server_header=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.05)
            assert server.started
            yield address, app
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def open_window(chromium: Browser, site: Site) -> Iterator[OpenWindow]:
    """Open windows; a console error or a request to another host fails the test."""
    windows: list[Window] = []

    def new_window(width: int = 360, *, script: bool = True, scheme: Any = "light", **options: Any) -> Window:
        size: Any = {"width": width, "height": 800}
        context = chromium.new_context(
            viewport=size, java_script_enabled=script, color_scheme=scheme, locale="en-GB", **options
        )
        context.set_default_timeout(TIMEOUT_MS)
        window = Window(context.new_page(), site)
        window.page.on("console", lambda message: _record_message(window, message))
        window.page.on("pageerror", lambda error: window.console_errors.append(str(error)))
        window.page.on("request", lambda request: _record_request(window, request.url))
        windows.append(window)
        return window

    yield new_window
    for window in windows:
        window.page.context.close()
        assert window.foreign_urls == []
        assert window.console_errors == []


def _record_message(window: Window, message: Any) -> None:
    # Chromium also reports the error responses that a test expects
    if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
        window.console_errors.append(message.text)


def _record_request(window: Window, url: str) -> None:
    if urlsplit(url).netloc != urlsplit(window.site.address).netloc:
        window.foreign_urls.append(url)


def fill_pages(site: Site, seller_id: str, names: Sequence[str]) -> None:
    """Give a seller an open and a closed product, and requests and consents of two banks.

    Args:
        site: the running service.
        seller_id: the seller.
        names: two names, of the banks and of the products.
    """
    services, now = site.services, datetime.now(UTC)
    bank_ids = [site.client(ClientKind.BANK, name[:100])[0] for name in names]
    bands = services.champion.bundle.policy.bands.names
    prices = {name: 0.06 + 0.02 * position for position, name in enumerate(bands)}
    best = {bands[0]: 0.05}
    offers = {
        "open": Product(names[0], "USD", bands[-1], 1, frozenset(), 1.5, 10, 50_000, prices, 180),
        "closed": Product(names[1], "EUR", bands[0], 60, frozenset({"DE"}), 3.0, 90_000, 500_000, best, 360),
    }
    with transaction(services.engine, writes=True) as connection:
        products.replace_products(connection, services.receipts, bank_ids[0], offers, now)
        for bank_id in bank_ids:
            consents.create_request(connection, bank_id, seller_id, "credit_application", now)
            terms = ConsentTerms(seller_id, bank_id, "account_review", timedelta(days=90))
            consents.grant_consent(connection, services.ledger, terms, "tests")


def _day_after(home: Path) -> datetime:
    latest = next(VectorStore(home / "vectors.db").all_latest())
    return datetime.combine(latest.snapshot.as_of, clock_time(9), UTC) + timedelta(days=1)


def _sellers(services: Services) -> tuple[tuple[str, ...], str]:
    bundle = services.champion.bundle
    vectors = list(services.vectors.all_latest())
    today = datetime.now(UTC).date()
    assessed = assess(bundle, [to_vector(vector, today) for vector in vectors])
    pairs = list(zip(vectors, assessed, strict=True))
    scored = [(result.score or 0, vector.seller_id) for vector, result in pairs if result.outcome is Outcome.SCORED]
    unscored = next(vector.seller_id for vector, result in pairs if result.outcome is not Outcome.SCORED)
    return tuple(seller_id for _, seller_id in sorted(scored, reverse=True)), unscored
