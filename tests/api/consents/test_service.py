"""Granting, revoking and requesting consents, on each database."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from api.auth.clients import clients
from api.auth.scopes import ClientKind
from api.clients.service import ClientRegister
from api.consents import service
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
from tests.api.consents.conftest import DAY, OTHER, SELLER, TICK, Register
from tests.api.ledger.conftest import NOW
from tests.api.started import RING

pytestmark = pytest.mark.databases


def test_a_consent_is_active_from_its_grant_until_before_its_end(register: Register) -> None:
    granted = NOW - 2 * DAY
    consent = register.grant(granted_at=granted, ends=NOW + DAY)
    assert (consent.granted_at, consent.ends_at, consent.recorded_at) == (granted, NOW + DAY, NOW)
    for moment in (granted, NOW, NOW + DAY - TICK):
        assert register.require(moment) == consent
    for moment in (granted - TICK, NOW + DAY, NOW + 99 * DAY):
        with pytest.raises(ConsentRequired):
            register.require(moment)


@pytest.mark.parametrize("other", [{"seller_id": "卖家-2"}, {"bank_id": "second"}, {"purpose": OTHER}])
def test_a_consent_of_another_seller_bank_or_purpose_does_not_count(register: Register, other: dict[str, str]) -> None:
    register.grant(**{name: register.second if value == "second" else value for name, value in other.items()})
    with pytest.raises(ConsentRequired):
        register.require()


def test_a_profile_needs_a_consent_for_any_purpose(register: Register) -> None:
    with pytest.raises(ConsentRequired):
        register.require(purpose=None)
    register.grant(purpose=OTHER, ends=9 * DAY)
    last = register.grant(ends=10 * DAY)
    assert register.require(purpose=None) == last
    for at, bank in ((NOW, register.second), (NOW + 10 * DAY, register.bank)):
        with pytest.raises(ConsentRequired):
            register.require(at, None, bank)


def test_a_revocation_applies_at_once_and_is_recorded_once(register: Register) -> None:
    consent = register.grant()
    revoked = register.revoke(consent, NOW + TICK)
    assert revoked.revoked_at == NOW + TICK
    with pytest.raises(ConsentRequired):
        register.require(NOW + 2 * TICK)
    assert register.revoke(consent, NOW + DAY) == revoked
    assert register.kinds() == ["consent", "revocation"]
    assert register.faults() == []


def test_a_newer_consent_replaces_the_older_and_its_revocation_leaves_none(register: Register) -> None:
    old, other = register.grant(), register.grant(purpose=OTHER)
    new = register.grant(at=NOW + DAY, ends=60 * DAY)
    assert register.require(NOW + 2 * DAY) == new
    assert register.find(old).revoked_at == NOW + DAY
    (revocation,) = (row for row in register.rows() if row.header.kind == "revocation")
    expected = {"consent_id": old.id, "recorded_by": "platform-1", "replaced_by": new.id}
    assert json.loads(register.content(revocation)) == expected
    register.revoke(new, NOW + 2 * DAY)
    with pytest.raises(ConsentRequired):
        register.require(NOW + 3 * DAY)
    assert register.require(NOW + 3 * DAY, OTHER) == other
    assert register.faults() == []


def test_the_same_terms_again_return_the_existing_consent(register: Register) -> None:
    first = register.grant(granted_at=NOW - DAY)
    assert register.grant(at=NOW + DAY, granted_at=NOW - DAY) == first
    assert register.grant(at=NOW + DAY, granted_at=NOW - DAY + TICK) != first
    ended = NOW + 100 * DAY
    assert register.grant(at=ended).recorded_at == ended
    assert register.kinds() == ["consent", "revocation", "consent", "consent"]
    assert register.faults() == []


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"ends": NOW}, "ends_at"),
        ({"ends": DAY, "granted_at": NOW - DAY}, "ends_at"),
        ({"ends": NOW + LONGEST + TICK}, "ends_at"),
        ({"ends": LONGEST + TICK}, "ends_at"),
        ({"ends": NOW + DAY, "granted_at": NOW - LONGEST}, "ends_at"),
        ({"granted_at": NOW + timedelta(minutes=2)}, "granted_at"),
    ],
)
def test_a_time_that_is_not_allowed_is_named(
    register: Register, terms: dict[str, datetime | timedelta], field: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        register.grant(**terms)
    assert error.value.invalid[0]["where"] == f"body/{field}"
    assert register.rows() == []


def test_the_longest_duration_and_a_clock_that_is_ahead_are_allowed(register: Register) -> None:
    assert register.grant(ends=LONGEST).ends_at == NOW + LONGEST
    ahead = register.grant(at=NOW + DAY, granted_at=NOW + DAY + timedelta(seconds=30))
    assert ahead.granted_at == NOW + DAY, "it is active at once"


def test_only_an_active_bank_can_be_granted_a_consent(register: Register) -> None:
    platform = ClientRegister(register.engine, RING).create(ClientKind.PLATFORM, "P", now=NOW).client.id
    ClientRegister(register.engine, RING).revoke(ClientKind.BANK, register.second, NOW)
    for unknown in ("bank-nobody", platform, register.second):
        with transaction(register.engine, writes=True) as connection:
            # the table alone is not trusted
            connection.execute(clients.update().where(clients.c.id == unknown).values(kind="bank", revoked_at=None))
        with pytest.raises(BankUnknown):
            register.grant(bank_id=unknown)
    with transaction(register.engine) as connection:
        assert seller_key(connection, SELLER) is None


def test_an_unknown_consent_or_one_of_another_bank_is_not_found(register: Register) -> None:
    consent = register.grant()
    with transaction(register.engine, writes=True) as connection:
        with pytest.raises(ConsentUnknown):
            service.revoke_consent(connection, register.ledger, "no such", "platform-1")
        with pytest.raises(ConsentUnknown):
            service.find_consent(connection, register.second, consent.id)
        assert service.find_consent(connection, register.bank, consent.id) == consent


def test_one_request_per_seller_and_purpose_is_open_until_it_expires(register: Register) -> None:
    with ThreadPoolExecutor(8) as pool:
        (first,) = set(pool.map(lambda _: register.request(), range(24)))
    assert register.request(NOW + DAY) == first
    assert register.request(bank=register.second).id != first.id
    assert register.request(seller_id="S-nobody").id != first.id
    declined = register.decline(first, NOW + DAY)
    assert register.decline(first, NOW + 2 * DAY) == declined
    assert register.request(first.expires_at - TICK) == declined
    second = register.request(first.expires_at)
    assert second.id != first.id
    register.grant(at=second.asked_at)
    assert register.request(second.asked_at + DAY).id != second.id


def test_a_consent_grants_the_request_of_its_bank(register: Register) -> None:
    request, other = register.request(), register.request(bank=register.second)
    consent = register.grant(at=NOW + DAY)
    granted = register.find_request(request, register.bank)
    assert (granted.consent_id, granted.state(NOW)) == (consent.id, "granted")
    assert register.find_request(other).state(NOW) == "pending"
    with pytest.raises(ConsentRequestUnknown):
        register.find_request(request, register.second)
    assert json.loads(register.content(register.rows()[-1]))["request_id"] == request.id
    with pytest.raises(ConsentRequestClosed):
        register.decline(request, NOW + DAY)


def test_a_later_consent_does_not_grant_a_declined_or_expired_request(register: Register) -> None:
    declined, expired = register.decline(register.request()), register.request(bank=register.second)
    assert expired.state(expired.expires_at - TICK) == "pending"
    assert expired.state(expired.expires_at) == "expired"
    with pytest.raises(ConsentRequestClosed):
        register.decline(expired, expired.expires_at)
    register.grant()
    register.grant(bank_id=register.second, at=expired.expires_at)
    assert [register.find_request(request).consent_id for request in (declined, expired)] == [None, None]


def test_a_late_message_does_not_restore_a_revoked_consent(register: Register) -> None:
    terms = {"granted_at": NOW, "ends": 30 * DAY}
    hour = timedelta(hours=1)
    register.revoke(register.grant(**terms), NOW + hour)
    with pytest.raises(InvalidRequest):
        register.grant(at=NOW + 2 * hour, **terms)
    with pytest.raises(ConsentRequired):
        register.require(NOW + 2 * hour)
    new = register.grant(at=NOW + 3 * hour, granted_at=NOW + 2 * hour, ends=30 * DAY)
    assert register.require(NOW + 3 * hour).id == new.id
