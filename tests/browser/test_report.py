"""The printable report of a score: on a phone the whole waterfall is visible without horizontal scrolling."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from api.auth.scopes import ClientKind
from api.consents.service import ConsentTerms, grant_consent
from api.kit.database import transaction
from tests.browser.conftest import OpenWindow, Site


@pytest.fixture(scope="module")
def report(site: Site) -> tuple[str, str]:
    """Return the path of a report and a token for it."""
    bank_id, secret = site.client(ClientKind.BANK, "华夏跨境银行 & Co")
    services, seller_id = site.services, site.scored[0]
    with transaction(services.engine, writes=True) as connection:
        terms = ConsentTerms(seller_id, bank_id, "credit_application", timedelta(days=90))
        grant_consent(connection, services.ledger, terms, "tests")
    with httpx.Client(base_url=site.address, timeout=60) as client:
        form = {"grant_type": "client_credentials"}
        token = client.post("/oauth/token", data=form, auth=(bank_id, secret)).json()["access_token"]
        body = {"seller_id": seller_id, "purpose": "credit_application"}
        response = client.post("/v1/scores", json=body, headers={"Authorization": f"Bearer {token}"})
    return f"{response.headers['Location']}/report", token


@pytest.mark.parametrize(("width", "visible", "hidden"), [(360, "narrow", "wide"), (1280, "wide", "narrow")])
def test_the_waterfall_fits_the_screen(
    open_window: OpenWindow, report: tuple[str, str], width: int, visible: str, hidden: str
) -> None:
    path, token = report
    window = open_window(width, extra_http_headers={"Authorization": f"Bearer {token}"})
    window.open(path)
    window.save_screenshot(f"report-{width}")
    page = window.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not page.locator(f".on-{hidden} svg").is_visible()
    box = page.locator(f".on-{visible} svg").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert "华夏跨境银行 & Co, bank-" in page.inner_text("dl")
