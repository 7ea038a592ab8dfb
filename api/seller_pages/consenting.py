"""The page of consents: who asked, what was allowed, who looked; and allowing, declining and withdrawing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response

from api import errors
from api.consents import service as consent_service
from api.consents.repository import State
from api.consents.requests import service as request_service
from api.consents.requests.repository import State as Requested
from api.consents.service import Terms
from api.seller_pages.agreements import agreements_of
from api.seller_pages.rendering import page, to
from api.seller_pages.routes import SessionFirst, SignedIn
from api.seller_pages.wording import CONSENTED, DONE, LOOKS, PURPOSES, REQUESTED
from api.seller_sessions import service as sessions
from api.services import Wired

router = APIRouter(prefix="/seller/consents", route_class=SessionFirst, include_in_schema=False)

RECORDED_BY: Final = "seller"
"""Who recorded a consent, where a client of the platform would stand: the seller, on these pages."""

DAYS: Final = (30, 90, 180, 365)
_WORDS: Final = {"consented": CONSENTED, "requested": REQUESTED, "purposes": PURPOSES, "looked": LOOKS}


@router.get("")
def show_consents(seller: SignedIn, done: Annotated[str, Query(max_length=20)] = "") -> Response:
    """Show who asked, what was allowed, and who looked and when."""
    with seller.reading() as connection:
        found = agreements_of(connection, seller.subject, datetime.now(UTC))
    in_force = [each for each in found.granted if each.state(found.now) is State.IN_FORCE]
    over = [each for each in found.granted if each.state(found.now) is not State.IN_FORCE]
    parts = {"found": found, "in_force": in_force, "over": over, "days": DAYS, "done": DONE.get(done)}
    return page("consents.html", seller.viewer, **parts, **_WORDS)


@router.post("/grant")
def grant(
    seller: SignedIn,
    services: Wired,
    request_id: Annotated[UUID, Form()],
    days: Annotated[Literal["30", "90", "180", "365"], Form()],
) -> Response:
    """Allow what a bank asked, for so many days."""
    with sessions.acting(services.engine, seller.signed_in) as connection:
        asked = request_service.find(connection, None, str(request_id))
        if asked.seller_id != seller.subject:
            raise errors.ConsentRequestUnknown
        if asked.state(datetime.now(UTC)) is not Requested.PENDING:
            raise errors.ConsentRequestClosed
        terms = Terms(seller.subject, asked.bank_id, asked.purpose, timedelta(days=int(days)))
        consent_service.grant(connection, services.ledger, terms, RECORDED_BY)
    return to("/seller/consents?done=granted")


@router.post("/decline")
def decline(seller: SignedIn, services: Wired, request_id: Annotated[UUID, Form()]) -> Response:
    """Decline what a bank asked."""
    with sessions.acting(services.engine, seller.signed_in) as connection:
        if request_service.find(connection, None, str(request_id)).seller_id != seller.subject:
            raise errors.ConsentRequestUnknown
        request_service.decline(connection, str(request_id), datetime.now(UTC))
    return to("/seller/consents?done=declined")


@router.post("/revoke")
def revoke(seller: SignedIn, services: Wired, consent_id: Annotated[UUID, Form()]) -> Response:
    """Withdraw a consent: from the answer on nothing new is scored by it."""
    with sessions.acting(services.engine, seller.signed_in) as connection:
        if consent_service.find(connection, None, str(consent_id)).seller_id != seller.subject:
            raise errors.ConsentUnknown
        consent_service.revoke(connection, services.ledger, str(consent_id), RECORDED_BY)
    return to("/seller/consents?done=revoked")
