"""What a seller allowed and was asked, and which bank looked when; the seller's own rows alone.

The page of consents: who asked, what was allowed, who looked; and allowing, declining and withdrawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response
from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, select

from api import errors
from api.auth import sessions
from api.auth.clients import clients
from api.consents import service as consent_service
from api.consents import service as request_service
from api.consents.repository import (
    Consent,
    ConsentRequest,
    ConsentRequestState,
    ConsentState,
    consent_requests,
    consents,
)
from api.consents.repository import ConsentRequestState as Requested
from api.consents.service import ConsentTerms
from api.kit.database import UtcDateTime
from api.ledger.chain import SELF_CHAIN
from api.ledger.encryption import seller_keys
from api.ledger.store import ledger
from api.scores.repository import scores
from api.services import ServicesDep
from api.web.labels import ACCESS_KINDS, CONFIRMATIONS, CONSENT_STATES, PURPOSES, REQUEST_STATES
from api.web.rendering import page, redirect
from api.web.routing import SellerPage, SessionRoute

MOST: Final = 50
"""Rows of a list at most; the download holds all."""


_PLACE = (scores.c.chain == ledger.c.chain) & (scores.c.position == ledger.c.position)


_ACCESSED = (
    select(clients.c.name, ledger.c.chain, ledger.c.kind, ledger.c.recorded_at, scores.c.purpose)
    .select_from(
        seller_keys.join(ledger, ledger.c.subject == seller_keys.c.subject)
        .outerjoin(scores, _PLACE)
        .outerjoin(clients, clients.c.id == ledger.c.chain)
    )
    .where(
        seller_keys.c.seller_id == bindparam("seller"),
        ledger.c.chain != SELF_CHAIN,
        ledger.c.kind.in_(list(ACCESS_KINDS)),
    )
    .order_by(ledger.c.recorded_at.desc())
)


_LATEST_ACCESS = _ACCESSED.limit(MOST)


def _latest(table: Table, moment: ColumnElement[Any]) -> Select[Any]:
    # made here and once, with the names of the banks: making a statement takes longer than running it
    return (
        select(clients.c.name, table)
        .outerjoin_from(table, clients, clients.c.id == table.c.bank_id)
        .where(table.c.seller_id == bindparam("seller"))
        .order_by(moment.desc(), table.c.id.desc())
        .limit(MOST)
    )


_REQUESTED = _latest(consent_requests, consent_requests.c.asked_at)


_GRANTED = _latest(consents, consents.c.recorded_at)


_NOW = bindparam("now", type_=UtcDateTime())


_PENDING = _REQUESTED.where(
    consent_requests.c.consent_id.is_(None),
    consent_requests.c.declined_at.is_(None),
    consent_requests.c.expires_at > _NOW,
)


_IN_FORCE = _GRANTED.where(
    consents.c.revoked_at.is_(None),
    consents.c.granted_at <= _NOW,
    consents.c.ends_at > _NOW,
)


@dataclass(frozen=True)
class Access:
    """Who requests access to a seller's data and who has it: each request and consent after its bank's name."""

    pending: tuple[tuple[str, ConsentRequest], ...]
    in_force: tuple[tuple[str, Consent], ...]

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """Identify the content for a cache: the ID of each request and consent with the bank's name."""
        both: list[tuple[str, ConsentRequest | Consent]] = [*self.pending, *self.in_force]
        return tuple((each.id, name) for name, each in both)


@dataclass(frozen=True)
class BankAccess:
    """A bank that scored the seller, for a purpose, or looked at their figures."""

    bank: str
    kind: str
    at: datetime
    purpose: str | None


@dataclass(frozen=True)
class ConsentOverview:
    """All of it, newest first; `banks` names each bank by its id."""

    asked: Sequence[ConsentRequest]
    answered: Sequence[ConsentRequest]
    granted: Sequence[Consent]
    looks: Sequence[BankAccess]
    banks: dict[str, str]
    now: datetime


def consent_overview(connection: Connection, seller_id: str, now: datetime) -> ConsentOverview:
    """Return what there is of a seller."""
    of = {"seller": seller_id}
    asked = [(name, ConsentRequest(*found)) for name, *found in connection.execute(_REQUESTED, of)]
    granted = [(name, Consent(*found)) for name, *found in connection.execute(_GRANTED, of)]
    both: list[tuple[str | None, ConsentRequest | Consent]] = [*asked, *granted]
    return ConsentOverview(
        asked=[each for _, each in asked if each.state(now) is ConsentRequestState.PENDING],
        answered=[
            each for _, each in asked if each.state(now) in (ConsentRequestState.DECLINED, ConsentRequestState.EXPIRED)
        ],
        granted=[each for _, each in granted],
        looks=_bank_access(connection, _LATEST_ACCESS, seller_id),
        banks={each.bank_id: name for name, each in both if name is not None},
        now=now,
    )


