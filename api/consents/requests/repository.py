"""The table of consent requests. It says nothing of whether the seller whom a bank names exists."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Index, Row, String, Table, delete, insert, select, update

from api.access.repository import clients
from api.consents.repository import Wanted
from api.cursors import After, following
from api.database import UtcDateTime, metadata

requests = Table(
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


class State(StrEnum):
    """What became of a request."""

    PENDING = "pending"
    GRANTED = "granted"
    DECLINED = "declined"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Request:
    """A bank asks for a seller's consent; `consent_id` is the consent that answered it."""

    id: str
    seller_id: str
    bank_id: str
    purpose: str
    asked_at: datetime
    expires_at: datetime
    declined_at: datetime | None = None
    consent_id: str | None = None

    def state(self, now: datetime) -> State:
        """Return what became of it by a moment."""
        if self.consent_id is not None:
            return State.GRANTED
        if self.declined_at is not None:
            return State.DECLINED
        return State.PENDING if now < self.expires_at else State.EXPIRED


_UNANSWERED: Final = requests.c.consent_id.is_(None) & requests.c.declined_at.is_(None)


def lock_bank(connection: Connection, bank_id: str) -> None:
    """Let a bank ask one thing at a time, until the transaction ends; tokens and scores wait for nothing."""
    connection.execute(select(clients.c.id).where(clients.c.id == bank_id).with_for_update(key_share=True)).one()


def add(connection: Connection, request: Request) -> None:
    """Store a request under its id, which is new."""
    values = {name: getattr(request, name) for name in requests.c.keys()}  # noqa: SIM118 - names, not columns
    connection.execute(insert(requests).values(**values))


def find(connection: Connection, request_id: str) -> Request | None:
    """Return the request with the id, or None."""
    found = connection.execute(select(requests).where(requests.c.id == request_id)).one_or_none()
    return None if found is None else _read(found)


def ungranted(connection: Connection, of: tuple[str, str, str], now: datetime) -> Request | None:
    """Return the request of (seller, bank, purpose) that has not expired and was not granted, declined or not."""
    seller_id, bank_id, purpose = of
    wanted = select(requests).where(
        requests.c.seller_id == seller_id,
        requests.c.bank_id == bank_id,
        requests.c.purpose == purpose,
        requests.c.consent_id.is_(None),
        requests.c.expires_at > now,
    )
    found = connection.execute(wanted.order_by(requests.c.asked_at.desc(), requests.c.id).limit(1)).one_or_none()
    return None if found is None else _read(found)


def answer(connection: Connection, request_id: str, now: datetime, consent_id: str | None) -> bool:
    """Mark a request as granted by a consent, or as declined; of two answers at once the first counts.

    Returns whether it was still open.
    """
    values = {"declined_at": now} if consent_id is None else {"consent_id": consent_id}
    still = (requests.c.id == request_id) & _UNANSWERED & (requests.c.expires_at > now)
    return connection.execute(update(requests).where(still).values(**values)).rowcount == 1


def listed(connection: Connection, wanted: Wanted, now: datetime) -> Sequence[Request]:
    """Return a page of requests, newest first, and one more where there is a next page."""
    conditions = [
        column == value
        for column, value in ((requests.c.bank_id, wanted.bank_id), (requests.c.seller_id, wanted.seller_id))
        if value is not None
    ]
    if wanted.state is not None:
        conditions.append(_states(now)[State(wanted.state)])
    if wanted.after is not None:
        conditions.append(following(requests.c.asked_at, requests.c.id, wanted.after))
    order = (requests.c.asked_at.desc(), requests.c.id.desc())
    query = select(requests).where(*conditions).order_by(*order).limit(wanted.limit + 1)
    return [_read(found) for found in connection.execute(query)]


def is_listed(connection: Connection, bank_id: str | None, place: After) -> bool:
    """Return whether a request stands at a place in the list of a bank, or in that of all."""
    found = find(connection, place.id)
    return found is not None and found.asked_at == place.moment and bank_id in {None, found.bank_id}


def forget(connection: Connection, seller_id: str) -> int:
    """Remove what was asked of a seller, and return how many requests there were."""
    return connection.execute(delete(requests).where(requests.c.seller_id == seller_id)).rowcount


def _states(now: datetime) -> dict[State, ColumnElement[bool]]:
    return {
        State.PENDING: _UNANSWERED & (requests.c.expires_at > now),
        State.EXPIRED: _UNANSWERED & (requests.c.expires_at <= now),
        State.DECLINED: requests.c.consent_id.is_(None) & requests.c.declined_at.is_not(None),
        State.GRANTED: requests.c.consent_id.is_not(None),
    }


def _read(found: Row[Any]) -> Request:
    return Request(**found._mapping)
