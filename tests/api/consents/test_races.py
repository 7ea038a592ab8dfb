"""Revocations, erasures and grants while others score: nothing is committed under a consent after its revocation."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from api.consents import repository
from api.consents.service import ConsentTerms, grant_consent, require_active_consent, revoke_consent
from api.errors import ConsentRequired, ConsentUnknown, SellerUnknown
from api.kit.database import transaction
from api.kit.fields import Purpose, format_timestamp, utc_now
from api.ledger.records import erase_subject
from api.ledger.store import EntryDraft, rows_of
from api.ledger.verification import verify
from api.operations.ledger_checks import all_checks
from api.operations.retention import erase_seller
from api.scores import issuance
from api.scores.schemas import ScoreRequest
from api.services import Services
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, bank_of
from tests.api.consents.conftest import DAY, PURPOSE, SELLER, Register
from tests.api.ledger.conftest import NOW
from tests.api.started import RING
from tests.counts import repeat

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.databases, pytest.mark.slow]

WRITERS = 20


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in, consenting=SELLERS[:2]) as opened:
        yield opened


def scoring(services: Services, bank_id: str, rejections: list[type[Exception]]) -> None:
    """Score a seller until the request is rejected."""
    request = ScoreRequest(seller_id=SELLERS[0], purpose=Purpose.CREDIT_APPLICATION)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            asyncio.run(issuance.issue_score(services, bank_id, request))
        except (ConsentRequired, SellerUnknown) as error:
            rejections.append(type(error))
            return


def is_whole(services: Services) -> bool:
    checks = all_checks(services.receipts.jwks)
    return verify(services.engine, services.ledger, services.receipts.jwks, checks).faults == ()


def test_no_score_follows_the_revocation(client: TestClient) -> None:
    services, bank = client.app.state.services, bank_of(client)
    rejections: list[type[Exception]] = []
    with transaction(services.engine) as connection:
        consent = require_active_consent(connection, SELLERS[0], bank, PURPOSE, utc_now)
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in range(WRITERS):
            pool.submit(scoring, services, bank, rejections)
        time.sleep(0.5)
        with transaction(services.engine, writes=True) as connection:
            revoked = revoke_consent(connection, services.ledger, consent.id, "platform-1")
    assert rejections == [ConsentRequired] * WRITERS
    with transaction(services.engine) as connection:
        headers = [row.header for row in rows_of(connection, bank)]
    kinds = [header.kind for header in headers]
    place = kinds.index("revocation")
    assert kinds.count("score") >= 1
    assert "score" not in kinds[place:]
    assert revoked.revoked_at is not None
    assert headers[place].recorded_at == format_timestamp(revoked.revoked_at)
    assert all(each.recorded_at < headers[place].recorded_at for each in headers if each.kind == "score")
    assert is_whole(services)


def test_an_erasure_during_scoring_leaves_nothing(client: TestClient) -> None:
    services, bank = client.app.state.services, bank_of(client)
    rejections: list[type[Exception]] = []
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(scoring, services, bank, rejections)
        time.sleep(0.3)
        erase_seller(services.engine, services.receipts, services.vectors, seller_id=SELLERS[0], reason="x", now=NOW)
    assert len(rejections) == 8
    with transaction(services.engine) as connection:
        kinds = [row.header.kind for row in rows_of(connection, bank)]
        assert repository.latest_consents(connection, SELLERS[0], bank, PURPOSE) is None
    assert kinds[-1] == "erasure"
    assert is_whole(services)


def append_slowly(register: Register, holds: threading.Event, release: threading.Event) -> None:
    """Append a row under the consent in a transaction that ends on release."""
    with transaction(register.engine, writes=True) as connection:
        seller = register.ledger.seller(connection, SELLER)
        tip = register.ledger.lock_chain(connection, register.bank)
        require_active_consent(connection, SELLER, register.bank, PURPOSE, lambda: NOW)
        holds.set()
        release.wait(20)
        register.ledger.append(connection, seller, EntryDraft(register.bank, "note", b"{}", NOW), tip)


def test_a_revocation_waits_for_an_open_transaction_under_the_consent(register: Register) -> None:
    consent = register.grant()
    holds, release = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(append_slowly, register, holds, release)
        assert holds.wait(20)
        revoking = pool.submit(register.revoke, consent)
        time.sleep(0.3)
        assert not revoking.done()
        release.set()
        slow.result(20)
        revoking.result(20)
    assert register.kinds() == ["consent", "note", "revocation"]


def test_a_score_waits_for_an_open_revocation_and_finds_it(register: Register) -> None:
    consent = register.grant()
    with ThreadPoolExecutor(1) as pool:
        with transaction(register.engine, writes=True) as connection:
            revoke_consent(connection, register.ledger, consent.id, "platform-1", lambda: NOW)
            late = pool.submit(append_slowly, register, threading.Event(), threading.Event())
            time.sleep(0.3)
            assert not late.done()
        with pytest.raises(ConsentRequired):
            late.result(20)
    assert register.kinds() == ["consent", "revocation"]


def test_concurrent_grants_leave_one_active_consent(register: Register) -> None:
    def grant(number: int) -> None:
        terms = ConsentTerms(SELLER, register.bank, PURPOSE, (number + 1) * DAY)
        with transaction(register.engine, writes=True) as connection:
            grant_consent(connection, register.ledger, terms, "platform-1")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(grant, range(16)))
    now = datetime.now(UTC)
    register.revoke(register.require(now), now)
    with pytest.raises(ConsentRequired):
        register.require(now)
    kinds = register.kinds()
    assert (kinds.count("consent"), kinds.count("revocation")) == (16, 16)
    assert register.faults() == []


def test_concurrent_revocations_are_recorded_once(register: Register) -> None:
    consent = register.grant()
    with ThreadPoolExecutor(6) as pool:
        revoked = list(pool.map(lambda number: register.revoke(consent, NOW + number * DAY), range(6)))
    assert len(set(revoked)) == 1
    assert register.kinds() == ["consent", "revocation"]


def test_an_erased_consent_cannot_be_revoked(register: Register) -> None:
    consent = register.grant()
    with transaction(register.engine, writes=True) as connection:
        repository.delete_consents(connection, SELLER)
        erase_subject(connection, RING, SELLER, "asked", NOW)
    with pytest.raises(ConsentUnknown):
        register.revoke(consent)
    assert register.kinds() == ["consent", "erasure"]


@pytest.mark.repeated
def test_renewing_a_consent_never_interrupts_scoring(client: TestClient) -> None:
    """A renewed consent replaces the former one in one moment, also for requests that wait."""
    services, bank = client.app.state.services, bank_of(client)
    request = ScoreRequest(seller_id=SELLERS[0], purpose=Purpose.CREDIT_APPLICATION)
    scored = threading.Event()

    def score() -> None:
        for _ in range(repeat(10, 60)):
            asyncio.run(issuance.issue_score(services, bank, request))

    def renew() -> int:
        renewed = 0
        while not scored.is_set():
            renewed += 1
            with transaction(services.engine, writes=True) as connection:
                terms = ConsentTerms(SELLERS[0], bank, PURPOSE, DAY * (1 + renewed % 90))
                grant_consent(connection, services.ledger, terms, "tests")
        return renewed

    with ThreadPoolExecutor(5) as pool:
        renewing = pool.submit(renew)
        try:
            for scoring_call in [pool.submit(score) for _ in range(4)]:
                scoring_call.result(60)
        finally:
            scored.set()
        assert renewing.result(60) > 1
    assert is_whole(services)
