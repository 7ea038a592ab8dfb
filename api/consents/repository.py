"""The table of consents: what is looked up at every score. The ledger holds the same, so that it can be proved.

A seller's id stands here in clear; erasing the seller removes their rows.

The table of consent requests. It says nothing of whether the seller whom a bank names exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Row,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from api.auth.clients import clients
from api.kit.database import UtcDateTime, metadata
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
    """Whether a consent holds."""

    IN_FORCE = "in_force"
    ENDED = "ended"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Consent:
    """A seller lets a bank score them for a purpose, from `granted_at` up to and not at `ends_at`, or `revoked_at`.

    `recorded_by` is the client of the platform that recorded the seller's act at `recorded_at`, or what else did.
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
        """Return whether it holds at a moment that is not before it was granted."""
        if self.revoked_at is not None:
            return ConsentState.REVOKED
        return ConsentState.IN_FORCE if now < self.ends_at else ConsentState.ENDED


@dataclass(frozen=True, slots=True)
class ConsentQuery:
    """Which consents or requests to list, newest first; None leaves a condition out."""

    bank_id: str | None
    seller_id: str | None
    state: str | None
    after: PagePosition | None
    limit: int


# built once: making a statement takes longer than running it
_UNREVOKED: Final = (
    select(consents)
    .where(consents.c.seller_id.in_(bindparam("sellers", expanding=True)), consents.c.revoked_at.is_(None))
    .order_by(consents.c.ends_at.desc(), consents.c.id)
)


_ENDED_SINCE: Final = select(consents.c.id).where(
    consents.c.seller_id == bindparam("seller"),
    consents.c.bank_id == bindparam("bank"),
    consents.c.purpose == bindparam("purpose"),
    consents.c.revoked_at >= bindparam("acted", type_=UtcDateTime()),
)


def ended_since(connection: Connection, consent: Consent) -> bool:
    """Return whether one of the same seller, bank and purpose was revoked or replaced after this one was given."""
    asked = {"seller": consent.seller_id, "bank": consent.bank_id, "purpose": consent.purpose}
    return connection.execute(_ENDED_SINCE, {**asked, "acted": consent.granted_at}).first() is not None


def is_in_force(
    connection: Connection, seller_id: str, bank_id: str, purpose: str | None, now: datetime
) -> Consent | None:
    """Return the consent of a seller for a bank that holds at a moment, the one that ends last; None is any purpose."""
    return active_consent(unrevoked(connection, [seller_id]).get(seller_id, ()), bank_id, purpose, now)


def active_consent(among: Sequence[Consent], bank_id: str, purpose: str | None, now: datetime) -> Consent | None:
    """Return the first of a seller's consents that holds for a bank at a moment; None is any purpose."""
    fit = (
        each
        for each in among
        if each.bank_id == bank_id
        and purpose in {None, each.purpose}
        and each.granted_at <= now
        and each.state(now) is ConsentState.IN_FORCE
    )
    return next(fit, None)


def unrevoked(connection: Connection, seller_ids: Sequence[str]) -> dict[str, list[Consent]]:
    """Return the consents of these sellers that nobody revoked, for all banks; those that end last come first."""
    found: dict[str, list[Consent]] = {}
    for each in connection.execute(_UNREVOKED, {"sellers": seller_ids}):
        consent = _consent(each)
        found.setdefault(consent.seller_id, []).append(consent)
    return found


def insert_consent(connection: Connection, consent: Consent) -> None:
    """Store a consent under its id, which is new."""
    values = {name: getattr(consent, name) for name in consents.c.keys()}  # noqa: SIM118 - names, not columns
    connection.execute(insert(consents).values(**values))


def select_consent(connection: Connection, consent_id: str) -> Consent | None:
    """Return the consent with the id, or None."""
    found = connection.execute(select(consents).where(consents.c.id == consent_id)).one_or_none()
    return None if found is None else _consent(found)


def latest_consents(connection: Connection, seller_id: str, bank_id: str, purpose: str) -> Consent | None:
    """Return the consent that was recorded last, whether it still holds or not."""
    wanted = select(consents).where(
        consents.c.seller_id == seller_id, consents.c.bank_id == bank_id, consents.c.purpose == purpose
    )
    found = connection.execute(wanted.order_by(consents.c.recorded_at.desc(), consents.c.id).limit(1)).one_or_none()
    return None if found is None else _consent(found)


def store_revocation(connection: Connection, consent_id: str, now: datetime) -> None:
    """Mark a consent as revoked."""
    connection.execute(update(consents).where(consents.c.id == consent_id).values(revoked_at=now))


def list_consents(connection: Connection, wanted: ConsentQuery, now: datetime) -> Sequence[Consent]:
    """Return a page of consents, newest first, and one more where there is a next page."""
    conditions = [
        column == value
        for column, value in ((consents.c.bank_id, wanted.bank_id), (consents.c.seller_id, wanted.seller_id))
        if value is not None
    ]
    if wanted.state is not None:
        conditions.append(_consent_states(now)[ConsentState(wanted.state)])
    if wanted.after is not None:
        conditions.append(after_position(consents.c.recorded_at, consents.c.id, wanted.after))
    order = (consents.c.recorded_at.desc(), consents.c.id.desc())
    query = select(consents).where(*conditions).order_by(*order).limit(wanted.limit + 1)
    return [_consent(found) for found in connection.execute(query)]


def is_consent_listed(connection: Connection, bank_id: str | None, place: PagePosition) -> bool:
    """Return whether a consent stands at a place in the list of a bank, or in that of all."""
    found = select_consent(connection, place.id)
    return found is not None and found.recorded_at == place.moment and bank_id in {None, found.bank_id}


