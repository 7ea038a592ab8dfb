"""`POST /v1/consents`, `GET /v1/consents`, `GET /v1/consents/{id}` and `DELETE /v1/consents/{id}`.

`POST` and `GET /v1/consent-requests`, one of them, and `POST /v1/consent-requests/{id}/decline`.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, Platform, require_scope
from api.auth.scopes import Scope
from api.consents import repository, service
from api.consents.repository import ConsentQuery, ConsentRequestState, ConsentState
from api.consents.schemas import (
    ConsentCreate,
    ConsentPage,
    ConsentRequestCreate,
    ConsentRequestPage,
    ConsentRequestResponse,
    ConsentResponse,
)
from api.kit.database import transaction
from api.kit.fields import ConsentId, RequestId, SellerId
from api.kit.openapi import CALLER_PROBLEMS, RATE_HEADERS, problem_responses
from api.kit.pagination import Cursor, Limit, PagePosition, paginate, resolve_cursor
from api.services import ServicesDep

router = APIRouter(prefix="/v1/consents", tags=["consents"], route_class=AuthenticatedRoute)


BODY: Final = (errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType)


COMMON: Final = (*CALLER_PROBLEMS, errors.InternalError, errors.DatabaseUnavailable, errors.InvalidRequest)


PRIVATE: Final = {"Cache-Control": "no-store"}


LOCATION: Final[dict[str, Any]] = {"description": "Where to read it again.", "schema": {"type": "string"}}


OfSeller = Annotated[SellerId | None, Query(description="Leave out all other sellers'.", examples=["S-000001"])]


def _responses(status: int, about: str, **headers: Any) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": about, "headers": {**headers, **RATE_HEADERS}}}


@router.post(
    "",
    status_code=201,
    operation_id="createConsent",
    summary="Record a seller's consent",
    response_model=ConsentResponse,
    responses=_responses(201, "The consent, as it is recorded.", Location=LOCATION)
    | problem_responses(*COMMON, *BODY, errors.BankUnknown),
)
def create_consent(
    platform: Annotated[Platform, require_scope(Scope.CONSENTS_WRITE)],
    services: ServicesDep,
    consent: ConsentCreate,
    response: Response,
) -> ConsentResponse:
    """Record that a seller lets a bank score them, for a purpose and a time; the bank may from the answer on.

    It takes the place of a consent that is in force for the same bank and purpose, and grants what the bank had asked.
    It is recorded on the bank's chain of the ledger. The very same again is answered with the consent that there is.
    """
    with transaction(services.engine, writes=True) as connection:
        made = service.grant_consent(connection, services.ledger, consent.terms, platform.id)
    response.headers.update({**PRIVATE, "Location": f"/v1/consents/{made.id}"})
    return ConsentResponse.of(made, datetime.now(UTC))


@router.get(
    "",
    operation_id="listConsents",
    summary="List consents",
    response_model=ConsentPage,
    responses=_responses(200, "A page of consents, newest first.") | problem_responses(*COMMON),
)
def list_consents(
    caller: Annotated[Bank | Platform, require_scope(Scope.CONSENTS_READ)],
    services: ServicesDep,
    response: Response,
    *,
    seller_id: OfSeller = None,
    state: Annotated[ConsentState | None, Query(description="Leave out those in another state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ConsentPage:
    """List what a bank was granted, or, to the platform, what was granted to any bank; in force or not."""
    now, bank_id = datetime.now(UTC), caller.id if isinstance(caller, Bank) else None
    with transaction(services.engine) as connection:
        after = resolve_cursor(cursor, lambda on: on if repository.is_consent_listed(connection, bank_id, on) else None)
        found = repository.list_consents(connection, ConsentQuery(bank_id, seller_id, state, after, limit), now)
    kept, following = paginate(found, limit, lambda each: PagePosition(each.recorded_at, each.id))
    response.headers.update(PRIVATE)
    return ConsentPage(items=[ConsentResponse.of(each, now) for each in kept], next_cursor=following)


@router.get(
    "/{consent_id}",
    operation_id="getConsent",
    summary="Read a consent",
    response_model=ConsentResponse,
    responses=_responses(200, "The consent as it stands.") | problem_responses(*COMMON, errors.ConsentUnknown),
)
def get_consent(
    caller: Annotated[Bank | Platform, require_scope(Scope.CONSENTS_READ)],
    services: ServicesDep,
    consent_id: ConsentId,
    response: Response,
) -> ConsentResponse:
    """Return a consent as it stands now; one for another bank is not known."""
    with transaction(services.engine) as connection:
        found = service.find_consent(connection, caller.id if isinstance(caller, Bank) else None, str(consent_id))
    response.headers.update(PRIVATE)
    return ConsentResponse.of(found, datetime.now(UTC))


@router.delete(
    "/{consent_id}",
    operation_id="revokeConsent",
    summary="Revoke a consent",
    response_model=ConsentResponse,
    responses=_responses(200, "The consent, revoked.") | problem_responses(*COMMON, errors.ConsentUnknown),
)
def revoke_consent(
    platform: Annotated[Platform, require_scope(Scope.CONSENTS_WRITE)],
    services: ServicesDep,
    consent_id: ConsentId,
    response: Response,
) -> ConsentResponse:
    """Revoke a consent: from the answer on nothing new is scored by it. Scores that were given stay readable.

    Once more changes nothing. The revocation is recorded on the bank's chain of the ledger.
    """
    with transaction(services.engine, writes=True) as connection:
        revoked = service.revoke_consent(connection, services.ledger, str(consent_id), platform.id)
    response.headers.update(PRIVATE)
    return ConsentResponse.of(revoked, datetime.now(UTC))


requests_router = APIRouter(prefix="/v1/consent-requests", tags=["consents"], route_class=AuthenticatedRoute)


def _request_responses(status: int, about: str, **headers: Any) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": about, "headers": {**headers, **RATE_HEADERS}}}


@requests_router.post(
    "",
    status_code=202,
    operation_id="createConsentRequest",
    summary="Ask for a seller's consent",
    response_model=ConsentRequestResponse,
    responses=_request_responses(202, "The request, or the one that is open already.", Location=LOCATION)
    | problem_responses(*COMMON, *BODY),
)
def create_consent_request(
    bank: Annotated[Bank, require_scope(Scope.CONSENT_REQUESTS_WRITE)],
    services: ServicesDep,
    request: ConsentRequestCreate,
    response: Response,
) -> ConsentRequestResponse:
    """Ask for a seller's consent; the platform shows it to the seller. The answer is the same if there is none.

    One request for a seller and purpose is open at a time, for 30 days; asking once more is answered with it, and so
    is asking once more in that time after the seller declined.
    """
    now = datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        made = service.create_request(connection, bank.id, request.seller_id, str(request.purpose), now)
    response.headers.update({**PRIVATE, "Location": f"/v1/consent-requests/{made.id}"})
    return ConsentRequestResponse.of(made, now)


@requests_router.get(
    "",
    operation_id="listConsentRequests",
    summary="List consent requests",
    response_model=ConsentRequestPage,
    responses=_request_responses(200, "A page of requests, newest first.") | problem_responses(*COMMON),
)
def list_consent_requests(
    caller: Annotated[Bank | Platform, require_scope(Scope.CONSENTS_READ)],
    services: ServicesDep,
    response: Response,
    *,
    seller_id: OfSeller = None,
    state: Annotated[ConsentRequestState | None, Query(description="Leave out those in another state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ConsentRequestPage:
    """List what a bank asked, or, to the platform, what any bank asked, to be shown to the seller whom it names.

    A seller_id is as the bank gave it: there may be no such seller.
    """
    now, bank_id = datetime.now(UTC), caller.id if isinstance(caller, Bank) else None
    with transaction(services.engine) as connection:
        after = resolve_cursor(cursor, lambda on: on if repository.is_request_listed(connection, bank_id, on) else None)
        found = repository.list_requests(connection, ConsentQuery(bank_id, seller_id, state, after, limit), now)
    kept, following = paginate(found, limit, lambda each: PagePosition(each.asked_at, each.id))
    response.headers.update(PRIVATE)
    return ConsentRequestPage(items=[ConsentRequestResponse.of(each, now) for each in kept], next_cursor=following)


@requests_router.get(
    "/{request_id}",
    operation_id="getConsentRequest",
    summary="Read a consent request",
    response_model=ConsentRequestResponse,
    responses=_request_responses(200, "The request as it stands.")
    | problem_responses(*COMMON, errors.ConsentRequestUnknown),
)
def get_consent_request(
    caller: Annotated[Bank | Platform, require_scope(Scope.CONSENTS_READ)],
    services: ServicesDep,
    request_id: RequestId,
    response: Response,
) -> ConsentRequestResponse:
    """Return a request as it stands now; another bank's is not known."""
    with transaction(services.engine) as connection:
        found = service.find_request(connection, caller.id if isinstance(caller, Bank) else None, str(request_id))
    response.headers.update(PRIVATE)
    return ConsentRequestResponse.of(found, datetime.now(UTC))


@requests_router.post(
    "/{request_id}/decline",
    operation_id="declineConsentRequest",
    summary="Decline a consent request",
    response_model=ConsentRequestResponse,
    responses=_request_responses(200, "The request, declined.")
    | problem_responses(*COMMON, errors.ConsentRequestUnknown, errors.ConsentRequestClosed),
)
def decline_consent_request(
    platform: Annotated[Platform, require_scope(Scope.CONSENTS_WRITE)],  # noqa: ARG001 - says who may call
    services: ServicesDep,
    request_id: RequestId,
    response: Response,
) -> ConsentRequestResponse:
    """Record that the seller declines; once more changes nothing. `POST /v1/consents` grants what was asked."""
    now = datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        declined = service.decline_request(connection, str(request_id), now)
    response.headers.update(PRIVATE)
    return ConsentRequestResponse.of(declined, now)
