"""No content is wider than the screen: at 320 pixels, with 200% text, long names and both languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.kit.database import transaction
from api.reviews import service as reviews
from api.reviews.service import ReviewDraft
from tests.api.web.conftest import PAGES
from tests.api.web.self_views import Differs, store_self_view
from tests.browser.conftest import OpenWindow, Site, Window, fill_pages

LONG, LONG_CHINESE = "Bank" * 30, "华夏跨境电商供应链金融服务银行" * 8
MEASURE = """() => {
  const wide = document.documentElement
  const beyond = [...document.querySelectorAll('body *')].filter(element => !element.closest('.scroll, .skip'))
    .filter(element => element.getBoundingClientRect().right > wide.clientWidth + 1)
    .map(element => element.outerHTML.slice(0, 120))
  return wide.scrollWidth <= wide.clientWidth ? [] : [wide.scrollWidth, ...beyond]
}"""
UNCOVERED = """() => {
  scrollTo({top: document.documentElement.scrollHeight, behavior: 'instant'})
  const bar = document.querySelector('.ways').getBoundingClientRect()
  const foot = document.querySelector('.foot').getBoundingClientRect()
  return [Math.round(innerHeight - bar.bottom), foot.bottom <= bar.top + 1]
}"""
TARGETS = """() => [...document.querySelectorAll('.ways a')].map(element => {
  const box = element.getBoundingClientRect()
  return Math.min(box.width, box.height)
})"""


@pytest.fixture(scope="module")
def seller_with_long_names(site: Site) -> str:
    """Return a seller with long names on every page and every kind of change in the history."""
    seller_id, services, now = site.scored[0], site.services, datetime.now(UTC)
    stored = services.vectors.latest(seller_id)
    assert stored is not None
    day = stored.snapshot.as_of
    for days, differs in (
        (90, Differs(as_of=day - timedelta(days=90), values=tuple(None for _ in stored.values))),
        (60, Differs(as_of=day - timedelta(days=60))),
        (50, Differs(as_of=day - timedelta(days=60), bundle="sha256:" + "0" * 64)),
        (30, Differs(as_of=day - timedelta(days=30), covers=day - timedelta(days=90))),
        (20, Differs(as_of=day - timedelta(days=20))),
    ):
        store_self_view(services, seller_id, now - timedelta(days=days), differs)
    fill_pages(site, seller_id, (LONG, LONG_CHINESE))
    with transaction(services.engine, writes=True) as connection:
        reviews.open_review(connection, services, ReviewDraft(seller_id, None, None, "W" * 400))
    return seller_id


def assert_fits(window: Window, name: str) -> None:
    page = window.page
    window.save_screenshot(f"width-{name}")
    for size in ("100%", "200%"):
        page.evaluate("size => { document.documentElement.style.fontSize = size }", size)
        page.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true })")
        assert page.evaluate(MEASURE) == [], f"{name} at {size}"
        assert page.evaluate(UNCOVERED) == [0, True], f"the bar covers content of {name} at {size}"
        assert min(page.evaluate(TARGETS)) >= 44


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_page_is_wider_than_a_small_phone(
    site: Site, seller_with_long_names: str, open_window: OpenWindow, language: str
) -> None:
    window = open_window(320, bypass_csp=True)
    window.log_in(seller_with_long_names, language=language)
    for path in PAGES:
        window.open(f"/seller{path}")
        assert_fits(window, f"320{path.replace('/', '-') or '-overview'}-{language}")
    window.log_in(site.unscored, language=language)
    assert_fits(window, f"320-unscored-{language}")
