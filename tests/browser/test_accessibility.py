"""Every page, in both themes, languages and widths: no violation, nothing beyond the edge, nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from api.auth.scopes import ClientKind
from api.auth.sessions import UserKind
from api.consents import service as requests
from api.consents.service import ConsentTerms, grant_consent
from api.kit.database import transaction
from api.products import service as products
from api.reviews import service as reviews
from api.reviews.repository import ReviewOutcome
from api.reviews.service import Decision, ReviewDraft
from scoring import Product
from tests.browser.conftest import Look, Looking, Site

PAGES = ("", "/reasons", "/improve", "/products", "/consents", "/data", "/reviews")
OPTIONS: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}
MOST_BYTES = 100_000


@pytest.fixture(scope="module")
def furnished(site: Site) -> str:
    """A seller of whom every page has something to show, and the operator who looks at the queue."""
    seller_id, services, now = site.scored[0], site.services, datetime.now(UTC)
    banks = [site.client(ClientKind.BANK, name)[0] for name in ("Bank of the North", "华夏跨境银行")]
    bands = services.champion.bundle.policy.bands.names
    prices = {name: 0.06 + 0.02 * place for place, name in enumerate(bands)}
    working = Product("Working capital", "USD", bands[-1], 1, frozenset(), 1.5, 10, 50_000, prices, 180)
    only = {bands[0]: 0.05}
    growth = Product("Growth loan", "EUR", bands[0], 60, frozenset({"DE"}), 3.0, 90_000, 500_000, only, 360)
    with transaction(services.engine, writes=True) as connection:
        products.replace_products(connection, banks[0], {"working": working, "growth": growth}, now)
        for bank_id in banks:
            requests.create_request(connection, bank_id, seller_id, "credit_application", now)
        grant_consent(
            connection,
            services.ledger,
            ConsentTerms(seller_id, banks[1], "account_review", timedelta(days=90)),
            "tests",
        )
    figure = services.champion.bundle.sheet.names[3]
    late = now - timedelta(days=31)
    with transaction(services.engine, writes=True) as connection:
        decided = reviews.open_review(
            connection, services, ReviewDraft(seller_id, None, None, "Please look at my score.")
        )
        reviews.open_review(connection, services, ReviewDraft(seller_id, figure, None, "It is wrong."), lambda: late)
    reviews.decide_review(
        services, decided.id, "tests", Decision(ReviewOutcome.CONFIRMED, "We looked at every figure.")
    )
    return seller_id


@contextmanager
def weighed(looking: Looking) -> Iterator[list[int]]:
    """Yield what answers weigh while something is opened."""
    bodies: list[int] = []
    keep = lambda answer: bodies.append(int(answer.headers["content-length"]))  # noqa: E731 - to be taken off again
    looking.page.on("response", keep)
    yield bodies
    looking.page.remove_listener("response", keep)


def require_sound(looking: Looking, name: str) -> None:
    page = looking.page
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    looking.keep(name)
    # at the end of the page the bar of a phone covers nothing; elsewhere axe takes what it covers for too small
    page.evaluate("scrollTo({top: document.documentElement.scrollHeight, behavior: 'instant'})")
    found = Axe().run(page, options=OPTIONS)
    assert found.violations_count == 0, found.generate_report()
    beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert beyond <= 0, f"{name} is {beyond} pixels too wide"


# every two of a width, a theme and a language meet
@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [
        (360, "light", "en"),
        pytest.param(360, "dark", "zh", marks=pytest.mark.soak),
        pytest.param(1280, "light", "zh", marks=pytest.mark.soak),
        pytest.param(1280, "dark", "en", marks=pytest.mark.soak),
    ],
)
def test_every_page_of_a_seller_is_sound(
    site: Site, furnished: str, look: Look, *, width: int, scheme: str, language: str
) -> None:
    # the policy of the pages would keep the checker out
    looking = look(width, scheme=scheme, bypass_csp=True)
    name = f"{width}-{scheme}-{language}"
    looking.page.goto(site.link(furnished, language=language))
    require_sound(looking, f"page-login-{name}")
    looking.page.click("button.main")
    for path in PAGES:
        with weighed(looking) as bodies:
            looking.open(f"/seller{path}")
        # a browser keeps style and script, so they count on the first page alone; with them it stays below all the same
        assert sum(bodies) < MOST_BYTES
        require_sound(looking, f"page{path.replace('/', '-') or '-overview'}-{name}")
    looking.open("/operator")
    require_sound(looking, f"page-refused-{name}")


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.soak)])
def test_the_pages_of_who_has_no_score_are_sound(site: Site, look: Look, scheme: str) -> None:
    for seller_id, name in ((site.unscored, "unscored"), ("nobody knows me", "unknown")):
        looking = look(scheme=scheme, bypass_csp=True)
        looking.log_in(seller_id)
        for path in PAGES:
            looking.open(f"/seller{path}")
            assert looking.page.get_by_role("main").inner_text().strip()
            require_sound(looking, f"{name}{path.replace('/', '-') or '-overview'}-{scheme}")
        looking.page.get_by_role("button", name="Log out").click()
        require_sound(looking, f"{name}-farewell-{scheme}")


@pytest.mark.parametrize("width", [1280, pytest.param(360, marks=pytest.mark.soak)])
@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.soak)])
def test_the_queue_of_operators_is_sound(site: Site, furnished: str, look: Look, *, width: int, scheme: str) -> None:
    assert furnished
    looking = look(width, scheme=scheme, bypass_csp=True)
    looking.log_in(site.client(ClientKind.OPERATOR, "An operator")[0], UserKind.OPERATOR)
    require_sound(looking, f"queue-{width}-{scheme}")
    for number in range(2):
        looking.open("/operator")
        looking.page.locator("tbody a").nth(number).click()
        require_sound(looking, f"review-{number}-{width}-{scheme}")
