"""Every page in both themes, languages and widths: no axe violation, no horizontal overflow, small responses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from api.auth.scopes import ClientKind
from api.auth.sessions import UserKind
from api.kit.database import transaction
from api.reviews import service as reviews
from api.reviews.repository import ReviewOutcome, update_review
from api.reviews.service import Decision, ReviewDraft
from tests.api.web.conftest import PAGES
from tests.browser.conftest import OpenWindow, Site, Window, fill_pages

OPTIONS: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}
MAX_BYTES = 100_000


@pytest.fixture(scope="module")
def busy_seller(site: Site) -> str:
    """Return a seller with content on every page and in the operators' queue."""
    seller_id, services, now = site.scored[0], site.services, datetime.now(UTC)
    fill_pages(site, seller_id, ("Bank of the North", "华夏跨境银行"))
    feature = services.champion.bundle.sheet.names[3]
    overdue = now - timedelta(days=31)
    with transaction(services.engine, writes=True) as connection:
        review = reviews.open_review(connection, services, ReviewDraft(seller_id, None, None, "Please check my score."))
        late = reviews.open_review(connection, services, ReviewDraft(seller_id, feature, None, "It is wrong."))
        # the ledger accepts no earlier time, so only the table has it
        update_review(connection, late.id, opened_at=overdue, due_at=overdue + reviews.DEADLINE)
    reviews.decide_review(services, review.id, "tests", Decision(ReviewOutcome.CONFIRMED, "We looked at every figure."))
    return seller_id


@contextmanager
def response_sizes(window: Window) -> Iterator[list[int]]:
    """Yield the sizes of responses while a page is opened."""
    sizes: list[int] = []
    record = lambda response: sizes.append(int(response.headers["content-length"]))  # noqa: E731 - removed below
    window.page.on("response", record)
    yield sizes
    window.page.remove_listener("response", record)


def assert_accessible(window: Window, name: str) -> None:
    page = window.page
    page.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true })")
    window.save_screenshot(name)
    # at the end of the page the bottom bar covers nothing; elsewhere axe reports covered targets as too small
    page.evaluate("scrollTo({top: document.documentElement.scrollHeight, behavior: 'instant'})")
    result = Axe().run(page, options=OPTIONS)
    assert result.violations_count == 0, result.generate_report()
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{name} is {overflow} pixels too wide"


# every pair of width, theme and language occurs
@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [
        (360, "light", "en"),
        pytest.param(360, "dark", "zh", marks=pytest.mark.soak),
        pytest.param(1280, "light", "zh", marks=pytest.mark.soak),
        pytest.param(1280, "dark", "en", marks=pytest.mark.soak),
    ],
)
def test_every_seller_page_is_accessible(
    site: Site, busy_seller: str, open_window: OpenWindow, *, width: int, scheme: str, language: str
) -> None:
    # the content security policy of the pages would block axe
    window = open_window(width, scheme=scheme, bypass_csp=True)
    name = f"{width}-{scheme}-{language}"
    window.page.goto(site.link(busy_seller, language=language))
    assert_accessible(window, f"page-login-{name}")
    window.page.click("button.main")
    for path in PAGES:
        with response_sizes(window) as sizes:
            window.open(f"/seller{path}")
        # browsers cache styles and scripts, so only the first page loads them; even that page stays below the limit
        assert sum(sizes) < MAX_BYTES
        assert_accessible(window, f"page{path.replace('/', '-') or '-overview'}-{name}")
    window.open("/operator")
    assert_accessible(window, f"page-refused-{name}")


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.soak)])
def test_pages_without_a_score_are_accessible(site: Site, open_window: OpenWindow, scheme: str) -> None:
    for seller_id, name in ((site.unscored, "unscored"), ("no such seller", "unknown")):
        window = open_window(scheme=scheme, bypass_csp=True)
        window.log_in(seller_id)
        for path in PAGES:
            window.open(f"/seller{path}")
            assert window.page.get_by_role("main").inner_text().strip()
            assert_accessible(window, f"{name}{path.replace('/', '-') or '-overview'}-{scheme}")
        window.page.get_by_role("button", name="Log out").click()
        assert_accessible(window, f"{name}-farewell-{scheme}")


@pytest.mark.parametrize("width", [1280, pytest.param(360, marks=pytest.mark.soak)])
@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.soak)])
def test_the_operators_queue_is_accessible(
    site: Site, busy_seller: str, open_window: OpenWindow, *, width: int, scheme: str
) -> None:
    assert busy_seller
    window = open_window(width, scheme=scheme, bypass_csp=True)
    window.log_in(site.client(ClientKind.OPERATOR, "An operator")[0], UserKind.OPERATOR)
    assert_accessible(window, f"queue-{width}-{scheme}")
    for number in range(2):
        window.open("/operator")
        window.page.locator("tbody a").nth(number).click()
        assert_accessible(window, f"review-{number}-{width}-{scheme}")
        if window.page.locator("#value").count():
            window.page.check("input[value=corrected]")
            window.page.fill("#value", "0.5")
            window.page.fill("#reason", "It was wrong.")
            window.page.click("form[action$=decide] button.main")
            assert_accessible(window, f"preview-{number}-{width}-{scheme}")
