"""The tables of consents and consent requests. The ledger has the same consents as evidence.

Both tables have seller IDs in plain text; erasing a seller deletes their rows. A request can name an unknown seller.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Select,
    String,
    Table,
    bindparam,
    delete,
    select,
    update,
)

from api.auth.clients import clients
from api.kit.database import UtcDateTime, metadata, row_to, write_rows
from api.kit.pagination import PagePosition, after_position

consents = Table(
    "consents",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("seller_id", String(200), nullable=False),
    Column("bank_id", String(60), nullable=False),
    Column("purpose", String(40), nullable=False),
    Column("granted_at", UtcDateTime(), nullable=False),
    Column("ends_at", UtcDateTime(), nullable=False),
    Column("revoked_at", UtcDateTime(), nullable=True),
    Column("recorded_at", UtcDateTime(), nullable=False),
    Column("recorded_by", String(60), nullable=False),
    Index("consents_seller", "seller_id", "bank_id", "purpose"),
    Index("consents_bank", "bank_id", "recorded_at", "id"),
    Index("consents_recorded", "recorded_at", "id"),
)


class ConsentState(StrEnum):
    """State of a consent."""

    IN_FORCE = "in_force"
    ENDED = "ended"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Consent:
    """A seller's consent for a bank and purpose, active from `granted_at` until `ends_at` or `revoked_at`.

    `recorded_by` is the client of the platform that recorded it at `recorded_at`, or another recorder.
    """

    id: str
    seller_id: str
    bank_id: str
    purpose: str
    granted_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    recorded_at: datetime
    recorded_by: str

    def state(self, now: datetime) -> ConsentState:
        """Return the state at a time that is not before `granted_at`."""
        if self.revoked_at is not None:
            return ConsentState.REVOKED
        return ConsentState.IN_FORCE if now < self.ends_at else ConsentState.ENDED


_to_consent = row_to(Consent)


@dataclass(frozen=True, slots=True)
class ConsentQuery:
    """A page of consents or requests, newest first; None is no condition."""

    bank_id: str | None
    seller_id: str | None
    state: str | None
    after: PagePosition | None
    limit: int


# built once: building a statement takes longer than running it
_UNREVOKED: Final = (
    select(consents)
    .where(
        consents.c.seller_id.in_(bindparam("sellers", expanding=True)),
        consents.c.bank_id == bindparam("bank"),
        consents.c.revoked_at.is_(None),
    )
    .order_by(consents.c.ends_at.desc(), consents.c.id)
)


def _same_key(table: Table, seller_id: str, bank_id: str, purpose: str) -> ColumnElement[bool]:
    return (table.c.seller_id == seller_id) & (table.c.bank_id == bank_id) & (table.c.purpose == purpose)


def is_revoked_since(connection: Connection, consent: Consent) -> bool:
    """Return whether a consent of the same seller, bank and purpose was revoked after this one was given."""
    same = _same_key(consents, consent.seller_id, consent.bank_id, consent.purpose)
    query = select(consents.c.id).where(same, consents.c.revoked_at >= consent.granted_at)
    return connection.execute(query).first() is not None


def active_consent(consents: Sequence[Consent], purpose: str | None, now: datetime) -> Consent | None:
    """Return the first of a seller's consents for a bank that is active; for any purpose if None."""
    active = (
        consent
        for consent in consents
        if purpose in {None, consent.purpose}
        and consent.granted_at <= now
        and consent.state(now) is ConsentState.IN_FORCE
    )
    return next(active, None)


def unrevoked(connection: Connection, bank_id: str, seller_ids: Sequence[str]) -> defaultdict[str, list[Consent]]:
    """Return the unrevoked consents of these sellers for a bank, latest end first.

    It reads no rows of other banks, so its duration does not show whether they have a consent.
    """
    by_seller = defaultdict[str, list[Consent]](list)
    for row in connection.execute(_UNREVOKED, {"bank": bank_id, "sellers": seller_ids}):
        by_seller[row.seller_id].append(_to_consent(row))
    return by_seller


def has_consented(connection: Connection, seller_id: str, bank_id: str) -> bool:
    """Return whether a seller ever gave a bank a consent, active or not; False for an erased seller."""
    query = select(consents.c.id).where(consents.c.seller_id == seller_id, consents.c.bank_id == bank_id).limit(1)
    return connection.execute(query).first() is not None


def select_consent(connection: Connection, consent_id: str) -> Consent | None:
    """Return the consent with the ID, or None."""
    return _to_consent(connection.execute(select(consents).where(consents.c.id == consent_id)).one_or_none())


def latest_consents(connection: Connection, seller_id: str, bank_id: str, purpose: str) -> Consent | None:
    """Return the last recorded consent, active or not."""
    query = select(consents).where(_same_key(consents, seller_id, bank_id, purpose))
    latest = query.order_by(consents.c.recorded_at.desc(), consents.c.id).limit(1)
    return _to_consent(connection.execute(latest).one_or_none())


def store_revocation(connection: Connection, consent_id: str, now: datetime) -> None:
    """Mark a consent as revoked."""
    write_rows(connection, update(consents).where(consents.c.id == consent_id).values(revoked_at=now), rows=1)


def list_consents(connection: Connection, query: ConsentQuery, now: datetime) -> Sequence[Consent]:
    """Return a page of consents, newest first, and one more if there is a next page."""
    statement = _page(consents.c.recorded_at, query, _consent_states(now))
    return [_to_consent(row) for row in connection.execute(statement)]


