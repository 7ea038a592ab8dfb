"""Consents and consent requests: grant, revoke and require; request and decline, in a transaction of the caller.

Both a change of a consent and its use for a score lock the bank's chain. So a score that is issued before a revocation
precedes it in the chain, and a later request finds the revocation.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from api.auth.clients import Client, ClientRecords
from api.consents import ledger_entries, repository
from api.consents.repository import Consent, ConsentRequest, ConsentRequestState, consent_requests, consents
from api.errors import (
    BankUnknown,
    ConsentRequestClosed,
    ConsentRequestUnknown,
    ConsentRequired,
    ConsentUnknown,
    InvalidRequest,
)
from api.kit.database import insert_row
from api.kit.fields import Clock, utc_now
from api.ledger.chain import EntryKind
from api.ledger.encryption import SellerKey
from api.ledger.store import EntryDraft, Ledger

LONGEST: Final = timedelta(days=366)
"""Longest duration of a consent. After that, the seller gives a new one."""


_CLOCKS_DIFFER: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class ConsentTerms:
    """The terms of a consent.

    `granted_at` is when the seller gave it, None for now. `ends` is the end, or the duration from `granted_at`.
    """

    seller_id: str
    bank_id: str
    purpose: str
    ends: datetime | timedelta
    granted_at: datetime | None = None


def require_active_consent(
    connection: Connection, seller_id: str, bank_id: str, purpose: str | None, clock: Clock
) -> Consent:
    """Return the active consent of a seller for a bank and purpose; for any purpose if None.

    Call it after the bank's chain is locked if a row is appended under the consent.

    Raises:
        ConsentRequired: there is no active consent; the same for an unknown seller.
    """
    consents = repository.unrevoked(connection, bank_id, [seller_id])[seller_id]
    # read the clock last: with an earlier time, a consent that was just renewed would start in the future
    return require_consent(consents, purpose, clock())


def require_consent(consents: Sequence[Consent], purpose: str | None, now: datetime) -> Consent:
    """Return the active one of a seller's unrevoked consents for a bank, which are in the order of `unrevoked`.

    Raises:
        ConsentRequired: none of them is active.
    """
    consent = repository.active_consent(consents, purpose, now)
    if consent is None:
        raise ConsentRequired
    return consent


def require_bank(connection: Connection, clients: ClientRecords, bank_id: str) -> Client:
    """Return a bank that can get a consent, as its signed entries record it.

    Args:
        connection: a writing transaction.
        clients: the records of the clients.
        bank_id: the ID of the bank.

    Raises:
        BankUnknown: the bank does not exist or is revoked.
    """
    bank = clients.find(connection, [bank_id]).get(bank_id)
    if bank is None or not bank.is_active_bank:
        raise BankUnknown
    return bank


def grant_consent(
    connection: Connection, ledger: Ledger, terms: ConsentTerms, by: str, clock: Clock = utc_now
) -> Consent:
    """Record a seller's consent in the table and the bank's chain, and grant a pending request of the bank.

    The consent replaces an active one for the same bank and purpose, so that a revocation leaves none active. If the
    same consent exists, it is returned.

    Call `require_bank` first, in the same transaction.

    Args:
        connection: a writing transaction.
        ledger: the ledger.
        terms: the terms of the consent.
        by: the recording client of the platform, or another recorder.
        clock: returns the current time; read after the chain is locked, so that times follow the order of the chain.

    Raises:
        InvalidRequest: the period is over, too long or in the future, or the seller has revoked such a consent since.
    """
    seller = ledger.seller(connection, terms.seller_id)
    ledger.lock_chain(connection, terms.bank_id)
    now = clock()
    consent = _consent(terms, by, now)
    unrevoked = repository.unrevoked(connection, terms.bank_id, [terms.seller_id])[terms.seller_id]
    before = repository.active_consent(unrevoked, terms.purpose, now)
    if before is not None:
        if (before.granted_at, before.ends_at) == (consent.granted_at, consent.ends_at):
            return before
        _revoke(connection, ledger, seller, before, (by, consent.id, now))
    elif terms.granted_at is not None and repository.is_revoked_since(connection, consent):
        # a late or repeated message must not restore a consent that the seller has revoked since
        raise _not_allowed("granted_at", "The seller has revoked the consent after that time. Send a later time")
    request = repository.ungranted(connection, (terms.seller_id, terms.bank_id, terms.purpose), now)
    insert_row(connection, consents, consent)
    request_id = None
    if request is not None and repository.close_request(connection, request.id, now, consent.id):
        request_id = request.id
    content = ledger_entries.consent_entry(consent, request_id)
    ledger.append(connection, seller, EntryDraft(consent.bank_id, EntryKind.CONSENT, content, now))
    return consent


def revoke_consent(connection: Connection, ledger: Ledger, consent_id: str, by: str, clock: Clock = utc_now) -> Consent:
    """Revoke a consent; no new score uses it. Revoking again changes nothing.

    Raises:
        ConsentUnknown: there is no consent with this ID.
    """
    unlocked = find_consent(connection, None, consent_id)
    seller = ledger.seller(connection, unlocked.seller_id)
    ledger.lock_chain(connection, unlocked.bank_id)
    # read again under the lock: an erasure or another revocation may have come first
    consent = find_consent(connection, None, consent_id)
    if consent.revoked_at is not None:
        return consent
    return _revoke(connection, ledger, seller, consent, (by, None, clock()))


def find_consent(connection: Connection, bank_id: str | None, consent_id: str) -> Consent:
    """Return a consent of a bank, or of any bank if `bank_id` is None.

    Raises:
        ConsentUnknown: there is no consent with this ID, or it is another bank's.
    """
    consent = repository.select_consent(connection, consent_id)
    if consent is None or bank_id not in {None, consent.bank_id}:
        raise ConsentUnknown
    return consent


def _revoke(
    connection: Connection, ledger: Ledger, seller: SellerKey, consent: Consent, act: tuple[str, str | None, datetime]
) -> Consent:
    by, replaced_by, now = act
    repository.store_revocation(connection, consent.id, now)
    content = ledger_entries.revocation_entry(consent, by, replaced_by)
    ledger.append(connection, seller, EntryDraft(consent.bank_id, EntryKind.REVOCATION, content, now))
    return replace(consent, revoked_at=now)


def _consent(terms: ConsentTerms, by: str, now: datetime) -> Consent:
    granted_at = terms.granted_at or now
    if granted_at > now + _CLOCKS_DIFFER:
        raise _not_allowed(
            "granted_at", "The time is in the future. Send the time when the seller gave the consent, or leave it out"
        )
    # if the caller's clock is ahead, the consent would not be active yet
    granted_at = min(granted_at, now)
    ends_at = granted_at + terms.ends if isinstance(terms.ends, timedelta) else terms.ends
    if ends_at <= now:
        raise _not_allowed("ends_at", "The consent would have ended already. Send a future time")
    if ends_at > granted_at + LONGEST:
        raise _not_allowed(
            "ends_at", f"A consent can last at most {LONGEST.days} days from granted_at. Send an earlier end"
        )
    return Consent(
        id=str(uuid.uuid4()),
        seller_id=terms.seller_id,
        bank_id=terms.bank_id,
        purpose=terms.purpose,
        granted_at=granted_at.astimezone(UTC),
        ends_at=ends_at.astimezone(UTC),
        revoked_at=None,
        recorded_at=now,
        recorded_by=by,
    )


def _not_allowed(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(invalid=[{"where": f"body/{field}", "rule": "consent_time", "message": message}])


REQUEST_DURATION: Final = timedelta(days=30)
"""How long a request is open. A declined request blocks a new one for the same time."""


def create_request(connection: Connection, bank_id: str, seller_id: str, purpose: str, now: datetime) -> ConsentRequest:
    """Record a bank's request for a seller's consent, whether the seller exists or not.

    A request that has not expired and is not granted is returned instead, also if it was declined.
    """
    repository.lock_bank(connection, bank_id)
    before = repository.ungranted(connection, (seller_id, bank_id, purpose), now)
    if before is not None:
        return before
    request = ConsentRequest(str(uuid.uuid4()), seller_id, bank_id, purpose, now, now + REQUEST_DURATION)
    insert_row(connection, consent_requests, request)
    return request


def find_request(connection: Connection, bank_id: str | None, request_id: str) -> ConsentRequest:
    """Return a request of a bank, or of any bank if `bank_id` is None.

    Raises:
        ConsentRequestUnknown: there is no request with this ID, or it is another bank's.
    """
    request = repository.select_request(connection, request_id)
    if request is None or bank_id not in {None, request.bank_id}:
        raise ConsentRequestUnknown
    return request


def decline_request(connection: Connection, request_id: str, now: datetime) -> ConsentRequest:
    """Record that the seller declines. Declining again changes nothing.

    Raises:
        ConsentRequestUnknown: there is no request with this ID.
        ConsentRequestClosed: the request was granted or has expired.
    """
    find_request(connection, None, request_id)
    declined = repository.close_request(connection, request_id, now, None)
    request = find_request(connection, None, request_id)
    if not declined and request.state(now) is not ConsentRequestState.DECLINED:
        raise ConsentRequestClosed
    return request
