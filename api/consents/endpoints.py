"""`/v1/consents` and `/v1/consent-requests`: record, read and revoke consents; request, read and decline them."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, Platform, require_scope
from api.auth.scopes import Scope
from api.consents import repository, service
from api.consents.repository import (
    ConsentQuery,
    ConsentRequestState,
    ConsentState,
    consent_requests,
    consents,
    find_position,
)
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
from api.kit.openapi import BODY_PROBLEMS, LOCATION, responses
from api.kit.pagination import Cursor, Limit, PagePosition, paginate, resolve_cursor
from api.services import ServicesDep

router = APIRouter(prefix="/v1/consents", tags=["consents"], route_class=AuthenticatedRoute)
requests_router = APIRouter(prefix="/v1/consent-requests", tags=["consents"], route_class=AuthenticatedRoute)

OfSeller = Annotated[SellerId | None, Query(description="Only of this seller.", examples=["S-000001"])]


@router.post(
    "",
    status_code=201,
    operation_id="createConsent",
    summary="Record a seller's consent",
    responses=responses(
        201,
        "The recorded consent.",
        *BODY_PROBLEMS,
        errors.InvalidRequest,
        errors.BankUnknown,
        headers=LOCATION,
    ),
)
def create_consent(
    platform: Annotated[Platform, require_scope(Scope.CONSENTS_WRITE)],
    services: ServicesDep,
    consent: ConsentCreate,
    response: Response,
) -> ConsentResponse:
    """Record that a seller allows a bank to score them for a purpose and a time. The bank can score from then on.

    The consent replaces an active consent for the same bank and purpose, and grants a pending request of the bank. It
    is recorded on the bank's chain of the ledger. The same request again returns the existing consent.

    A consent may precede the first delivery of the seller's data, so the seller_id is not checked. Until then, the bank
    gets 404 `unknown-seller` for a score.
    """
    with transaction(services.engine, writes=True) as connection:
        service.require_bank(connection, services.auth.clients, consent.terms.bank_id)
        created = service.grant_consent(connection, services.ledger, consent.terms, platform.id)
    response.headers["Location"] = f"/v1/consents/{created.id}"
    return ConsentResponse.of(created, datetime.now(UTC))


@router.get(
    "",
    operation_id="listConsents",
    summary="List consents",
    responses=responses(200, "A page of consents, newest first.", errors.InvalidRequest),
)
def list_consents(
    caller: Annotated[Bank | Platform, require_scope(Scope.CONSENTS_READ)],
    services: ServicesDep,
    *,
    seller_id: OfSeller = None,
    state: Annotated[ConsentState | None, Query(description="Only in this state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ConsentPage:
    """List the consents of a bank, or of all banks for the platform, active or not."""
    now, bank_id = datetime.now(UTC), _bank_id(caller)
    with transaction(services.engine) as connection:
        after = resolve_cursor(cursor, lambda place: find_position(connection, consents.c.recorded_at, bank_id, place))
        rows = repository.list_consents(connection, ConsentQuery(bank_id, seller_id, state, after, limit), now)
    items, next_cursor = paginate(rows, limit, lambda consent: PagePosition(consent.recorded_at, consent.id))
    return ConsentPage(items=[ConsentResponse.of(item, now) for item in items], next_cursor=next_cursor)


@router.get(
    "/{consent_id}",
    operation_id="getConsent",
    summary="Read a consent",
    responses=responses(200, "The consent.", errors.InvalidRequest, errors.ConsentUnknown),
)
def get_consent(
    caller: Annotated[Bank | Platform, require_scope(Scope.CONSENTS_READ)],
    services: ServicesDep,
    consent_id: ConsentId,
) -> ConsentResponse:
    """Return a consent in its current state. A bank reads its own consents only."""
    with transaction(services.engine) as connection:
        consent = service.find_consent(connection, _bank_id(caller), str(consent_id))
    return ConsentResponse.of(consent, datetime.now(UTC))


@router.delete(
    "/{consent_id}",
    operation_id="revokeConsent",
    summary="Revoke a consent",
    responses=responses(200, "The revoked consent.", errors.InvalidRequest, errors.ConsentUnknown),
)
def revoke_consent(
    platform: Annotated[Platform, require_scope(Scope.CONSENTS_WRITE)],
    services: ServicesDep,
    consent_id: ConsentId,
) -> ConsentResponse:
    """Revoke a consent. No new score uses it from then on; issued scores stay readable.

    Revoking again changes nothing. The revocation is recorded on the bank's chain of the ledger.
    """
    with transaction(services.engine, writes=True) as connection:
        revoked = service.revoke_consent(connection, services.ledger, str(consent_id), platform.id)
    return ConsentResponse.of(revoked, datetime.now(UTC))


@requests_router.post(
    "",
    status_code=202,
    operation_id="createConsentRequest",
    summary="Request a seller's consent",
    responses=responses(
        202, "The request, new or already open.", *BODY_PROBLEMS, errors.InvalidRequest, headers=LOCATION
    ),
)
def create_consent_request(
    bank: Annotated[Bank, require_scope(Scope.CONSENT_REQUESTS_WRITE)],
    services: ServicesDep,
    request: ConsentRequestCreate,
    response: Response,
) -> ConsentRequestResponse:
    """Request a seller's consent. The platform shows it to the seller; an unknown seller gets the same response.

    One request per seller and purpose is open at a time, for 30 days. Another request in that time returns the open
    one, also if the seller has declined it.
    """
    now = datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        created = service.create_request(connection, bank.id, request.seller_id, str(request.purpose), now)
    response.headers["Location"] = f"/v1/consent-requests/{created.id}"
    return ConsentRequestResponse.of(created, now)


@requests_router.get(
    "",
    operation_id="listConsentRequests",
    summary="List consent requests",
    responses=responses(200, "A page of requests, newest first.", errors.InvalidRequest),
)
def list_consent_requests(
    caller: Annotated[Bank | Platform, require_scope(Scope.CONSENTS_READ)],
    services: ServicesDep,
    *,
    seller_id: OfSeller = None,
    state: Annotated[ConsentRequestState | None, Query(description="Only in this state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ConsentRequestPage:
    """List the requests of a bank, or of all banks for the platform, which shows them to the named seller.

    A seller_id is as the bank sent it; the seller may not exist.
    """
    now, bank_id = datetime.now(UTC), _bank_id(caller)
    with transaction(services.engine) as connection:
        after = resolve_cursor(
            cursor, lambda place: find_position(connection, consent_requests.c.asked_at, bank_id, place)
        )
        rows = repository.list_requests(connection, ConsentQuery(bank_id, seller_id, state, after, limit), now)
    items, next_cursor = paginate(rows, limit, lambda request: PagePosition(request.asked_at, request.id))
    return ConsentRequestPage(items=[ConsentRequestResponse.of(item, now) for item in items], next_cursor=next_cursor)


@requests_router.get(
    "/{request_id}",
    operation_id="getConsentRequest",
    summary="Read a consent request",
    responses=responses(200, "The request.", errors.InvalidRequest, errors.ConsentRequestUnknown),
)
def get_consent_request(
    caller: Annotated[Bank | Platform, require_scope(Scope.CONSENTS_READ)],
    services: ServicesDep,
    request_id: RequestId,
) -> ConsentRequestResponse:
    """Return a request in its current state. A bank reads its own requests only."""
    with transaction(services.engine) as connection:
        request = service.find_request(connection, _bank_id(caller), str(request_id))
    return ConsentRequestResponse.of(request, datetime.now(UTC))


@requests_router.post(
    "/{request_id}/decline",
    operation_id="declineConsentRequest",
    summary="Decline a consent request",
    responses=responses(
        200, "The declined request.", errors.InvalidRequest, errors.ConsentRequestUnknown, errors.ConsentRequestClosed
    ),
)
def decline_consent_request(
    _: Annotated[Platform, require_scope(Scope.CONSENTS_WRITE)],
    services: ServicesDep,
    request_id: RequestId,
) -> ConsentRequestResponse:
    """Record that the seller declines. Declining again changes nothing. `POST /v1/consents` grants a request."""
    now = datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        declined = service.decline_request(connection, str(request_id), now)
    return ConsentRequestResponse.of(declined, now)


def _bank_id(caller: Bank | Platform) -> str | None:
    return caller.id if isinstance(caller, Bank) else None