def _page(
    moment: Column[datetime], query: ConsentQuery, states: Mapping[Any, ColumnElement[bool]]
) -> Select[tuple[Any, ...]]:
    table = moment.table
    conditions = [
        column == value
        for column, value in ((table.c.bank_id, query.bank_id), (table.c.seller_id, query.seller_id))
        if value is not None
    ]
    if query.state is not None:
        conditions.append(states[query.state])
    if query.after is not None:
        conditions.append(after_position(moment, table.c.id, query.after))
    return select(table).where(*conditions).order_by(moment.desc(), table.c.id.desc()).limit(query.limit + 1)


def find_position(
    connection: Connection, moment: Column[datetime], bank_id: str | None, position: PagePosition
) -> PagePosition | None:
    """Return a position if the list of a bank, or of all banks, has a row there; else None."""
    table = moment.table
    query = select(table.c.id).where(table.c.id == position.id, moment == position.moment)
    if bank_id is not None:
        query = query.where(table.c.bank_id == bank_id)
    return None if connection.execute(query).first() is None else position


def delete_consents(connection: Connection, seller_id: str) -> tuple[int, int]:
    """Delete a seller's consents and consent requests, and return the number of each."""
    granted, requested = (
        connection.execute(delete(table).where(table.c.seller_id == seller_id)).rowcount
        for table in (consents, consent_requests)
    )
    return granted, requested


def _consent_states(now: datetime) -> dict[ConsentState, ColumnElement[bool]]:
    unrevoked = consents.c.revoked_at.is_(None)
    return {
        ConsentState.IN_FORCE: unrevoked & (consents.c.ends_at > now),
        ConsentState.ENDED: unrevoked & (consents.c.ends_at <= now),
        ConsentState.REVOKED: ~unrevoked,
    }


consent_requests = Table(
    "consent_requests",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("seller_id", String(200), nullable=False),
    Column("bank_id", String(60), nullable=False),
    Column("purpose", String(40), nullable=False),
    Column("asked_at", UtcDateTime(), nullable=False),
    Column("expires_at", UtcDateTime(), nullable=False),
    Column("declined_at", UtcDateTime(), nullable=True),
    Column("consent_id", String(36), nullable=True),
    Index("consent_requests_seller", "seller_id", "bank_id", "purpose"),
    Index("consent_requests_bank", "bank_id", "asked_at", "id"),
    Index("consent_requests_asked", "asked_at", "id"),
)


class ConsentRequestState(StrEnum):
    """State of a consent request."""

    PENDING = "pending"
    GRANTED = "granted"
    DECLINED = "declined"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """A bank's request for a seller's consent; `consent_id` is the consent that granted it."""

    id: str
    seller_id: str
    bank_id: str
    purpose: str
    asked_at: datetime
    expires_at: datetime
    declined_at: datetime | None = None
    consent_id: str | None = None

    def state(self, now: datetime) -> ConsentRequestState:
        """Return the state at a time."""
        if self.consent_id is not None:
            return ConsentRequestState.GRANTED
        if self.declined_at is not None:
            return ConsentRequestState.DECLINED
        return ConsentRequestState.PENDING if now < self.expires_at else ConsentRequestState.EXPIRED


_to_request = row_to(ConsentRequest)
_UNANSWERED: Final = consent_requests.c.consent_id.is_(None) & consent_requests.c.declined_at.is_(None)


def lock_bank(connection: Connection, bank_id: str) -> None:
    """Lock the requests of a bank until the transaction ends; tokens and scores do not wait for this lock."""
    connection.execute(select(clients.c.id).where(clients.c.id == bank_id).with_for_update(key_share=True)).one()


def select_request(connection: Connection, request_id: str) -> ConsentRequest | None:
    """Return the request with the ID, or None."""
    query = select(consent_requests).where(consent_requests.c.id == request_id)
    return _to_request(connection.execute(query).one_or_none())


def ungranted(connection: Connection, key: tuple[str, str, str], now: datetime) -> ConsentRequest | None:
    """Return the request of (seller, bank, purpose) that is neither expired nor granted; it may be declined."""
    query = select(consent_requests).where(
        _same_key(consent_requests, *key), consent_requests.c.consent_id.is_(None), consent_requests.c.expires_at > now
    )
    latest = query.order_by(consent_requests.c.asked_at.desc(), consent_requests.c.id).limit(1)
    return _to_request(connection.execute(latest).one_or_none())


def close_request(connection: Connection, request_id: str, now: datetime, consent_id: str | None) -> bool:
    """Mark an open request as granted by a consent, or as declined if None; return whether it was open."""
    values = {"declined_at": now} if consent_id is None else {"consent_id": consent_id}
    is_open = (consent_requests.c.id == request_id) & _UNANSWERED & (consent_requests.c.expires_at > now)
    return connection.execute(update(consent_requests).where(is_open).values(**values)).rowcount == 1


def list_requests(connection: Connection, query: ConsentQuery, now: datetime) -> Sequence[ConsentRequest]:
    """Return a page of requests, newest first, and one more if there is a next page."""
    statement = _page(consent_requests.c.asked_at, query, _request_states(now))
    return [_to_request(row) for row in connection.execute(statement)]


def _request_states(now: datetime) -> dict[ConsentRequestState, ColumnElement[bool]]:
    return {
        ConsentRequestState.PENDING: _UNANSWERED & (consent_requests.c.expires_at > now),
        ConsentRequestState.EXPIRED: _UNANSWERED & (consent_requests.c.expires_at <= now),
        ConsentRequestState.DECLINED: consent_requests.c.consent_id.is_(None)
        & consent_requests.c.declined_at.is_not(None),
        ConsentRequestState.GRANTED: consent_requests.c.consent_id.is_not(None),
    }
