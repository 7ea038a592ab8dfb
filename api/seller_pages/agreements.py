"""What a seller allowed and was asked, and which bank looked when; the seller's own rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select

from api.access.repository import clients
from api.consents import repository as consents
from api.consents.repository import Consent
from api.consents.requests import repository as requests
from api.consents.requests.repository import Request, State
from api.ledger.tables import ledger, seller_keys
from api.scores.repository import scores
from api.self_view.service import CHAIN
from api.seller_pages.wording import LOOKS

MOST: Final = 50
"""Rows of a list at most; the download holds all."""

_PLACE = (scores.c.chain == ledger.c.chain) & (scores.c.position == ledger.c.position)
_LOOKED = (
    select(clients.c.name, ledger.c.chain, ledger.c.kind, ledger.c.recorded_at, scores.c.purpose)
    .select_from(
        seller_keys.join(ledger, ledger.c.subject == seller_keys.c.subject)
        .outerjoin(scores, _PLACE)
        .outerjoin(clients, clients.c.id == ledger.c.chain)
    )
    .where(
        seller_keys.c.seller_id == bindparam("seller"),
        ledger.c.chain != CHAIN,
        ledger.c.kind.in_(list(LOOKS)),
    )
    .order_by(ledger.c.recorded_at.desc())
)


@dataclass(frozen=True)
class Look:
    """A bank that scored the seller, for a purpose, or looked at their figures."""

    bank: str
    kind: str
    at: datetime
    purpose: str | None


@dataclass(frozen=True)
class Agreements:
    """All of it, newest first; `banks` names each bank by its id."""

    asked: Sequence[Request]
    answered: Sequence[Request]
    granted: Sequence[Consent]
    looks: Sequence[Look]
    banks: dict[str, str]
    now: datetime


def agreements_of(connection: Connection, seller_id: str, now: datetime) -> Agreements:
    """Return what there is of a seller."""
    asked = requests.listed(connection, consents.Wanted(None, seller_id, None, None, MOST), now)
    granted = consents.listed(connection, consents.Wanted(None, seller_id, None, None, MOST), now)
    pending = [each for each in asked if each.state(now) is State.PENDING]
    ids = {each.bank_id for each in asked} | {each.bank_id for each in granted}
    names = select(clients.c.id, clients.c.name).where(clients.c.id.in_(ids))
    return Agreements(
        asked=pending,
        answered=[each for each in asked if each.state(now) in (State.DECLINED, State.EXPIRED)],
        granted=granted[:MOST],
        looks=looks_of(connection, seller_id, MOST),
        banks={each.id: each.name for each in connection.execute(names)} if ids else {},
        now=now,
    )


def looks_of(connection: Connection, seller_id: str, most: int | None = None) -> list[Look]:
    """Return which bank looked when, latest first; all of it, or so many."""
    wanted = _LOOKED if most is None else _LOOKED.limit(most)
    return [
        Look(name or chain, kind, datetime.fromisoformat(at), purpose)
        for name, chain, kind, at, purpose in connection.execute(wanted, {"seller": seller_id})
    ]
