"""A real Chromium on the real service: the small marketplace of `tests.world`, served on loopback.

Where no Chromium is installed these tests are skipped and say so; with SELLERSCORE_BROWSER=required, as in CI, they
fail instead. Screenshots are kept in var/screenshots, or where SELLERSCORE_SCREENSHOTS says.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
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

from api.access import service as access
from api.access.rights import Kind
from api.app import create_app
from api.seller_sessions import service as sessions
from api.seller_sessions.repository import Person
from api.services import Services
from api.settings import Settings
from api.vectors import to_vector
from features.store.vectors import VectorStore
from scoring import Outcome, assess
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
WAITS = 20_000
"""Milliseconds: other tests run beside these."""


def pytest_configure(config: pytest.Config) -> None:
    # mlflow's own tables use it
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy is deprecated")


@dataclass(frozen=True)
class Site:
    """The running service, and sellers of its marketplace by what became of their score."""

    address: str
    app: Any
    scored: tuple[str, ...]
    unscored: str

    @property
    def services(self) -> Services:
        found: Services = self.app.state.services
        return found

    def client(self, kind: Kind, name: str) -> tuple[str, str]:
        """Make a client, and return its id and secret."""
        made = access.create(self.services.engine, kind, name, now=datetime.now(UTC))
        assert made.secret is not None
        return made.client.id, made.secret

    def link(self, subject: str, kind: Person = Person.SELLER, language: str | None = None) -> str:
        made = sessions.make_link(
            self.services.engine, kind, subject, by="tests", now=datetime.now(UTC), language=language
        )
        return f"{self.address}/seller/login/{made.token}"


@dataclass
class Looking:
    """One browser window; what it asked for and complained of is kept."""

    page: Page
    site: Site
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def log_in(self, subject: str, kind: Person = Person.SELLER, language: str | None = None) -> None:
        self.page.goto(self.site.link(subject, kind, language))
        self.page.click("button.main")

    def open(self, path: str) -> None:
        self.page.goto(self.site.address + path)

    def keep(self, name: str) -> None:
        """Keep a screenshot of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


Look = Callable[..., Looking]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    found = os.environ.get("SELLERSCORE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        said = "No Chromium is installed (Debian: apt-get install chromium), so no page was looked at."
        if os.environ.get("SELLERSCORE_BROWSER") == "required":
            pytest.fail(said)
        pytest.skip(said)
    return found


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
    # the day after the marketplace ends, so that its data are fresh whenever the test runs
    with (
        time_machine.travel(_morning_after(home), tick=True),
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
def look(chromium: Browser, site: Site) -> Iterator[Look]:
    """Open windows; whatever one of them complains of, or asks of another host, fails the test."""
    opened: list[Looking] = []

    def opening(width: int = 360, *, script: bool = True, scheme: Any = "light", **given: Any) -> Looking:
        size: Any = {"width": width, "height": 800}
        context = chromium.new_context(
            viewport=size, java_script_enabled=script, color_scheme=scheme, locale="en-GB", **given
        )
        context.set_default_timeout(WAITS)
        looking = Looking(context.new_page(), site)
        looking.page.on("console", lambda said: _heard(looking, said))
        looking.page.on("pageerror", lambda error: looking.complaints.append(str(error)))
        looking.page.on("request", lambda request: _asked(looking, request.url))
        opened.append(looking)
        return looking

    yield opening
    for each in opened:
        each.page.context.close()
        assert each.foreign == []
        assert each.complaints == []


def _heard(looking: Looking, said: Any) -> None:
    # a refusal that a test asks for is told here too
    if said.type in {"error", "warning"} and "Failed to load resource" not in said.text:
        looking.complaints.append(said.text)


def _asked(looking: Looking, url: str) -> None:
    if urlsplit(url).netloc != urlsplit(looking.site.address).netloc:
        looking.foreign.append(url)


def _morning_after(home: Path) -> datetime:
    latest = next(VectorStore(home / "vectors.db").all_latest())
    return datetime.combine(latest.snapshot.as_of, clock_time(9), UTC) + timedelta(days=1)


def _sellers(services: Services) -> tuple[tuple[str, ...], str]:
    bundle = services.champion.bundle
    stored = list(services.vectors.all_latest())
    today = datetime.now(UTC).date()
    assessed = assess(bundle, [to_vector(each, today) for each in stored])
    pairs = list(zip(stored, assessed, strict=True))
    scored = [(each.score or 0, vector.seller_id) for vector, each in pairs if each.outcome is Outcome.SCORED]
    unscored = next(vector.seller_id for vector, each in pairs if each.outcome is not Outcome.SCORED)
    return tuple(seller_id for _, seller_id in sorted(scored, reverse=True)), unscored
