"""`GET /v1/reviews`, one of them, `POST /v1/reviews/{id}/take` and `POST /v1/reviews/{id}/decision`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from api import errors
from api.auth.callers import AuthenticatedRoute, Operator, require_scope
from api.auth.scopes import Scope
from api.kit.database import transaction
from api.kit.fields import ReviewId, SellerId
from api.kit.openapi import CALLER_PROBLEMS, RATE_HEADERS, problem_responses
from api.kit.pagination import Cursor, Limit, PagePosition, paginate, resolve_cursor
from api.reviews import repository, service
from api.reviews.repository import ReviewQuery, ReviewState
from api.reviews.schemas import DecisionCreate, ReviewPage, ReviewResponse
from api.services import ServicesDep

router = APIRouter(prefix="/v1/reviews", tags=["reviews"], route_class=AuthenticatedRoute)

_COMMON: Final = (*CALLER_PROBLEMS, errors.InternalError, errors.DatabaseUnavailable, errors.InvalidRequest)
_BODY: Final = (errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType)
_PRIVATE: Final = {"Cache-Control": "no-store"}


def _responses(about: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": about, "headers": RATE_HEADERS}}


@router.get(
    "",
    operation_id="listReviews",
    summary="List what sellers ask to have looked at",
    response_model=ReviewPage,
    responses=_responses("A page of reviews, newest first.") | problem_responses(*_COMMON),
)
def list_reviews(
    operator: Annotated[Operator, require_scope(Scope.REVIEWS_READ)],  # noqa: ARG001 - says who may call
    services: ServicesDep,
    response: Response,
    *,
    seller_id: Annotated[
        SellerId | None, Query(description="Leave out all other sellers'.", examples=["S-000001"])
    ] = None,
    state: Annotated[ReviewState | None, Query(description="Leave out those in another state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ReviewPage:
    """List disputes of figures and reviews of scores; each is to be decided within 30 days."""
    now = datetime.now(UTC)
    with transaction(services.engine) as connection:
        after = resolve_cursor(cursor, lambda on: on if repository.is_listed(connection, on) else None)
        found = repository.list_reviews(connection, ReviewQuery(seller_id, state, after, limit))
    kept, following = paginate(found, limit, lambda each: PagePosition(each.opened_at, each.id))
    response.headers.update(_PRIVATE)
    return ReviewPage(items=[ReviewResponse.of(each, now) for each in kept], next_cursor=following)


@router.get(
    "/{review_id}",
    operation_id="getReview",
    summary="Read a review",
    response_model=ReviewResponse,
    responses=_responses("The review as it stands.") | problem_responses(*_COMMON, errors.ReviewUnknown),
)
def get_review(
    operator: Annotated[Operator, require_scope(Scope.REVIEWS_READ)],  # noqa: ARG001 - says who may call
    services: ServicesDep,
    review_id: ReviewId,
    response: Response,
) -> ReviewResponse:
    """Return a review as it stands now."""
    with transaction(services.engine) as connection:
        found = service.find_review(connection, str(review_id))
    response.headers.update(_PRIVATE)
    return ReviewResponse.of(found, datetime.now(UTC))


@router.post(
    "/{review_id}/take",
    operation_id="takeReview",
    summary="Take a review up",
    response_model=ReviewResponse,
    responses=_responses("The review, taken up.")
    | problem_responses(*_COMMON, errors.ReviewUnknown, errors.ReviewDecided),
)
def take_review(
    operator: Annotated[Operator, require_scope(Scope.REVIEWS_WRITE)],
    services: ServicesDep,
    review_id: ReviewId,
    response: Response,
) -> ReviewResponse:
    """Say that one looks at it; the seller sees that. One that another operator has is taken over."""
    taken = service.assign(services, str(review_id), operator.id)
    response.headers.update(_PRIVATE)
    return ReviewResponse.of(taken, datetime.now(UTC))


@router.post(
    "/{review_id}/decision",
    operation_id="decideReview",
    summary="Decide a review",
    response_model=ReviewResponse,
    responses=_responses("The review, decided.")
    | problem_responses(
        *_COMMON,
        *_BODY,
        errors.ReviewUnknown,
        errors.ReviewDecided,
        errors.SellerUnknown,
        errors.VectorsUnavailable,
        errors.VectorsDoNotFitModel,
        errors.ScoreNotExplained,
    ),
)
def decide_review(
    operator: Annotated[Operator, require_scope(Scope.REVIEWS_WRITE)],
    services: ServicesDep,
    review_id: ReviewId,
    given: DecisionCreate,
    response: Response,
) -> ReviewResponse:
    """Decide, once and with a reason, which the seller reads and the ledger keeps.

    A corrected figure holds for the data of this midnight: the seller is scored anew with it at once, and the new score
    names the one that it takes the place of.
    """
    decided = service.decide_review(services, str(review_id), operator.id, given.decision)
    response.headers.update(_PRIVATE)
    return ReviewResponse.of(decided, datetime.now(UTC))