def delete_consents(connection: Connection, seller_id: str) -> int:
    """Remove a seller's consents, and return how many there were."""
    return connection.execute(delete(consents).where(consents.c.seller_id == seller_id)).rowcount


def _consent_states(now: datetime) -> dict[ConsentState, ColumnElement[bool]]:
    unrevoked = consents.c.revoked_at.is_(None)
    return {
        ConsentState.IN_FORCE: unrevoked & (consents.c.ends_at > now),
        ConsentState.ENDED: unrevoked & (consents.c.ends_at <= now),
        ConsentState.REVOKED: ~unrevoked,
    }


def _consent(found: Row[Any]) -> Consent:
    return Consent(**found._mapping)


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
    """What became of a request."""

    PENDING = "pending"
    GRANTED = "granted"
    DECLINED = "declined"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """A bank asks for a seller's consent; `consent_id` is the consent that answered it."""

    id: str
    seller_id: str
    bank_id: str
    purpose: str
    asked_at: datetime
    expires_at: datetime
    declined_at: datetime | None = None
    consent_id: str | None = None

    def state(self, now: datetime) -> ConsentRequestState:
        """Return what became of it by a moment."""
        if self.consent_id is not None:
            return ConsentRequestState.GRANTED
        if self.declined_at is not None:
            return ConsentRequestState.DECLINED
        return ConsentRequestState.PENDING if now < self.expires_at else ConsentRequestState.EXPIRED


_UNANSWERED: Final = consent_requests.c.consent_id.is_(None) & consent_requests.c.declined_at.is_(None)


def lock_bank(connection: Connection, bank_id: str) -> None:
    """Let a bank ask one thing at a time, until the transaction ends; tokens and scores wait for nothing."""
    connection.execute(select(clients.c.id).where(clients.c.id == bank_id).with_for_update(key_share=True)).one()


def insert_request(connection: Connection, request: ConsentRequest) -> None:
    """Store a request under its id, which is new."""
    values = {name: getattr(request, name) for name in consent_requests.c.keys()}  # noqa: SIM118 - names, not columns
    connection.execute(insert(consent_requests).values(**values))


def select_request(connection: Connection, request_id: str) -> ConsentRequest | None:
    """Return the request with the id, or None."""
    found = connection.execute(select(consent_requests).where(consent_requests.c.id == request_id)).one_or_none()
    return None if found is None else _request(found)


def ungranted(connection: Connection, of: tuple[str, str, str], now: datetime) -> ConsentRequest | None:
    """Return the request of (seller, bank, purpose) that has not expired and was not granted, declined or not."""
    seller_id, bank_id, purpose = of
    wanted = select(consent_requests).where(
        consent_requests.c.seller_id == seller_id,
        consent_requests.c.bank_id == bank_id,
        consent_requests.c.purpose == purpose,
        consent_requests.c.consent_id.is_(None),
        consent_requests.c.expires_at > now,
    )
    found = connection.execute(
        wanted.order_by(consent_requests.c.asked_at.desc(), consent_requests.c.id).limit(1)
    ).one_or_none()
    return None if found is None else _request(found)


def close_request(connection: Connection, request_id: str, now: datetime, consent_id: str | None) -> bool:
    """Mark a request as granted by a consent, or as declined; of two answers at once the first counts.

    Returns whether it was still open.
    """
    values = {"declined_at": now} if consent_id is None else {"consent_id": consent_id}
    still = (consent_requests.c.id == request_id) & _UNANSWERED & (consent_requests.c.expires_at > now)
    return connection.execute(update(consent_requests).where(still).values(**values)).rowcount == 1


def list_requests(connection: Connection, wanted: ConsentQuery, now: datetime) -> Sequence[ConsentRequest]:
    """Return a page of requests, newest first, and one more where there is a next page."""
    conditions = [
        column == value
        for column, value in (
            (consent_requests.c.bank_id, wanted.bank_id),
            (consent_requests.c.seller_id, wanted.seller_id),
        )
        if value is not None
    ]
    if wanted.state is not None:
        conditions.append(_request_states(now)[ConsentRequestState(wanted.state)])
    if wanted.after is not None:
        conditions.append(after_position(consent_requests.c.asked_at, consent_requests.c.id, wanted.after))
    order = (consent_requests.c.asked_at.desc(), consent_requests.c.id.desc())
    query = select(consent_requests).where(*conditions).order_by(*order).limit(wanted.limit + 1)
    return [_request(found) for found in connection.execute(query)]


def is_request_listed(connection: Connection, bank_id: str | None, place: PagePosition) -> bool:
    """Return whether a request stands at a place in the list of a bank, or in that of all."""
    found = select_request(connection, place.id)
    return found is not None and found.asked_at == place.moment and bank_id in {None, found.bank_id}


def delete_requests(connection: Connection, seller_id: str) -> int:
    """Remove what was asked of a seller, and return how many requests there were."""
    return connection.execute(delete(consent_requests).where(consent_requests.c.seller_id == seller_id)).rowcount


def _request_states(now: datetime) -> dict[ConsentRequestState, ColumnElement[bool]]:
    return {
        ConsentRequestState.PENDING: _UNANSWERED & (consent_requests.c.expires_at > now),
        ConsentRequestState.EXPIRED: _UNANSWERED & (consent_requests.c.expires_at <= now),
        ConsentRequestState.DECLINED: consent_requests.c.consent_id.is_(None)
        & consent_requests.c.declined_at.is_not(None),
        ConsentRequestState.GRANTED: consent_requests.c.consent_id.is_not(None),
    }


def _request(found: Row[Any]) -> ConsentRequest:
    return ConsentRequest(**found._mapping)
