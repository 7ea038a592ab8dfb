"""A revocation among those who score: what is committed after it rests on nothing, so there is none."""

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
from api.consents.ledger_entries import ConsentCheck
from api.consents.service import ConsentTerms, grant_consent, require_active_consent, revoke_consent
from api.errors import ConsentRequired, ConsentUnknown, SellerUnknown
from api.kit.database import transaction
from api.kit.fields import Purpose, format_timestamp, utc_now
from api.ledger.records import erase_subject
from api.ledger.store import EntryDraft, rows_of
from api.ledger.verification import verify
from api.operations.retention import erase_seller
from api.scores import issuance
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.schemas import ScoreRequest
from api.services import Services
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, bank_of
from tests.api.consents.conftest import DAY, PURPOSE, SELLER, Room
from tests.api.ledger.conftest import NOW
from tests.counts import repeat

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.databases, pytest.mark.slow]

WRITERS = 20


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in, consenting=SELLERS[:2]) as opened:
        yield opened


def scoring(services: Services, bank_id: str, ended: list[type[Exception]]) -> None:
    """Score one seller until that is refused."""
    request = ScoreRequest(seller_id=SELLERS[0], purpose=Purpose.CREDIT_APPLICATION)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            asyncio.run(issuance.issue_score(services, bank_id, request))
        except (ConsentRequired, SellerUnknown) as refused:
            ended.append(type(refused))
            return


def whole(services: Services) -> bool:
    return (
        verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks), ConsentCheck()]).faults == ()
    )


def test_no_score_stands_after_the_revocation(client: TestClient) -> None:
    services, bank = client.app.state.services, bank_of(client)
    ended: list[type[Exception]] = []
    with transaction(services.engine) as connection:
        consent = require_active_consent(connection, SELLERS[0], bank, PURPOSE, utc_now)
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in range(WRITERS):
            pool.submit(scoring, services, bank, ended)
        time.sleep(0.5)
        with transaction(services.engine, writes=True) as connection:
            revoked = revoke_consent(connection, services.ledger, consent.id, "platform-1")
    assert ended == [ConsentRequired] * WRITERS
    with transaction(services.engine) as connection:
        headers = [row.header for row in rows_of(connection, bank)]
    kinds = [header.kind for header in headers]
    place = kinds.index("revocation")
    assert kinds.count("score") >= 1
    assert "score" not in kinds[place:]
    assert revoked.revoked_at is not None
    assert headers[place].recorded_at == format_timestamp(revoked.revoked_at)
    assert all(each.recorded_at < headers[place].recorded_at for each in headers if each.kind == "score")
    assert whole(services)


def test_an_erasure_among_those_who_score_leaves_nothing_behind(client: TestClient) -> None:
    services, bank = client.app.state.services, bank_of(client)
    ended: list[type[Exception]] = []
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(scoring, services, bank, ended)
        time.sleep(0.3)
        erase_seller(services.engine, services.vectors, seller_id=SELLERS[0], reason="x", now=NOW)
    assert len(ended) == 8
    with transaction(services.engine) as connection:
        kinds = [row.header.kind for row in rows_of(connection, bank)]
        assert repository.latest_consents(connection, SELLERS[0], bank, PURPOSE) is None
    assert kinds[-1] == "erasure"
    assert whole(services)


def appended(room: Room, holds: threading.Event, release: threading.Event) -> None:
    """Append what rests on the consent, slowly: the transaction ends when it is let."""
    with transaction(room.engine, writes=True) as connection:
        seller = room.ledger.seller(connection, SELLER)
        tip = room.ledger.lock_chain(connection, room.bank)
        require_active_consent(connection, SELLER, room.bank, PURPOSE, lambda: NOW)
        holds.set()
        release.wait(20)
        room.ledger.append(connection, seller, EntryDraft(room.bank, "note", b"{}", NOW), tip)


def test_a_revocation_waits_for_what_was_begun_under_the_consent(room: Room) -> None:
    consent = room.grant()
    holds, release = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(appended, room, holds, release)
        assert holds.wait(20)
        revoking = pool.submit(room.revoke, consent)
        time.sleep(0.3)
        assert not revoking.done()
        release.set()
        slow.result(20)
        revoking.result(20)
    assert [row.header.kind for row in room.rows()] == ["consent", "note", "revocation"]


def test_what_comes_while_a_revocation_is_under_way_waits_and_finds_it(room: Room) -> None:
    consent = room.grant()
    with ThreadPoolExecutor(1) as pool:
        with transaction(room.engine, writes=True) as connection:
            revoke_consent(connection, room.ledger, consent.id, "platform-1", lambda: NOW)
            late = pool.submit(appended, room, threading.Event(), threading.Event())
            time.sleep(0.3)
            assert not late.done()
        with pytest.raises(ConsentRequired):
            late.result(20)
    assert [row.header.kind for row in room.rows()] == ["consent", "revocation"]


def test_of_grants_at_once_one_is_in_force_and_revoking_it_leaves_none(room: Room) -> None:
    def agree(number: int) -> None:
        terms = ConsentTerms(SELLER, room.bank, PURPOSE, (number + 1) * DAY)
        with transaction(room.engine, writes=True) as connection:
            grant_consent(connection, room.ledger, terms, "platform-1")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(agree, range(16)))
    now = datetime.now(UTC)
    room.revoke(room.required(now), now)
    with pytest.raises(ConsentRequired):
        room.required(now)
    kinds = [row.header.kind for row in room.rows()]
    assert (kinds.count("consent"), kinds.count("revocation")) == (16, 16)
    assert room.faults() == []


def test_of_two_revocations_at_once_one_is_recorded_and_both_say_the_same(room: Room) -> None:
    consent = room.grant()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: room.revoke(consent, NOW + number * DAY), range(6)))
    assert len(set(found)) == 1
    assert [row.header.kind for row in room.rows()] == ["consent", "revocation"]


def test_a_consent_erased_meanwhile_is_not_revoked(room: Room) -> None:
    consent = room.grant()
    with transaction(room.engine, writes=True) as connection:
        repository.delete_consents(connection, SELLER)
        erase_subject(connection, SELLER, "asked", NOW)
    with pytest.raises(ConsentUnknown):
        room.revoke(consent)
    assert [row.header.kind for row in room.rows()] == ["consent", "erasure"]


@pytest.mark.repeated
def test_who_is_consented_to_all_the_time_is_never_refused(client: TestClient) -> None:
    """A consent that is renewed takes the place of the former in one moment, also for those who wait."""
    services, bank = client.app.state.services, bank_of(client)
    request = ScoreRequest(seller_id=SELLERS[0], purpose=Purpose.CREDIT_APPLICATION)
    until = time.monotonic() + repeat(0.3, 5)

    def score() -> int:
        made = 0
        while time.monotonic() < until:
            asyncio.run(issuance.issue_score(services, bank, request))
            made += 1
        return made

    def renew() -> int:
        renewed = 0
        while time.monotonic() < until:
            renewed += 1
            with transaction(services.engine, writes=True) as connection:
                grant_consent(
                    connection,
                    services.ledger,
                    ConsentTerms(SELLERS[0], bank, PURPOSE, DAY * (1 + renewed % 90)),
                    "tests",
                )
        return renewed

    with ThreadPoolExecutor(5) as pool:
        coming = [pool.submit(each) for each in (score, score, score, score, renew)]
        assert all(each.result(60) > 1 for each in coming)
    assert whole(services)
