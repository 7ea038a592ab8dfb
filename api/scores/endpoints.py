"""`/v1/scores`: score a seller, and read, list, compare and replay stored scores."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, RequestHandler, require_scope
from api.auth.scopes import Scope
from api.kit.etags import ETAG_HEADER, IfNoneMatch, etag_of, matches_any, not_modified
from api.kit.fields import ScoreId, SellerId
from api.kit.idempotency import HEADER, REPLAYED, IdempotencyKey, is_valid_key
from api.kit.openapi import BODY_PROBLEMS, LOCATION, NO_STORE, responses
from api.kit.pagination import Cursor, Limit
from api.scores import issuance, service
from api.scores.changes import compare_scores
from api.scores.envelope import EXPIRED, expiry_header, summarize
from api.scores.repository import StoredScore
from api.scores.schemas import Replay, Score, ScoreChanges, ScorePage, ScoreRequest, ScoreSummary
from api.services import ServicesDep


class _CreateScoreRoute(AuthenticatedRoute):
    """The route of `create_score`, which calls it directly if the request is valid.

    The framework takes longer to find the arguments of a function than a score takes. It still handles each request
    that is not valid as it stands, and names what is wrong.
    """

    def valid_request_handler(self, solve: RequestHandler) -> RequestHandler:
        async def handle(request: Request) -> Response:
            keys = request.headers.getlist(HEADER)
            is_plain = request.headers.get("content-type") == _JSON and not request.scope["query_string"]
            if not is_plain or len(keys) > 1 or not all(map(is_valid_key, keys)):
                return await solve(request)
            try:
                body = ScoreRequest.model_validate_json(await request.body())
            except ValidationError:
                return await solve(request)
            return await create_score(request.state.caller, request.app.state.services, body, next(iter(keys), None))

        return handle


create_router = APIRouter(prefix="/v1/scores", tags=["scores"], route_class=_CreateScoreRoute)
router = APIRouter(prefix="/v1/scores", tags=["scores"], route_class=AuthenticatedRoute)
replay_router = APIRouter(prefix="/v1/scores", tags=["scores"], route_class=AuthenticatedRoute)
"""On its own, so that the report of `web` precedes it in the OpenAPI document."""

_JSON: Final = "application/json"


class View(StrEnum):
    """How much of a score a response has."""

    FULL = "full"
    SUMMARY = "summary"


Viewed = Annotated[
    View,
    Query(
        description="`full`: the whole score with its receipt. `summary`: without the points of single features and "
        "without the receipt, which signs the whole score; a tenth of the size."
    ),
]

READ_PROBLEMS: Final = (
    errors.ScoreUnknown,
    errors.ScoreErased,
    errors.ScorePastRetention,
    errors.LedgerDamaged,
    errors.InvalidRequest,
)
"""The problems of every endpoint that reads a stored score."""

_REPLAYED_HEADER: Final = {
    REPLAYED: {
        "description": "`true` if an earlier request with the same Idempotency-Key issued the score; else absent.",
        "schema": {"type": "string"},
    }
}
_EXPIRED_HEADER: Final = {
    EXPIRED: {
        "description": "`true` after expires_at, else `false`. An expired score stays readable. Its signed body does "
        "not change, so this header marks it.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    }
}


@create_router.post(
    "",
    status_code=201,
    operation_id="createScore",
    summary="Score a seller",
    response_class=Response,
    responses=responses(
        201,
        "The stored score.",
        *BODY_PROBLEMS,
        errors.ConsentRequired,
        errors.SellerUnknown,
        errors.IdempotencyKeyInFlight,
        errors.ScoreErased,
        errors.ScorePastRetention,
        errors.IdempotencyKeyReused,
        errors.InvalidRequest,
        errors.LedgerDamaged,
        errors.ScoreNotExplained,
        errors.VectorsUnavailable,
        errors.VectorsDoNotFitModel,
        headers=LOCATION | _REPLAYED_HEADER,
        model=Score | ScoreSummary,
    ),
)
async def create_score(
    bank: Annotated[Bank, require_scope(Scope.SCORES_WRITE)],
    services: ServicesDep,
    request: ScoreRequest,
    key: IdempotencyKey = None,
    view: Viewed = View.FULL,
) -> Response:
    """Score a seller from the latest data, store the score and return it.

    An outcome without a number is also a score: `insufficient_history`, `inactive`, `insufficient_data`, `stale_data`.
    Send an `Idempotency-Key` to retry safely: a request with a used key issues no second score and returns the stored
    response, byte for byte. A request that failed does not use its key. The service stores keys for some days, by
    default a week.
    """
    issued = await issuance.issue_score(services, bank.id, request, key=key)
    replayed = {REPLAYED: "true"} if issued.replayed else {}
    return _response(_body(issued.score, view), 201, {"Location": f"/v1/scores/{issued.score.id}", **replayed})


@router.get(
    "",
    operation_id="listScores",
    summary="List scores, newest first",
    response_model=ScorePage,
    responses=responses(200, "A page of scores.", errors.InvalidRequest),
)
def get_scores(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)],
    services: ServicesDep,
    *,
    seller_id: Annotated[SellerId | None, Query(description="Only scores of this seller.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ScorePage:
    """Return the bank's own scores, newest first, in pages.

    Follow `next_cursor` until it is null. New scores appear before the first page and move no other item. Items are
    short; `GET /v1/scores/{id}` returns the whole score. A seller without scores has an empty list.
    """
    return service.list_scores(services, bank.id, seller_id, (cursor, limit), datetime.now(UTC))


@router.get(
    "/{score_id}",
    operation_id="getScore",
    summary="Read a stored score",
    response_class=Response,
    responses=responses(
        200,
        "The score, byte for byte as issued.",
        *READ_PROBLEMS,
        headers=_EXPIRED_HEADER | ETAG_HEADER,
        model=Score | ScoreSummary,
    )
    | not_modified(_EXPIRED_HEADER | ETAG_HEADER),
)
def get_score(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)],
    services: ServicesDep,
    score_id: ScoreId,
    *,
    view: Viewed = View.FULL,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return a stored score, byte for byte as the request that issued it. A bank reads its own scores only.

    A score never changes. With its ETag in `If-None-Match`, the response is 304 without a body.
    """
    score = service.get_score(services, bank.id, str(score_id))
    body = _body(score, view)
    tag = etag_of(body)
    headers = {"ETag": tag, **expiry_header(score.body, datetime.now(UTC))}
    if if_none_match is not None and matches_any(if_none_match, tag):
        return Response(None, 304, {**NO_STORE, **headers})
    return _response(body, 200, headers)


