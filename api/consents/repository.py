"""The table of consents: what is looked up at every score. The ledger holds the same, so that it can be proved.

A seller's id stands here in clear; erasing the seller removes their rows.
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

from api.cursors import After, following
from api.database import UtcDateTime, metadata

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


class State(StrEnum):
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

    def state(self, now: datetime) -> State:
        """Return whether it holds at a moment that is not before it was granted."""
        if self.revoked_at is not None:
            return State.REVOKED
        return State.IN_FORCE if now < self.ends_at else State.ENDED


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which consents or requests to list, newest first; None leaves a condition out."""

    bank_id: str | None
    seller_id: str | None
    state: str | None
    after: After | None
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


def in_force(
    connection: Connection, seller_id: str, bank_id: str, purpose: str | None, now: datetime
) -> Consent | None:
    """Return the consent of a seller for a bank that holds at a moment, the one that ends last; None is any purpose."""
    return holding(unrevoked(connection, [seller_id]).get(seller_id, ()), bank_id, purpose, now)


def holding(among: Sequence[Consent], bank_id: str, purpose: str | None, now: datetime) -> Consent | None:
    """Return the first of a seller's consents that holds for a bank at a moment; None is any purpose."""
    fit = (
        each
        for each in among
        if each.bank_id == bank_id
        and purpose in {None, each.purpose}
        and each.granted_at <= now
        and each.state(now) is State.IN_FORCE
    )
    return next(fit, None)


def unrevoked(connection: Connection, seller_ids: Sequence[str]) -> dict[str, list[Consent]]:
    """Return the consents of these sellers that nobody revoked, for all banks; those that end last come first."""
    found: dict[str, list[Consent]] = {}
    for each in connection.execute(_UNREVOKED, {"sellers": seller_ids}):
        consent = _read(each)
        found.setdefault(consent.seller_id, []).append(consent)
    return found


def add(connection: Connection, consent: Consent) -> None:
    """Store a consent under its id, which is new."""
    values = {name: getattr(consent, name) for name in consents.c.keys()}  # noqa: SIM118 - names, not columns
    connection.execute(insert(consents).values(**values))


def find(connection: Connection, consent_id: str) -> Consent | None:
    """Return the consent with the id, or None."""
    found = connection.execute(select(consents).where(consents.c.id == consent_id)).one_or_none()
    return None if found is None else _read(found)


def latest(connection: Connection, seller_id: str, bank_id: str, purpose: str) -> Consent | None:
    """Return the consent that was recorded last, whether it still holds or not."""
    wanted = select(consents).where(
        consents.c.seller_id == seller_id, consents.c.bank_id == bank_id, consents.c.purpose == purpose
    )
    found = connection.execute(wanted.order_by(consents.c.recorded_at.desc(), consents.c.id).limit(1)).one_or_none()
    return None if found is None else _read(found)


def revoke(connection: Connection, consent_id: str, now: datetime) -> None:
    """Mark a consent as revoked."""
    connection.execute(update(consents).where(consents.c.id == consent_id).values(revoked_at=now))


def listed(connection: Connection, wanted: Wanted, now: datetime) -> Sequence[Consent]:
    """Return a page of consents, newest first, and one more where there is a next page."""
    conditions = [
        column == value
        for column, value in ((consents.c.bank_id, wanted.bank_id), (consents.c.seller_id, wanted.seller_id))
        if value is not None
    ]
    if wanted.state is not None:
        conditions.append(_states(now)[State(wanted.state)])
    if wanted.after is not None:
        conditions.append(following(consents.c.recorded_at, consents.c.id, wanted.after))
    order = (consents.c.recorded_at.desc(), consents.c.id.desc())
    query = select(consents).where(*conditions).order_by(*order).limit(wanted.limit + 1)
    return [_read(found) for found in connection.execute(query)]


def is_listed(connection: Connection, bank_id: str | None, place: After) -> bool:
    """Return whether a consent stands at a place in the list of a bank, or in that of all."""
    found = find(connection, place.id)
    return found is not None and found.recorded_at == place.moment and bank_id in {None, found.bank_id}


def forget(connection: Connection, seller_id: str) -> int:
    """Remove a seller's consents, and return how many there were."""
    return connection.execute(delete(consents).where(consents.c.seller_id == seller_id)).rowcount


def _states(now: datetime) -> dict[State, ColumnElement[bool]]:
    unrevoked = consents.c.revoked_at.is_(None)
    return {
        State.IN_FORCE: unrevoked & (consents.c.ends_at > now),
        State.ENDED: unrevoked & (consents.c.ends_at <= now),
        State.REVOKED: ~unrevoked,
    }


def _read(found: Row[Any]) -> Consent:
    return Consent(**found._mapping)
