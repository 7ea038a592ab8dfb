"""The consents page: requests, consents and accesses of banks; granting, declining and revoking."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response
from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, select

from api import errors
from api.consents import service as consent_service
from api.consents.repository import (
    Consent,
    ConsentRequest,
    ConsentRequestState,
    ConsentState,
    consent_requests,
    consents,
)
from api.consents.service import ConsentTerms
from api.kit.database import UtcDateTime
from api.kit.fields import Purpose
from api.ledger.chain import SELF_CHAIN
from api.ledger.encryption import seller_keys
from api.ledger.store import ledger
from api.scores.repository import scores
from api.services import Services, ServicesDep
from api.web.labels import ACCESS_KINDS
from api.web.rendering import page, redirect
from api.web.routing import SellerPage, SessionRoute

T = TypeVar("T", Consent, ConsentRequest)
_MOST: Final = 50
"""Maximum rows of a list; the download has all."""
_SAME_ROW = (scores.c.chain == ledger.c.chain) & (scores.c.position == ledger.c.position)
_ACCESSED = (
    select(ledger.c.chain, ledger.c.kind, ledger.c.recorded_at, scores.c.purpose)
    .select_from(seller_keys.join(ledger, ledger.c.subject == seller_keys.c.subject).outerjoin(scores, _SAME_ROW))
    .where(
        seller_keys.c.seller_id == bindparam("seller"),
        ledger.c.chain != SELF_CHAIN,
        ledger.c.kind.in_(list(ACCESS_KINDS)),
    )
    .order_by(ledger.c.recorded_at.desc())
)
_LATEST_ACCESS = _ACCESSED.limit(_MOST)


def _latest(table: Table, moment: ColumnElement[Any]) -> Select[Any]:
    # built once: building a statement takes longer than running it
    return (
        select(table)
        .where(table.c.seller_id == bindparam("seller"))
        .order_by(moment.desc(), table.c.id.desc())
        .limit(_MOST)
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
        return tuple((item.id, name) for name, item in both)


@dataclass(frozen=True)
class BankAccess:
    """An access of a bank: a score for a purpose, or a view of the profile."""

    bank: str
    kind: str
    at: datetime
    purpose: str | None


def access_of(services: Services, connection: Connection, seller_id: str, now: datetime) -> Access:
    """Return a seller's pending consent requests and the consents in force, newest first."""
    pending = _read(connection, _PENDING, ConsentRequest, seller=seller_id, now=now)
    in_force = _read(connection, _IN_FORCE, Consent, seller=seller_id, now=now)
    names = _bank_names(services, {item.bank_id for item in pending} | {item.bank_id for item in in_force})
    return Access(_named(names, pending), _named(names, in_force))


def _read(connection: Connection, query: Select[Any], kind: type[T], **parameters: object) -> list[T]:
    return [kind(*row) for row in connection.execute(query, parameters)]


def _named(names: Mapping[str, str], items: Sequence[T]) -> tuple[tuple[str, T], ...]:
    """Return items, each after the name of its bank."""
    return tuple((names[item.bank_id], item) for item in items)


def _bank_names(services: Services, bank_ids: Collection[str]) -> dict[str, str]:
    """Return the names of banks as their signed entries record them; the ID of a bank without a valid entry."""
    banks = services.auth.find_clients(bank_ids)
    return {bank_id: banks[bank_id].name if bank_id in banks else bank_id for bank_id in bank_ids}


def list_bank_access(
    services: Services, connection: Connection, seller_id: str, query: Select[Any] = _ACCESSED
) -> list[BankAccess]:
    """Return all accesses of banks, latest first."""
    rows = connection.execute(query, {"seller": seller_id}).all()
    names = _bank_names(services, {chain for chain, *_ in rows})
    return [BankAccess(names[chain], kind, datetime.fromisoformat(at), purpose) for chain, kind, at, purpose in rows]


router = APIRouter(prefix="/seller/consents", route_class=SessionRoute, include_in_schema=False)
RECORDED_BY: Final = "seller"
"""The recorder of consents that sellers give on these pages."""
_CLOSED: Final = (ConsentRequestState.DECLINED, ConsentRequestState.EXPIRED)


@router.get("")
def show_consents(
    seller: SellerPage, services: ServicesDep, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show requests, consents and accesses of banks."""
    now = datetime.now(UTC)
    with seller.reading() as connection:
        asked = _read(connection, _REQUESTED, ConsentRequest, seller=seller.subject)
        given = _read(connection, _GRANTED, Consent, seller=seller.subject)
        accesses = list_bank_access(services, connection, seller.subject, _LATEST_ACCESS)
    names = _bank_names(services, {each.bank_id for each in asked} | {each.bank_id for each in given})
    requests, granted = _named(names, asked), _named(names, given)
    values = {
        "pending": [each for each in requests if each[1].state(now) is ConsentRequestState.PENDING],
        "closed": [each for each in requests if each[1].state(now) in _CLOSED],
        "active": [each for each in granted if each[1].state(now) is ConsentState.IN_FORCE],
        "ended": [each for each in granted if each[1].state(now) is not ConsentState.IN_FORCE],
    }
    return page("consents.html", seller.viewer, **values, accesses=accesses, now=now, done=done)


@router.post("/grant")
def grant_request(
    seller: SellerPage,
    services: ServicesDep,
    *,
    request_id: Annotated[UUID, Form()],
    bank_id: Annotated[str, Form(max_length=60)],
    bank_name: Annotated[str, Form(max_length=200)],
    purpose: Annotated[Purpose, Form()],
    days: Annotated[Literal["30", "90", "180", "365"], Form()],
) -> Response:
    """Grant a request of a bank for a number of days.

    The form states the bank, its name and the purpose that the page showed: a request that differs from them is not
    granted.
    """
    with services.auth.sessions.session_transaction(seller.signed_in) as connection:
        request = consent_service.find_request(connection, None, str(request_id))
        if (request.seller_id, request.bank_id, request.purpose) != (seller.subject, bank_id, purpose):
            raise errors.ConsentRequestUnknown
        if request.state(datetime.now(UTC)) is not ConsentRequestState.PENDING:
            raise errors.ConsentRequestClosed
        if consent_service.require_bank(connection, services.auth.clients, bank_id).name != bank_name:
            raise errors.ConsentRequestUnknown
        terms = ConsentTerms(seller.subject, request.bank_id, request.purpose, timedelta(days=int(days)))
        consent_service.grant_consent(connection, services.ledger, terms, RECORDED_BY)
    return redirect("/seller/consents?done=granted")


@router.post("/decline")
def decline_request(seller: SellerPage, services: ServicesDep, request_id: Annotated[UUID, Form()]) -> Response:
    """Decline a request of a bank."""
    with services.auth.sessions.session_transaction(seller.signed_in) as connection:
        if consent_service.find_request(connection, None, str(request_id)).seller_id != seller.subject:
            raise errors.ConsentRequestUnknown
        consent_service.decline_request(connection, str(request_id), datetime.now(UTC))
    return redirect("/seller/consents?done=declined")


@router.post("/revoke")
def revoke_consent_page(seller: SellerPage, services: ServicesDep, consent_id: Annotated[UUID, Form()]) -> Response:
    """Revoke a consent; no new score uses it."""
    with services.auth.sessions.session_transaction(seller.signed_in) as connection:
        if consent_service.find_consent(connection, None, str(consent_id)).seller_id != seller.subject:
            raise errors.ConsentUnknown
        consent_service.revoke_consent(connection, services.ledger, str(consent_id), RECORDED_BY)
    return redirect("/seller/consents?done=revoked")
