"""Grant, revoke and require consents, each within the caller's transaction; nothing here knows of HTTP.

Consents of a bank change, and are looked up for a score, by who holds the bank's chain: so what was scored before a
revocation stands before it in the chain, and what comes after finds it.

Ask for a consent, and decline; granting one is `api.consents.service.grant`, which answers what was asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.consents import ledger_entries, repository
from api.consents import repository as requests
from api.consents.repository import Consent, ConsentRequest, ConsentRequestState
from api.errors import (
    BankUnknown,
    ConsentRequestClosed,
    ConsentRequestUnknown,
    ConsentRequired,
    ConsentUnknown,
    InvalidRequest,
)
from api.kit.fields import Clock
from api.ledger.chain import EntryKind
from api.ledger.encryption import SellerKey
from api.ledger.store import EntryDraft, Ledger

LONGEST: Final = timedelta(days=366)
"""A seller cannot agree to more at once; who still agrees then says so again."""


_CLOCKS_DIFFER: Final = timedelta(minutes=1)


def utc_now() -> datetime:
    """Return the moment, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class ConsentTerms:
    """What a seller agrees to.

    `granted_at` is when the seller acted, None for now; `ends` is the moment at which it holds no more, or how long
    after `granted_at` that is.
    """

    seller_id: str
    bank_id: str
    purpose: str
    ends: datetime | timedelta
    granted_at: datetime | None = None


def require_active_consent(
    connection: Connection, seller_id: str, bank_id: str, purpose: str | None, clock: Clock
) -> Consent:
    """Return the consent by which a bank may score a seller for a purpose now, or look at them (None) for any.

    Before what is appended by it: after `Ledger.hold`, so that a revocation was committed before, or comes after.

    Raises:
        ConsentRequired: there is none in force; an unknown seller has none either.
    """
    among = repository.unrevoked(connection, [seller_id]).get(seller_id, ())
    # read afterwards: by a moment before, a consent that was renewed meanwhile would lie ahead
    return require_consent(among, bank_id, purpose, clock())


def require_consent(among: Sequence[Consent], bank_id: str, purpose: str | None, now: datetime) -> Consent:
    """Return the one of a seller's consents that `require` would; they are unrevoked, and in the order of reading.

    Raises:
        ConsentRequired: none of them is in force.
    """
    found = repository.active_consent(among, bank_id, purpose, now)
    if found is None:
        raise ConsentRequired
    return found


def grant_consent(
    connection: Connection, ledger: Ledger, terms: ConsentTerms, by: str, clock: Clock = utc_now
) -> Consent:
    """Record a seller's consent, in the table and in the bank's chain, and answer what the bank had asked.

    It takes the place of one that is in force for the same bank and purpose, so that revoking leaves none behind; the
    very same again is the one that there is.

    Args:
        connection: of a transaction that writes.
        ledger: that holds the bank's chain.
        terms: what the seller agrees to.
        by: who records it: a client of the platform, or what else does.
        clock: read once the bank's chain is held, so that moments are in its order.

    Raises:
        BankUnknown: there is no such bank, or it is revoked.
        InvalidRequest: the time is over, too long, or begins ahead; or the seller ended such a consent since.
    """
    _require_bank(connection, terms.bank_id)
    seller = ledger.seller(connection, terms.seller_id)
    ledger.lock_chain(connection, terms.bank_id)
    now = clock()
    consent = _consent(terms, by, now)
    before = repository.is_in_force(connection, terms.seller_id, terms.bank_id, terms.purpose, now)
    if before is not None:
        if (before.granted_at, before.ends_at) == (consent.granted_at, consent.ends_at):
            return before
        _revoke(connection, ledger, seller, before, (by, consent.id, now))
    elif terms.granted_at is not None and repository.ended_since(connection, consent):
        # a message that comes late or twice must not bring back what the seller ended since
        raise _not_allowed("granted_at", "The seller revoked after that moment; give the moment of a later act")
    asked = requests.ungranted(connection, (terms.seller_id, terms.bank_id, terms.purpose), now)
    repository.insert_consent(connection, consent)
    request_id = None
    if asked is not None and requests.close_request(connection, asked.id, now, consent.id):
        request_id = asked.id
    content = ledger_entries.consent_entry(consent, request_id)
    ledger.append(connection, seller, EntryDraft(consent.bank_id, EntryKind.CONSENT, content, now))
    return consent