def access_of(connection: Connection, seller_id: str, now: datetime) -> Access:
    """Return a seller's pending consent requests and the consents in force, newest first."""
    of = {"seller": seller_id, "now": now}
    pending = [(name, ConsentRequest(*found)) for name, *found in connection.execute(_PENDING, of)]
    in_force = [(name, Consent(*found)) for name, *found in connection.execute(_IN_FORCE, of)]
    return Access(
        pending=tuple((name or each.bank_id, each) for name, each in pending),
        in_force=tuple((name or each.bank_id, each) for name, each in in_force),
    )


def list_bank_access(connection: Connection, seller_id: str) -> list[BankAccess]:
    """Return which bank looked when, latest first; all of it."""
    return _bank_access(connection, _ACCESSED, seller_id)


def _bank_access(connection: Connection, wanted: Select[Any], seller_id: str) -> list[BankAccess]:
    return [
        BankAccess(name or chain, kind, datetime.fromisoformat(at), purpose)
        for name, chain, kind, at, purpose in connection.execute(wanted, {"seller": seller_id})
    ]


router = APIRouter(prefix="/seller/consents", route_class=SessionRoute, include_in_schema=False)


RECORDED_BY: Final = "seller"
"""Who recorded a consent, where a client of the platform would stand: the seller, on these pages."""


DAYS: Final = (30, 90, 180, 365)


_TEXTS: Final = {"consented": CONSENT_STATES, "requested": REQUEST_STATES, "purposes": PURPOSES, "looked": ACCESS_KINDS}


@router.get("")
def show_consents(seller: SellerPage, done: Annotated[str, Query(max_length=20)] = "") -> Response:
    """Show who asked, what was allowed, and who looked and when."""
    with seller.reading() as connection:
        found = consent_overview(connection, seller.subject, datetime.now(UTC))
    in_force = [each for each in found.granted if each.state(found.now) is ConsentState.IN_FORCE]
    over = [each for each in found.granted if each.state(found.now) is not ConsentState.IN_FORCE]
    parts = {"found": found, "in_force": in_force, "over": over, "days": DAYS, "done": CONFIRMATIONS.get(done)}
    return page("consents.html", seller.viewer, **parts, **_TEXTS)


@router.post("/grant")
def grant_request(
    seller: SellerPage,
    services: ServicesDep,
    request_id: Annotated[UUID, Form()],
    days: Annotated[Literal["30", "90", "180", "365"], Form()],
) -> Response:
    """Allow what a bank asked, for so many days."""
    with sessions.session_transaction(services.engine, seller.signed_in) as connection:
        asked = request_service.find_request(connection, None, str(request_id))
        if asked.seller_id != seller.subject:
            raise errors.ConsentRequestUnknown
        if asked.state(datetime.now(UTC)) is not Requested.PENDING:
            raise errors.ConsentRequestClosed
        terms = ConsentTerms(seller.subject, asked.bank_id, asked.purpose, timedelta(days=int(days)))
        consent_service.grant_consent(connection, services.ledger, terms, RECORDED_BY)
    return redirect("/seller/consents?done=granted")


@router.post("/decline")
def decline_request(seller: SellerPage, services: ServicesDep, request_id: Annotated[UUID, Form()]) -> Response:
    """Decline what a bank asked."""
    with sessions.session_transaction(services.engine, seller.signed_in) as connection:
        if request_service.find_request(connection, None, str(request_id)).seller_id != seller.subject:
            raise errors.ConsentRequestUnknown
        request_service.decline_request(connection, str(request_id), datetime.now(UTC))
    return redirect("/seller/consents?done=declined")


@router.post("/revoke")
def revoke_consent_page(seller: SellerPage, services: ServicesDep, consent_id: Annotated[UUID, Form()]) -> Response:
    """Withdraw a consent: from the answer on nothing new is scored by it."""
    with sessions.session_transaction(services.engine, seller.signed_in) as connection:
        if consent_service.find_consent(connection, None, str(consent_id)).seller_id != seller.subject:
            raise errors.ConsentUnknown
        consent_service.revoke_consent(connection, services.ledger, str(consent_id), RECORDED_BY)
    return redirect("/seller/consents?done=revoked")
