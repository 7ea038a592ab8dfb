"""The name of a bank is shown only as its signed entry records it, whatever the table of clients has."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from api.auth.clients import clients
from api.auth.scopes import ClientKind
from api.consents import service as consents
from api.consents.service import ConsentTerms
from api.kit.database import transaction
from api.products.service import replace_products
from api.web import consent_pages
from scoring import Product
from tests.api.conftest import SELLERS
from tests.api.started import register_of
from tests.api.web.conftest import Browser, create_bank, text_of

SELLER, NAME, FORGED = SELLERS[0], "Bank of the North", "Bank of the South"


def prepare_bank(browser: Browser) -> str:
    """Create a bank that offers a product, has a consent of the seller, and requests another one."""
    services, now, bank_id = browser.services, datetime.now(UTC), create_bank(browser, NAME)
    bands = services.champion.bundle.policy.bands.items
    product = Product(
        name="Loan",
        currency="USD",
        minimum_band=bands[-1].name,
        minimum_months=0,
        countries=frozenset(),
        multiple=1.0,
        least=1,
        cap=100_000,
        prices={band.name: 0.1 for band in bands},
        term_days=90,
    )
    with transaction(services.engine, writes=True) as connection:
        replace_products(connection, services.receipts, bank_id, {"loan": product})
        consents.create_request(connection, bank_id, SELLER, "account_review", now)
        terms = ConsentTerms(SELLER, bank_id, "credit_application", timedelta(days=9))
        consents.grant_consent(connection, services.ledger, terms, "tests")
    return bank_id


def change(browser: Browser, bank_id: str, **values: object) -> None:
    with transaction(browser.services.engine, writes=True) as connection:
        connection.execute(clients.update().where(clients.c.id == bank_id).values(**values))


@pytest.mark.databases
def test_a_name_that_was_changed_in_the_table_is_not_shown(browser: Browser) -> None:
    bank_id = prepare_bank(browser)
    browser.log_in(SELLER)
    change(browser, bank_id, name=FORGED)
    for path in ("/seller", "/seller/products", "/seller/consents"):
        page = text_of(browser.get(path))
        assert (NAME in page, FORGED in page) == (True, False), path
    services = browser.services
    with transaction(services.engine) as connection:
        access_of = consent_pages.access_of(services, connection, SELLER, datetime.now(UTC))
    assert {name for name, _ in (*access_of.pending, *access_of.in_force)} == {NAME}


@pytest.mark.databases
def test_the_grant_form_names_the_bank_as_the_page_did(browser: Browser) -> None:
    bank_id = prepare_bank(browser)
    browser.log_in(SELLER)
    page = browser.get("/seller/consents").text
    (request_id,) = set(re.findall(r'name="request_id" value="([^"]+)"', page))
    (shown,) = re.findall(r'name="bank_name" value="([^"]+)"', page)
    form = {"request_id": request_id, "bank_id": bank_id, "purpose": "account_review", "days": "30"}
    assert browser.post("/seller/consents/grant", **form, bank_name=FORGED).status_code == 404
    assert browser.post("/seller/consents/grant", **form, bank_name=shown).status_code == 303


@pytest.mark.databases
def test_a_bank_that_was_revived_in_the_table_offers_nothing(browser: Browser) -> None:
    bank_id = prepare_bank(browser)
    register_of(browser.services).revoke(ClientKind.BANK, bank_id, datetime.now(UTC))
    change(browser, bank_id, revoked_at=None)
    browser.log_in(SELLER)
    assert NAME not in text_of(browser.get("/seller/products"))
    assert NAME in text_of(browser.get("/seller/consents")), "the name of a revoked bank stays"