def revoke_consent(connection: Connection, ledger: Ledger, consent_id: str, by: str, clock: Clock = utc_now) -> Consent:
    """Revoke a consent: nothing is scored by it from now on. Once more changes nothing.

    Raises:
        ConsentUnknown: there is none under the id.
    """
    found = find_consent(connection, None, consent_id)
    seller = ledger.seller(connection, found.seller_id)
    ledger.lock_chain(connection, found.bank_id)
    # read again, since an erasure or another revocation may have come first
    consent = find_consent(connection, None, consent_id)
    if consent.revoked_at is not None:
        return consent
    return _revoke(connection, ledger, seller, consent, (by, None, clock()))


def find_consent(connection: Connection, bank_id: str | None, consent_id: str) -> Consent:
    """Return a consent, a bank's own where it is a bank that wants it.

    Raises:
        ConsentUnknown: there is none under the id, or it is another bank's.
    """
    found = repository.select_consent(connection, consent_id)
    if found is None or bank_id not in {None, found.bank_id}:
        raise ConsentUnknown
    return found


def forget_consents(connection: Connection, seller_id: str) -> tuple[int, int]:
    """Remove a seller's consents and what banks asked of them, and return how many there were of each."""
    return repository.delete_consents(connection, seller_id), requests.delete_requests(connection, seller_id)


def _revoke(
    connection: Connection, ledger: Ledger, seller: SellerKey, consent: Consent, act: tuple[str, str | None, datetime]
) -> Consent:
    by, replaced_by, now = act
    repository.store_revocation(connection, consent.id, now)
    content = ledger_entries.revocation_entry(consent, by, replaced_by)
    ledger.append(connection, seller, EntryDraft(consent.bank_id, EntryKind.REVOCATION, content, now))
    return replace(consent, revoked_at=now)


def _require_bank(connection: Connection, bank_id: str) -> None:
    client = access.find_client(connection, bank_id)
    if client is None or client.kind is not ClientKind.BANK or client.revoked_at is not None:
        raise BankUnknown


def _consent(terms: ConsentTerms, by: str, now: datetime) -> Consent:
    granted_at = terms.granted_at or now
    if granted_at > now + _CLOCKS_DIFFER:
        raise _not_allowed("granted_at", "It lies ahead; give the moment at which the seller acted, or leave it out")
    # where a clock is ahead of ours, a consent would not hold yet
    granted_at = min(granted_at, now)
    ends_at = granted_at + terms.ends if isinstance(terms.ends, timedelta) else terms.ends
    if ends_at <= now:
        raise _not_allowed("ends_at", "The consent would have ended already; give a moment ahead")
    if ends_at > granted_at + LONGEST:
        raise _not_allowed("ends_at", f"A consent may hold for {LONGEST.days} days from granted_at at most")
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


MOST_OPEN_REQUESTS: Final = timedelta(days=30)
"""How long a request waits for the seller, and how long one that was declined keeps the bank from asking again."""


def create_request(connection: Connection, bank_id: str, seller_id: str, purpose: str, now: datetime) -> ConsentRequest:
    """Record that a bank asks for a seller's consent, whether there is such a seller or not.

    A request that is still open, or was declined and would be open by now, is the answer to asking once more.
    """
    repository.lock_bank(connection, bank_id)
    before = repository.ungranted(connection, (seller_id, bank_id, purpose), now)
    if before is not None:
        return before
    request = ConsentRequest(str(uuid.uuid4()), seller_id, bank_id, purpose, now, now + MOST_OPEN_REQUESTS)
    repository.insert_request(connection, request)
    return request


def find_request(connection: Connection, bank_id: str | None, request_id: str) -> ConsentRequest:
    """Return a request, a bank's own where it is a bank that wants it.

    Raises:
        ConsentRequestUnknown: there is none under the id, or it is another bank's.
    """
    request = repository.select_request(connection, request_id)
    if request is None or bank_id not in {None, request.bank_id}:
        raise ConsentRequestUnknown
    return request


def decline_request(connection: Connection, request_id: str, now: datetime) -> ConsentRequest:
    """Record that the seller declines; once more changes nothing.

    Raises:
        ConsentRequestUnknown: there is none under the id.
        ConsentRequestClosed: it was granted, or has expired.
    """
    find_request(connection, None, request_id)
    declined = repository.close_request(connection, request_id, now, None)
    request = find_request(connection, None, request_id)
    if not declined and request.state(now) is not ConsentRequestState.DECLINED:
        raise ConsentRequestClosed
    return request
