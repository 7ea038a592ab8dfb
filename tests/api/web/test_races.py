"""An erasure and a seller's action at the same time: either the erasure deletes its result, or nothing is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from api.auth.sessions import ActiveSession, Sessions, UserKind
from api.consents.ledger_entries import ConsentCheck
from api.consents.repository import consents
from api.consents.service import create_request
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
from tests.api.web.conftest import Browser, create_bank

pytestmark = pytest.mark.databases

SELLER = SELLERS[0]
DRAFT = ReviewDraft(SELLER, None, None, "Please check it.")
TIMEOUT = 20
PATHS = pytest.mark.parametrize("path", ["/seller/reviews", "/seller/consents/grant"])


def erase(services: Services) -> None:
    now = datetime.now(UTC)
    retention.erase_seller(
        services.engine, services.receipts, services.vectors, seller_id=SELLER, reason="asked", now=now
    )


def assert_nothing_left(services: Services) -> None:
    """Assert that there are no reviews, consents and keys."""
    with transaction(services.engine) as connection:
        for table in (reviews, consents, seller_keys):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


@dataclass
class Pause:
    """A point where one thread waits for another."""

    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        self.reached.set()
        assert self.released.wait(TIMEOUT)

    def run(self, first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Future[Any], Future[Any]]:
        """Run two functions; the second starts at the pause of the first, and must not end before its release."""
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(first)
            assert self.reached.wait(TIMEOUT)
            two = pool.submit(second)
            time.sleep(0.4)
            assert not two.done()
            self.released.set()
        return one, two


def test_an_erasure_waits_for_an_action_and_deletes_its_result(browser: Browser) -> None:
    services, pause = browser.services, Pause()
    session = browser.sessions.start_session(UserKind.SELLER, SELLER, by="tests", now=datetime.now(UTC))

    def act() -> None:
        with browser.sessions.session_transaction(session) as connection:
            pause.wait()
            service.open_review(connection, services, DRAFT)

    for future in pause.run(act, lambda: erase(services)):
        future.result()
    assert_nothing_left(services)


def prepare_forms(browser: Browser) -> dict[str, str]:
    """Log a seller with a consent request in, and return the fields of both forms."""
    bank_id, now = create_bank(browser, "A bank"), datetime.now(UTC)
    with transaction(browser.services.engine, writes=True) as connection:
        request = create_request(connection, bank_id, SELLER, "credit_application", now)
    browser.log_in(SELLER).get("/seller/reviews")
    shown = {"request_id": request.id, "bank_id": bank_id, "bank_name": "A bank", "purpose": "credit_application"}
    return {"statement": "Please check it.", **shown, "days": "30"}


@PATHS
def test_an_action_during_an_erasure_waits_and_does_nothing(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    services, fields, pause, admitted = browser.services, prepare_forms(browser), Pause(), threading.Event()
    delete, begin = retention.reviews.delete_reviews, Sessions.session_transaction

    def delete_slowly(connection: Connection, seller_id: str) -> int:
        deleted = delete(connection, seller_id)
        pause.wait()
        return deleted

    @contextmanager
    def begin_late(*arguments: Any) -> Iterator[Connection]:
        admitted.set()
        assert pause.reached.wait(TIMEOUT)
        with begin(*arguments) as connection:
            yield connection

    monkeypatch.setattr(retention.reviews, "delete_reviews", delete_slowly)
    monkeypatch.setattr(Sessions, "session_transaction", begin_late)
    with ThreadPoolExecutor(1) as pool:
        action = pool.submit(lambda: browser.post(path, **fields))
        assert admitted.wait(TIMEOUT)
        erasure, waiting = pause.run(lambda: erase(services), lambda: action.result(TIMEOUT))
    erasure.result()
    assert waiting.result().status_code == 401
    assert_nothing_left(services)


@PATHS
def test_an_action_that_was_admitted_before_an_erasure_does_nothing_after_it(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    services, fields, begin = browser.services, prepare_forms(browser), Sessions.session_transaction

    @contextmanager
    def begin_after_erasure(stored: Sessions, session: ActiveSession) -> Iterator[Connection]:
        erase(services)
        with begin(stored, session) as connection:
            yield connection

    monkeypatch.setattr(Sessions, "session_transaction", begin_after_erasure)
    assert browser.post(path, **fields).status_code == 401
    assert_nothing_left(services)


def test_a_first_consent_during_an_erasure_stays(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no key to wait for, so the consent counts as given after the erasure."""
    services, seller_id = browser.services, "S-first"
    if services.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    bank_id, delete = create_bank(browser, "A bank"), retention.reviews.delete_reviews

    def consent_and_delete(connection: Connection, seller_id: str) -> int:
        consent(services, bank_id, seller_id)
        return delete(connection, seller_id)

    monkeypatch.setattr(retention.reviews, "delete_reviews", consent_and_delete)
    with pytest.raises(SellerUnknown):
        retention.erase_seller(
            services.engine, services.receipts, services.vectors, seller_id=seller_id, reason="x", now=datetime.now(UTC)
        )
    assert verify(services.engine, services.ledger, services.receipts.jwks, [ConsentCheck()]).faults == ()
    with transaction(services.engine) as connection:
        assert seller_key(connection, seller_id) is not None


def test_an_assignment_waits_for_the_key_of_the_seller_as_an_erasure_does(browser: Browser) -> None:
    services, pause = browser.services, Pause()
    with transaction(services.engine, writes=True) as connection:
        services.ledger.seller(connection, SELLER)
        review = service.open_review(connection, services, DRAFT)

    def erase_slowly() -> None:
        with transaction(services.engine, writes=True) as connection:
            seller_key(connection, SELLER, to_erase=True)
            pause.wait()
            delete_reviews(connection, SELLER)
            erase_subject(connection, services.receipts, SELLER, "x", datetime.now(UTC))

    erasure, assignment = pause.run(erase_slowly, lambda: service.assign(services, review.id, "operator-1"))
    erasure.result()
    with pytest.raises(ReviewUnknown):
        assignment.result()
