"""`GET /v1/reviews`, one of them, `POST /v1/reviews/{id}/take` and `POST /v1/reviews/{id}/decision`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from api import errors
from api.access.callers import RATE_HEADERS, REFUSALS, CallerFirst, Operator, needs
from api.access.rights import Scope
from api.cursors import After, Cursor, Limit, given, page
from api.database import transaction
from api.ids import ReviewId
from api.problems import problem_responses
from api.reviews import repository, service
from api.reviews.repository import State, Wanted
from api.reviews.schemas import DecisionGiven, ReviewPage, ReviewShown
from api.scores.schemas import SellerId
from api.services import Wired

router = APIRouter(prefix="/v1/reviews", tags=["reviews"], route_class=CallerFirst)

_COMMON: Final = (*REFUSALS, errors.InternalError, errors.DatabaseUnavailable, errors.InvalidRequest)
_BODY: Final = (errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType)
_PRIVATE: Final = {"Cache-Control": "no-store"}


def _answers(about: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": about, "headers": RATE_HEADERS}}


@router.get(
    "",
    operation_id="listReviews",
    summary="List what sellers ask to have looked at",
    response_model=ReviewPage,
    responses=_answers("A page of reviews, newest first.") | problem_responses(*_COMMON),
)
def list_reviews(
    operator: Annotated[Operator, needs(Scope.REVIEWS_READ)],  # noqa: ARG001 - says who may call
    services: Wired,
    response: Response,
    *,
    seller_id: Annotated[
        SellerId | None, Query(description="Leave out all other sellers'.", examples=["S-000001"])
    ] = None,
    state: Annotated[State | None, Query(description="Leave out those in another state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ReviewPage:
    """List disputes of figures and reviews of scores; each is to be decided within 30 days."""
    now = datetime.now(UTC)
    with transaction(services.engine) as connection:
        after = given(cursor, lambda on: on if repository.is_listed(connection, on) else None)
        found = repository.listed(connection, Wanted(seller_id, state, after, limit))
    kept, following = page(found, limit, lambda each: After(each.opened_at, each.id))
    response.headers.update(_PRIVATE)
    return ReviewPage(items=[ReviewShown.of(each, now) for each in kept], next_cursor=following)


@router.get(
    "/{review_id}",
    operation_id="getReview",
    summary="Read a review",
    response_model=ReviewShown,
    responses=_answers("The review as it stands.") | problem_responses(*_COMMON, errors.ReviewUnknown),
)
def get_review(
    operator: Annotated[Operator, needs(Scope.REVIEWS_READ)],  # noqa: ARG001 - says who may call
    services: Wired,
    review_id: ReviewId,
    response: Response,
) -> ReviewShown:
    """Return a review as it stands now."""
    with transaction(services.engine) as connection:
        found = service.find(connection, str(review_id))
    response.headers.update(_PRIVATE)
    return ReviewShown.of(found, datetime.now(UTC))


@router.post(
    "/{review_id}/take",
    operation_id="takeReview",
    summary="Take a review up",
    response_model=ReviewShown,
    responses=_answers("The review, taken up.")
    | problem_responses(*_COMMON, errors.ReviewUnknown, errors.ReviewDecided),
)
def take_review(
    operator: Annotated[Operator, needs(Scope.REVIEWS_WRITE)], services: Wired, review_id: ReviewId, response: Response
) -> ReviewShown:
    """Say that one looks at it; the seller sees that. One that another operator has is taken over."""
    taken = service.take(services, str(review_id), operator.id)
    response.headers.update(_PRIVATE)
    return ReviewShown.of(taken, datetime.now(UTC))


@router.post(
    "/{review_id}/decision",
    operation_id="decideReview",
    summary="Decide a review",
    response_model=ReviewShown,
    responses=_answers("The review, decided.")
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
    operator: Annotated[Operator, needs(Scope.REVIEWS_WRITE)],
    services: Wired,
    review_id: ReviewId,
    given: DecisionGiven,
    response: Response,
) -> ReviewShown:
    """Decide, once and with a reason, which the seller reads and the ledger keeps.

    A corrected figure holds for the data of this midnight: the seller is scored anew with it at once, and the new score
    names the one that it takes the place of.
    """
    decided = service.decide(services, str(review_id), operator.id, given.decision)
    response.headers.update(_PRIVATE)
    return ReviewShown.of(decided, datetime.now(UTC))
