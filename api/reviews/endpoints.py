"""`/v1/reviews`: list, read, assign and decide reviews."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api import errors
from api.auth.callers import AuthenticatedRoute, Operator, require_scope
from api.auth.scopes import Scope
from api.kit.database import transaction
from api.kit.fields import ReviewId, SellerId
from api.kit.openapi import BODY_PROBLEMS, LOCATION, responses
from api.kit.pagination import Cursor, Limit, PagePosition, paginate, resolve_cursor
from api.reviews import corrections, repository, service
from api.reviews.repository import ReviewQuery, ReviewState
from api.reviews.schemas import (
    DecisionCreate,
    PreviewCreate,
    PreviewResponse,
    ReversalCreate,
    ReviewPage,
    ReviewResponse,
)
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


_SCORING_PROBLEMS: Final = (
    errors.InvalidRequest,
    errors.ReviewUnknown,
    errors.SellerUnknown,
    errors.VectorsUnavailable,
    errors.VectorsDoNotFitModel,
    errors.ScoreNotExplained,
)


@router.post(
    "/{review_id}/preview",
    operation_id="previewCorrection",
    summary="Preview a correction",
    responses=responses(200, "The effect of the correction.", *BODY_PROBLEMS, *_SCORING_PROBLEMS),
)
def preview_correction(
    operator: Annotated[Operator, require_scope(Scope.REVIEWS_WRITE)],
    services: ServicesDep,
    review_id: ReviewId,
    correction: PreviewCreate,
) -> PreviewResponse:
    """Return value, unit, allowed range and the effect on score and band of a correction. Nothing is stored.

    A value out of the allowed range is refused: 4 for 4% would be 400%.
    """
    now = datetime.now(UTC)
    with transaction(services.engine) as connection:
        review = service.find_review(connection, str(review_id))
        figure = corrections.Figure(review.seller_id, correction.feature or review.feature, correction.value)
        preview = corrections.preview_correction(services, connection, figure, now)
    corrections.log_preview(preview, review.id, operator.id)
    preview.require_range()
    return PreviewResponse.of(preview)


@router.post(
    "/{review_id}/decision",
    operation_id="decideReview",
    summary="Decide a review",
    responses=responses(
        200,
        "The decided review.",
        *BODY_PROBLEMS,
        *_SCORING_PROBLEMS,
        errors.ReviewDecided,
        errors.CorrectionUnconfirmed,
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
    to the score that it replaces. If it changes the band, the decision must name the new band. `POST
    /v1/reviews/{id}/reversal` restores the delivered value.
    """
    review = service.decide_review(services, str(review_id), operator.id, decision.decision)
    return ReviewResponse.of(review, datetime.now(UTC))


@router.post(
    "/{review_id}/reversal",
    status_code=201,
    operation_id="reverseCorrection",
    summary="Reverse a correction",
    responses=responses(
        201,
        "The review that records the reversal.",
        *BODY_PROBLEMS,
        *_SCORING_PROBLEMS,
        errors.CorrectionNotActive,
        errors.CorrectionUnconfirmed,
        headers=LOCATION,
    ),
)
def reverse_correction(
    operator: Annotated[Operator, require_scope(Scope.REVIEWS_WRITE)],
    services: ServicesDep,
    review_id: ReviewId,
    reversal: ReversalCreate,
    response: Response,
) -> ReviewResponse:
    """Restore the delivered value of a figure that a review corrected. The seller gets a new score.

    The seller reads the reason. The ledger records the reversal as a review of its own, of the kind `reversal`. If it
    changes the band, it must name the new band.
    """
    review = service.reverse_decision(
        services, str(review_id), operator.id, reversal.reason, confirm_band=reversal.confirm_band
    )
    response.headers["Location"] = f"/v1/reviews/{review.id}"
    return ReviewResponse.of(review, datetime.now(UTC))
