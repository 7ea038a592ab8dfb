"""What a seller allowed and was asked, and which bank looked when; the seller's own rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, select

from api.access.repository import clients
from api.consents.repository import Consent, consents
from api.consents.requests.repository import Request, State, requests
from api.database import UtcDateTime
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


_LATEST_LOOKS = _LOOKED.limit(MOST)


def _latest(table: Table, moment: ColumnElement[Any]) -> Select[Any]:
    # made here and once, with the names of the banks: making a statement takes longer than running it
    return (
        select(clients.c.name, table)
        .outerjoin_from(table, clients, clients.c.id == table.c.bank_id)
        .where(table.c.seller_id == bindparam("seller"))
        .order_by(moment.desc(), table.c.id.desc())
        .limit(MOST)
    )


_ASKED = _latest(requests, requests.c.asked_at)
_GRANTED = _latest(consents, consents.c.recorded_at)

_NOW = bindparam("now", type_=UtcDateTime())
_PENDING = _ASKED.where(
    requests.c.consent_id.is_(None),
    requests.c.declined_at.is_(None),
    requests.c.expires_at > _NOW,
)
_IN_FORCE = _GRANTED.where(
    consents.c.revoked_at.is_(None),
    consents.c.granted_at <= _NOW,
    consents.c.ends_at > _NOW,
)


@dataclass(frozen=True)
class Access:
    """Who requests access to a seller's data and who has it: each request and consent after its bank's name."""

    pending: tuple[tuple[str, Request], ...]
    in_force: tuple[tuple[str, Consent], ...]

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """Identify the content for a cache: the ID of each request and consent with the bank's name."""
        both: list[tuple[str, Request | Consent]] = [*self.pending, *self.in_force]
        return tuple((each.id, name) for name, each in both)


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
    of = {"seller": seller_id}
    asked = [(name, Request(*found)) for name, *found in connection.execute(_ASKED, of)]
    granted = [(name, Consent(*found)) for name, *found in connection.execute(_GRANTED, of)]
    both: list[tuple[str | None, Request | Consent]] = [*asked, *granted]
    return Agreements(
        asked=[each for _, each in asked if each.state(now) is State.PENDING],
        answered=[each for _, each in asked if each.state(now) in (State.DECLINED, State.EXPIRED)],
        granted=[each for _, each in granted],
        looks=_looks(connection, _LATEST_LOOKS, seller_id),
        banks={each.bank_id: name for name, each in both if name is not None},
        now=now,
    )


def access_of(connection: Connection, seller_id: str, now: datetime) -> Access:
    """Return a seller's pending consent requests and the consents in force, newest first."""
    of = {"seller": seller_id, "now": now}
    pending = [(name, Request(*found)) for name, *found in connection.execute(_PENDING, of)]
    in_force = [(name, Consent(*found)) for name, *found in connection.execute(_IN_FORCE, of)]
    return Access(
        pending=tuple((name or each.bank_id, each) for name, each in pending),
        in_force=tuple((name or each.bank_id, each) for name, each in in_force),
    )


def looks_of(connection: Connection, seller_id: str) -> list[Look]:
    """Return which bank looked when, latest first; all of it."""
    return _looks(connection, _LOOKED, seller_id)


def _looks(connection: Connection, wanted: Select[Any], seller_id: str) -> list[Look]:
    return [
        Look(name or chain, kind, datetime.fromisoformat(at), purpose)
        for name, chain, kind, at, purpose in connection.execute(wanted, {"seller": seller_id})
    ]