@router.get(
    "/{score_id}/changes",
    operation_id="getScoreChanges",
    summary="Compare a score with an earlier one",
    response_model=ScoreChanges,
    responses=responses(
        200,
        "The differences, which sum exactly.",
        *READ_PROBLEMS,
        errors.ScoresNotComparable,
        errors.BundleNotKept,
        errors.ScoreNotReplayable,
    ),
)
def get_changes(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)],
    services: ServicesDep,
    score_id: ScoreId,
    since: Annotated[UUID, Query(description="ID of an earlier score of the same seller.")],
) -> ScoreChanges:
    """Compare a score with an earlier score of the same seller: points by feature and by model sum to the difference.

    Both scores are used as issued. `basis` states how they were compared. A score without a number has no difference.
    Rounding to whole points is part of the points of the features, so the sums are exact.
    """
    return compare_scores(services, bank.id, str(score_id), str(since))


@replay_router.post(
    "/{score_id}/replay",
    operation_id="replayScore",
    summary="Replay a stored score",
    response_model=Replay,
    responses=responses(
        200,
        "Whether the replay matches, and the differences.",
        *READ_PROBLEMS,
        errors.BundleNotKept,
        errors.ScoreNotReplayable,
    ),
)
def replay_score(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)],
    services: ServicesDep,
    score_id: ScoreId,
) -> Replay:
    """Recompute the assessment from the stored inputs with the bundle of the score; nothing is stored.

    A difference means that stored data were changed. The response lists each difference.
    """
    differences = service.replay_score(services, bank.id, str(score_id))
    return Replay(matches=not differences, differences=differences)


def _body(score: StoredScore, view: View) -> bytes:
    return summarize(score.body) if view is View.SUMMARY else score.body


def _response(body: bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(body, status, {**NO_STORE, **headers}, _JSON)
