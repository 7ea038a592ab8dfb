"""An erasure among what a seller does: it waits and finds it, or comes first, and then nothing is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, func, select

from api.auth import clients as access
from api.auth import sessions
from api.auth.scopes import ClientKind
from api.auth.sessions import ActiveSession, UserKind
from api.consents import service as requests
from api.consents.ledger_entries import ConsentCheck
from api.consents.repository import consents as consents_table
from api.errors import ReviewUnknown, SellerUnknown
from api.kit.database import transaction
from api.ledger.encryption import seller_key, seller_keys
from api.ledger.records import erase_subject
from api.ledger.verification import verify
from api.operations import retention
from api.reviews import service
from api.reviews.repository import delete_reviews, reviews
from api.reviews.service import ReviewDraft
from api.services import Services
from tests.api.conftest import SELLERS
from tests.api.started import consent
from tests.api.web.conftest import Browser

pytestmark = pytest.mark.databases

SELLER = SELLERS[0]
WAITS = 20


def erase(services: Services) -> None:
    now = datetime.now(UTC)
    retention.erase_seller(services.engine, services.vectors, seller_id=SELLER, reason="asked", now=now)


def left(services: Services) -> tuple[int, ...]:
    """Return how many reviews, consents and keys there are."""
    with transaction(services.engine) as connection:
        tables = (reviews, consents_table, seller_keys)
        return tuple(connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables)


def test_an_erasure_waits_for_what_a_seller_does_and_finds_it(browser: Browser) -> None:
    services, now = browser.services, datetime.now(UTC)
    signed_in = sessions.start_session(services.engine, UserKind.SELLER, SELLER, by="tests", now=now)
    holds, release = threading.Event(), threading.Event()

    def ask() -> None:
        with sessions.session_transaction(services.engine, signed_in) as connection:
            holds.set()
            assert release.wait(WAITS)
            service.open_review(connection, services, ReviewDraft(SELLER, None, None, "Look, please."))

    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(ask)
        assert holds.wait(WAITS)
        erasing = pool.submit(erase, services)
        time.sleep(0.5)
        assert not erasing.done()
        release.set()
        asking.result(WAITS)
        erasing.result(WAITS)
    assert left(services) == (0, 0, 0)


@pytest.mark.parametrize("path", ["/seller/reviews", "/seller/consents/grant"])
def test_who_acts_while_an_erasure_is_under_way_waits_and_does_nothing(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    services, forgotten, release = browser.services, threading.Event(), threading.Event()
    fields = asked_for(browser)
    forget = retention.reviews.delete_reviews

    def forget_slowly(connection: Connection, seller_id: str) -> int:
        found = forget(connection, seller_id)
        forgotten.set()
        assert release.wait(WAITS)
        return found

    looked = threading.Event()
    acting = sessions.session_transaction

    @contextmanager
    def acting_late(*given: object) -> Iterator[Connection]:
        looked.set()
        assert forgotten.wait(WAITS)
        with acting(*given) as connection:
            yield connection

    monkeypatch.setattr(retention.reviews, "delete_reviews", forget_slowly)
    monkeypatch.setattr(sessions, "session_transaction", acting_late)
    with ThreadPoolExecutor(2) as pool:
        sending = pool.submit(lambda: browser.post(path, **fields))
        assert looked.wait(WAITS)
        erasing = pool.submit(erase, services)
        assert forgotten.wait(WAITS)
        time.sleep(0.5)
        assert not sending.done()
        release.set()
        erasing.result(WAITS)
        assert sending.result(WAITS).status_code == 401
    assert left(services) == (0, 0, 0)


@pytest.mark.parametrize("path", ["/seller/reviews", "/seller/consents/grant"])
def test_who_was_let_in_before_an_erasure_does_nothing_after_it(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    services, fields, acting = browser.services, asked_for(browser), sessions.session_transaction

    @contextmanager
    def acting_after(engine: object, signed_in: ActiveSession) -> Iterator[Connection]:
        erase(services)
        with acting(engine, signed_in) as connection:
            yield connection

    monkeypatch.setattr(sessions, "session_transaction", acting_after)
    assert browser.post(path, **fields).status_code == 401
    assert left(services) == (0, 0, 0)


def asked_for(browser: Browser) -> dict[str, str]:
    """Log a seller in whom a bank asked, and return what both forms send."""
    services, now = browser.services, datetime.now(UTC)
    bank = access.create_client(services.engine, ClientKind.BANK, "A bank", now=now).client.id
    with transaction(services.engine, writes=True) as connection:
        asked = requests.create_request(connection, bank, SELLER, "credit_application", now)
    browser.log_in(SELLER).get("/seller/reviews")
    return {"statement": "Look, please.", "request_id": asked.id, "days": "30"}


def test_who_consents_for_the_first_time_during_an_erasure_has_consented(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key is there to wait for: what is given meanwhile stands, with its key, as if given afterwards."""
    services, seller = browser.services, "S-first"
    if services.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    bank = access.create_client(services.engine, ClientKind.BANK, "B", now=datetime.now(UTC)).client.id
    forget = retention.reviews.delete_reviews

    def forget_and_let_in(connection: Connection, seller_id: str) -> int:
        consent(services, bank, seller)
        return forget(connection, seller_id)

    monkeypatch.setattr(retention.reviews, "delete_reviews", forget_and_let_in)
    with pytest.raises(SellerUnknown):
        retention.erase_seller(services.engine, services.vectors, seller_id=seller, reason="x", now=datetime.now(UTC))
    assert verify(services.engine, services.ledger, [ConsentCheck()]).faults == ()
    with transaction(services.engine) as connection:
        assert seller_key(connection, seller) is not None


def test_a_review_is_taken_up_behind_the_sellers_key(browser: Browser) -> None:
    """In the order of an erasure, which holds the key before the chain."""
    services = browser.services
    with transaction(services.engine, writes=True) as connection:
        services.ledger.seller(connection, SELLER)
        review = service.open_review(connection, services, ReviewDraft(SELLER, None, None, "Look, please."))
    holds, release = threading.Event(), threading.Event()

    def erase_slowly() -> None:
        with transaction(services.engine, writes=True) as connection:
            seller_key(connection, SELLER, to_erase=True)
            holds.set()
            assert release.wait(WAITS)
            delete_reviews(connection, SELLER)
            erase_subject(connection, SELLER, "x", datetime.now(UTC))

    with ThreadPoolExecutor(2) as pool:
        erasing = pool.submit(erase_slowly)
        assert holds.wait(WAITS)
        taking = pool.submit(service.assign, services, review.id, "operator-1")
        time.sleep(0.3)
        assert not taking.done()
        release.set()
        erasing.result(WAITS)
        with pytest.raises(ReviewUnknown):
            taking.result(WAITS)
