"""`/v1/reviews`: list, read, assign and decide reviews."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api import errors
from api.auth.callers import AuthenticatedRoute, Operator, require_scope
from api.auth.scopes import Scope
from api.kit.database import transaction
from api.kit.fields import ReviewId, SellerId
from api.kit.openapi import BODY_PROBLEMS, responses
from api.kit.pagination import Cursor, Limit, PagePosition, paginate, resolve_cursor
from api.reviews import repository, service
from api.reviews.repository import ReviewQuery, ReviewState
from api.reviews.schemas import DecisionCreate, ReviewPage, ReviewResponse
from api.services import ServicesDep

router = APIRouter(prefix="/v1/reviews", tags=["reviews"], route_class=AuthenticatedRoute)


@router.get(
    "",
    operation_id="listReviews",
    summary="List reviews",
    responses=responses(200, "A page of reviews, newest first.", errors.InvalidRequest),
)
def list_reviews(
    _: Annotated[Operator, require_scope(Scope.REVIEWS_READ)],
    services: ServicesDep,
    *,
    seller_id: Annotated[SellerId | None, Query(description="Only of this seller.", examples=["S-000001"])] = None,
    state: Annotated[ReviewState | None, Query(description="Only in this state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ReviewPage:
    """List disputes of figures and reviews of scores. Each must be decided within 30 days."""
    now = datetime.now(UTC)
    with transaction(services.engine) as connection:
        after = resolve_cursor(cursor, lambda place: repository.find_position(connection, place))
        rows = repository.list_reviews(connection, ReviewQuery(seller_id, state, after, limit))
    items, next_cursor = paginate(rows, limit, lambda review: PagePosition(review.opened_at, review.id))
    return ReviewPage(items=[ReviewResponse.of(item, now) for item in items], next_cursor=next_cursor)


@router.get(
    "/{review_id}",
    operation_id="getReview",
    summary="Read a review",
    responses=responses(200, "The review.", errors.InvalidRequest, errors.ReviewUnknown),
)
def get_review(
    _: Annotated[Operator, require_scope(Scope.REVIEWS_READ)],
    services: ServicesDep,
    review_id: ReviewId,
) -> ReviewResponse:
    """Return a review in its current state."""
    with transaction(services.engine) as connection:
        review = service.find_review(connection, str(review_id))
    return ReviewResponse.of(review, datetime.now(UTC))


@router.post(
    "/{review_id}/take",
    operation_id="takeReview",
    summary="Assign a review to yourself",
    responses=responses(200, "The assigned review.", errors.InvalidRequest, errors.ReviewUnknown, errors.ReviewDecided),
)
def take_review(
    operator: Annotated[Operator, require_scope(Scope.REVIEWS_WRITE)],
    services: ServicesDep,
    review_id: ReviewId,
) -> ReviewResponse:
    """Assign a review to the calling operator, also if another one has it. The seller sees that it is in review."""
    review = service.assign(services, str(review_id), operator.id)
    return ReviewResponse.of(review, datetime.now(UTC))


@router.post(
    "/{review_id}/decision",
    operation_id="decideReview",
    summary="Decide a review",
    responses=responses(
        200,
        "The decided review.",
        *BODY_PROBLEMS,
        errors.InvalidRequest,
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
    decision: DecisionCreate,
) -> ReviewResponse:
    """Decide a review with a reason, which the seller reads and the ledger records. A decision is final.

    A correction applies to the data of the current midnight. The seller gets a new score with it at once, which refers
    to the score that it replaces.
    """
    review = service.decide_review(services, str(review_id), operator.id, decision.decision)
    return ReviewResponse.of(review, datetime.now(UTC))
