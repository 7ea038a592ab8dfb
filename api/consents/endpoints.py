"""`POST /v1/consents`, `GET /v1/consents`, `GET /v1/consents/{id}` and `DELETE /v1/consents/{id}`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from api import errors
from api.access.callers import RATE_HEADERS, REFUSALS, Bank, CallerFirst, Platform, needs
from api.access.rights import Scope
from api.consents import repository, service
from api.consents.repository import State, Wanted
from api.consents.schemas import ConsentGrant, ConsentPage, ConsentShown
from api.cursors import After, Cursor, Limit, given, page
from api.database import transaction
from api.ids import ConsentId
from api.problems import problem_responses
from api.scores.schemas import SellerId
from api.services import Wired

router = APIRouter(prefix="/v1/consents", tags=["consents"], route_class=CallerFirst)

BODY: Final = (errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType)
COMMON: Final = (*REFUSALS, errors.InternalError, errors.DatabaseUnavailable, errors.InvalidRequest)
PRIVATE: Final = {"Cache-Control": "no-store"}
LOCATION: Final[dict[str, Any]] = {"description": "Where to read it again.", "schema": {"type": "string"}}
OfSeller = Annotated[SellerId | None, Query(description="Leave out all other sellers'.", examples=["S-000001"])]


def _answers(status: int, about: str, **headers: Any) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": about, "headers": {**headers, **RATE_HEADERS}}}


@router.post(
    "",
    status_code=201,
    operation_id="createConsent",
    summary="Record a seller's consent",
    response_model=ConsentShown,
    responses=_answers(201, "The consent, as it is recorded.", Location=LOCATION)
    | problem_responses(*COMMON, *BODY, errors.BankUnknown),
)
def create_consent(
    platform: Annotated[Platform, needs(Scope.CONSENTS_WRITE)],
    services: Wired,
    consent: ConsentGrant,
    response: Response,
) -> ConsentShown:
    """Record that a seller lets a bank score them, for a purpose and a time; the bank may from the answer on.

    It takes the place of a consent that is in force for the same bank and purpose, and grants what the bank had asked.
    It is recorded on the bank's chain of the ledger. The very same again is answered with the consent that there is.
    """
    with transaction(services.engine, writes=True) as connection:
        made = service.grant(connection, services.ledger, consent.terms, platform.id)
    response.headers.update({**PRIVATE, "Location": f"/v1/consents/{made.id}"})
    return ConsentShown.of(made, datetime.now(UTC))


@router.get(
    "",
    operation_id="listConsents",
    summary="List consents",
    response_model=ConsentPage,
    responses=_answers(200, "A page of consents, newest first.") | problem_responses(*COMMON),
)
def list_consents(
    caller: Annotated[Bank | Platform, needs(Scope.CONSENTS_READ)],
    services: Wired,
    response: Response,
    *,
    seller_id: OfSeller = None,
    state: Annotated[State | None, Query(description="Leave out those in another state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ConsentPage:
    """List what a bank was granted, or, to the platform, what was granted to any bank; in force or not."""
    now, bank_id = datetime.now(UTC), caller.id if isinstance(caller, Bank) else None
    with transaction(services.engine) as connection:
        after = given(cursor, lambda on: on if repository.is_listed(connection, bank_id, on) else None)
        found = repository.listed(connection, Wanted(bank_id, seller_id, state, after, limit), now)
    kept, following = page(found, limit, lambda each: After(each.recorded_at, each.id))
    response.headers.update(PRIVATE)
    return ConsentPage(items=[ConsentShown.of(each, now) for each in kept], next_cursor=following)


@router.get(
    "/{consent_id}",
    operation_id="getConsent",
    summary="Read a consent",
    response_model=ConsentShown,
    responses=_answers(200, "The consent as it stands.") | problem_responses(*COMMON, errors.ConsentUnknown),
)
def get_consent(
    caller: Annotated[Bank | Platform, needs(Scope.CONSENTS_READ)],
    services: Wired,
    consent_id: ConsentId,
    response: Response,
) -> ConsentShown:
    """Return a consent as it stands now; one for another bank is not known."""
    with transaction(services.engine) as connection:
        found = service.find(connection, caller.id if isinstance(caller, Bank) else None, str(consent_id))
    response.headers.update(PRIVATE)
    return ConsentShown.of(found, datetime.now(UTC))


@router.delete(
    "/{consent_id}",
    operation_id="revokeConsent",
    summary="Revoke a consent",
    response_model=ConsentShown,
    responses=_answers(200, "The consent, revoked.") | problem_responses(*COMMON, errors.ConsentUnknown),
)
def revoke_consent(
    platform: Annotated[Platform, needs(Scope.CONSENTS_WRITE)],
    services: Wired,
    consent_id: ConsentId,
    response: Response,
) -> ConsentShown:
    """Revoke a consent: from the answer on nothing new is scored by it. Scores that were given stay readable.

    Once more changes nothing. The revocation is recorded on the bank's chain of the ledger.
    """
    with transaction(services.engine, writes=True) as connection:
        revoked = service.revoke(connection, services.ledger, str(consent_id), platform.id)
    response.headers.update(PRIVATE)
    return ConsentShown.of(revoked, datetime.now(UTC))
