"""`POST` and `GET /v1/consent-requests`, one of them, and `POST /v1/consent-requests/{id}/decline`."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api import errors
from api.access.callers import RATE_HEADERS, Bank, CallerFirst, Platform, needs
from api.access.rights import Scope
from api.consents.endpoints import BODY, COMMON, LOCATION, PRIVATE, OfSeller
from api.consents.repository import Wanted
from api.consents.requests import repository, service
from api.consents.requests.repository import State
from api.consents.requests.schemas import ConsentAsked, ConsentRequestPage, ConsentRequestShown
from api.cursors import After, Cursor, Limit, given, page
from api.database import transaction
from api.ids import RequestId
from api.problems import problem_responses
from api.services import Wired

router = APIRouter(prefix="/v1/consent-requests", tags=["consents"], route_class=CallerFirst)


def _answers(status: int, about: str, **headers: Any) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": about, "headers": {**headers, **RATE_HEADERS}}}


@router.post(
    "",
    status_code=202,
    operation_id="createConsentRequest",
    summary="Ask for a seller's consent",
    response_model=ConsentRequestShown,
    responses=_answers(202, "The request, or the one that is open already.", Location=LOCATION)
    | problem_responses(*COMMON, *BODY),
)
def create_consent_request(
    bank: Annotated[Bank, needs(Scope.CONSENT_REQUESTS_WRITE)],
    services: Wired,
    request: ConsentAsked,
    response: Response,
) -> ConsentRequestShown:
    """Ask for a seller's consent; the platform shows it to the seller. The answer is the same if there is none.

    One request for a seller and purpose is open at a time, for 30 days; asking once more is answered with it, and so
    is asking once more in that time after the seller declined.
    """
    now = datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        made = service.ask(connection, bank.id, request.seller_id, str(request.purpose), now)
    response.headers.update({**PRIVATE, "Location": f"/v1/consent-requests/{made.id}"})
    return ConsentRequestShown.of(made, now)


@router.get(
    "",
    operation_id="listConsentRequests",
    summary="List consent requests",
    response_model=ConsentRequestPage,
    responses=_answers(200, "A page of requests, newest first.") | problem_responses(*COMMON),
)
def list_consent_requests(
    caller: Annotated[Bank | Platform, needs(Scope.CONSENTS_READ)],
    services: Wired,
    response: Response,
    *,
    seller_id: OfSeller = None,
    state: Annotated[State | None, Query(description="Leave out those in another state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ConsentRequestPage:
    """List what a bank asked, or, to the platform, what any bank asked, to be shown to the seller whom it names.

    A seller_id is as the bank gave it: there may be no such seller.
    """
    now, bank_id = datetime.now(UTC), caller.id if isinstance(caller, Bank) else None
    with transaction(services.engine) as connection:
        after = given(cursor, lambda on: on if repository.is_listed(connection, bank_id, on) else None)
        found = repository.listed(connection, Wanted(bank_id, seller_id, state, after, limit), now)
    kept, following = page(found, limit, lambda each: After(each.asked_at, each.id))
    response.headers.update(PRIVATE)
    return ConsentRequestPage(items=[ConsentRequestShown.of(each, now) for each in kept], next_cursor=following)


@router.get(
    "/{request_id}",
    operation_id="getConsentRequest",
    summary="Read a consent request",
    response_model=ConsentRequestShown,
    responses=_answers(200, "The request as it stands.") | problem_responses(*COMMON, errors.ConsentRequestUnknown),
)
def get_consent_request(
    caller: Annotated[Bank | Platform, needs(Scope.CONSENTS_READ)],
    services: Wired,
    request_id: RequestId,
    response: Response,
) -> ConsentRequestShown:
    """Return a request as it stands now; another bank's is not known."""
    with transaction(services.engine) as connection:
        found = service.find(connection, caller.id if isinstance(caller, Bank) else None, str(request_id))
    response.headers.update(PRIVATE)
    return ConsentRequestShown.of(found, datetime.now(UTC))


@router.post(
    "/{request_id}/decline",
    operation_id="declineConsentRequest",
    summary="Decline a consent request",
    response_model=ConsentRequestShown,
    responses=_answers(200, "The request, declined.")
    | problem_responses(*COMMON, errors.ConsentRequestUnknown, errors.ConsentRequestClosed),
)
def decline_consent_request(
    platform: Annotated[Platform, needs(Scope.CONSENTS_WRITE)],  # noqa: ARG001 - says who may call
    services: Wired,
    request_id: RequestId,
    response: Response,
) -> ConsentRequestShown:
    """Record that the seller declines; once more changes nothing. `POST /v1/consents` grants what was asked."""
    now = datetime.now(UTC)
    with transaction(services.engine, writes=True) as connection:
        declined = service.decline(connection, str(request_id), now)
    response.headers.update(PRIVATE)
    return ConsentRequestShown.of(declined, now)
