"""What sellers and banks do with consents, on a database of each kind."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.consents import service
from api.consents import service as requests
from api.consents.service import LONGEST
from api.errors import (
    BankUnknown,
    ConsentRequestClosed,
    ConsentRequestUnknown,
    ConsentRequired,
    ConsentUnknown,
    InvalidRequest,
)
from api.kit.database import transaction
from api.ledger.encryption import seller_key
from api.ledger.store import read_content
from tests.api.consents.conftest import DAY, OTHER, SELLER, Room
from tests.api.ledger.conftest import NOW

pytestmark = pytest.mark.databases

TICK = timedelta(microseconds=1)


def test_a_consent_holds_from_its_grant_up_to_and_not_at_its_end(room: Room) -> None:
    acted = NOW - 2 * DAY
    consent = room.grant(granted_at=acted, ends=NOW + DAY)
    assert (consent.granted_at, consent.ends_at, consent.recorded_at) == (acted, NOW + DAY, NOW)
    for moment in (acted, NOW, NOW + DAY - TICK):
        assert room.required(moment) == consent
    for moment in (acted - TICK, NOW + DAY, NOW + 99 * DAY):
        with pytest.raises(ConsentRequired):
            room.required(moment)


@pytest.mark.parametrize("other", [{"seller_id": "卖家-2"}, {"bank_id": "second"}, {"purpose": OTHER}])
def test_another_sellers_banks_or_purposes_consent_is_none(room: Room, other: dict[str, str]) -> None:
    room.grant(**{name: room.second if value == "second" else value for name, value in other.items()})
    with pytest.raises(ConsentRequired):
        room.required()


def test_any_purpose_is_enough_to_look(room: Room) -> None:
    with transaction(room.engine) as connection:
        for seller in (SELLER, "S-nobody"):
            with pytest.raises(ConsentRequired):
                service.require_active_consent(connection, seller, room.bank, None, lambda: NOW)
    room.grant(purpose=OTHER, ends=9 * DAY)
    last = room.grant(ends=10 * DAY)
    with transaction(room.engine) as connection:
        assert service.require_active_consent(connection, SELLER, room.bank, None, lambda: NOW) == last
        with pytest.raises(ConsentRequired):
            service.require_active_consent(connection, SELLER, room.second, None, lambda: NOW)
        with pytest.raises(ConsentRequired):
            service.require_active_consent(connection, SELLER, room.bank, None, lambda: NOW + 10 * DAY)


def test_a_revocation_holds_at_once_and_once(room: Room) -> None:
    consent = room.grant()
    revoked = room.revoke(consent, NOW + TICK)
    assert revoked.revoked_at == NOW + TICK
    with pytest.raises(ConsentRequired):
        room.required(NOW + 2 * TICK)
    assert room.revoke(consent, NOW + DAY) == revoked
    assert [row.header.kind for row in room.rows()] == ["consent", "revocation"]
    assert room.faults() == []


def test_a_newer_consent_takes_the_place_of_the_older_and_revoking_leaves_none(room: Room) -> None:
    old, other = room.grant(), room.grant(purpose=OTHER)
    new = room.grant(at=NOW + DAY, ends=60 * DAY)
    assert room.required(NOW + 2 * DAY) == new
    with transaction(room.engine) as connection:
        assert service.find_consent(connection, None, old.id).revoked_at == NOW + DAY
        (revocation,) = (row for row in room.rows() if row.header.kind == "revocation")
        key = room.ledger.unwrapped(seller_key(connection, SELLER))
    said = json.loads(read_content(revocation, key))
    assert said == {"consent_id": old.id, "recorded_by": "platform-1", "replaced_by": new.id}
    room.revoke(new, NOW + 2 * DAY)
    with pytest.raises(ConsentRequired):
        room.required(NOW + 3 * DAY)
    assert room.required(NOW + 3 * DAY, purpose=OTHER) == other
    assert room.faults() == []


def test_the_very_same_again_is_the_one_that_there_is(room: Room) -> None:
    first = room.grant(granted_at=NOW - DAY)
    assert room.grant(at=NOW + DAY, granted_at=NOW - DAY) == first
    assert room.grant(at=NOW + DAY, granted_at=NOW - DAY + TICK) != first
    ended = NOW + 100 * DAY
    assert room.grant(at=ended).recorded_at == ended
    assert [row.header.kind for row in room.rows()] == ["consent", "revocation", "consent", "consent"]
    assert room.faults() == []


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"ends": NOW}, "ends_at"),
        ({"ends": NOW - DAY}, "ends_at"),
        ({"ends": DAY, "granted_at": NOW - DAY}, "ends_at"),
        ({"ends": NOW + LONGEST + TICK}, "ends_at"),
        ({"ends": LONGEST + TICK}, "ends_at"),
        ({"ends": NOW + DAY, "granted_at": NOW - LONGEST}, "ends_at"),
        ({"granted_at": NOW + timedelta(minutes=2)}, "granted_at"),
    ],
)
def test_a_time_that_cannot_be_is_named(room: Room, terms: dict[str, datetime | timedelta], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        room.grant(**terms)
    assert caught.value.invalid[0]["where"] == f"body/{field}"
    assert room.rows() == []


def test_the_longest_time_and_a_clock_that_is_ahead_are_taken(room: Room) -> None:
    assert room.grant(ends=LONGEST).ends_at == NOW + LONGEST
    ahead = room.grant(at=NOW + DAY, granted_at=NOW + DAY + timedelta(seconds=30))
    assert ahead.granted_at == NOW + DAY, "it holds at once"


def test_a_bank_that_may_not_call_is_granted_nothing(room: Room) -> None:
    platform = access.create_client(room.engine, ClientKind.PLATFORM, "P", now=NOW).client.id
    access.revoke_client(room.engine, ClientKind.BANK, room.second, NOW)
    for nobody in ("bank-nobody", platform, room.second):
        with pytest.raises(BankUnknown):
            room.grant(bank_id=nobody)
    with transaction(room.engine) as connection:
        assert seller_key(connection, SELLER) is None


def test_a_consent_that_there_is_not_is_not_revoked_and_another_banks_not_found(room: Room) -> None:
    consent = room.grant()
    with transaction(room.engine, writes=True) as connection:
        with pytest.raises(ConsentUnknown):
            service.revoke_consent(connection, room.ledger, "no such", "platform-1")
        with pytest.raises(ConsentUnknown):
            service.find_consent(connection, room.second, consent.id)
        assert service.find_consent(connection, room.bank, consent.id) == consent


def test_a_bank_cannot_flood_and_asks_again_when_it_may(room: Room) -> None:
    first = room.ask()
    assert room.ask(NOW + DAY) == first
    assert room.ask(bank=room.second).id != first.id
    assert room.ask(seller_id="S-nobody").id != first.id
    declined = room.decline(first, NOW + DAY)
    assert room.decline(first, NOW + 2 * DAY) == declined
    assert room.ask(first.expires_at - TICK) == declined
    again = room.ask(first.expires_at)
    assert again.id != first.id
    room.grant(at=again.asked_at)
    assert room.ask(again.asked_at + DAY).id != again.id


def test_of_many_at_once_one_is_asked(room: Room) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len({request.id for request in pool.map(lambda _: room.ask(), range(24))}) == 1


def test_a_grant_answers_what_the_bank_asked_and_nobody_else(room: Room) -> None:
    request, other = room.ask(), room.ask(bank=room.second)
    consent = room.grant(at=NOW + DAY)
    with transaction(room.engine) as connection:
        answered = requests.find_request(connection, room.bank, request.id)
        assert (answered.consent_id, answered.state(NOW)) == (consent.id, "granted")
        assert requests.find_request(connection, None, other.id).state(NOW) == "pending"
        with pytest.raises(ConsentRequestUnknown):
            requests.find_request(connection, room.second, request.id)
        key = room.ledger.unwrapped(seller_key(connection, SELLER))
    assert json.loads(read_content(room.rows()[-1], key))["request_id"] == request.id
    with pytest.raises(ConsentRequestClosed):
        room.decline(request, NOW + DAY)


def test_a_request_that_was_declined_or_has_expired_is_not_granted_by_a_later_consent(room: Room) -> None:
    declined, expired = room.decline(room.ask()), room.ask(bank=room.second)
    assert expired.state(expired.expires_at - TICK) == "pending"
    assert expired.state(expired.expires_at) == "expired"
    with pytest.raises(ConsentRequestClosed):
        room.decline(expired, expired.expires_at)
    room.grant()
    room.grant(bank_id=room.second, at=expired.expires_at)
    with transaction(room.engine) as connection:
        assert [requests.find_request(connection, None, each.id).consent_id for each in (declined, expired)] == [
            None,
            None,
        ]


def test_an_act_from_before_the_revocation_brings_nothing_back(room: Room) -> None:
    acted = {"granted_at": NOW, "ends": 30 * DAY}
    first = room.grant(**acted)
    room.revoke(first, NOW + timedelta(hours=1))
    with pytest.raises(InvalidRequest):
        room.grant(at=NOW + timedelta(hours=2), **acted)
    with pytest.raises(ConsentRequired):
        room.required(NOW + timedelta(hours=2))
    again = room.grant(at=NOW + timedelta(hours=3), granted_at=NOW + timedelta(hours=2), ends=30 * DAY)
    assert room.required(NOW + timedelta(hours=3)).id == again.id
