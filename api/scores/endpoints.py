"""`POST` and `GET /v1/scores`, and of one score: itself, its replay, its changes and its report."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, require_scope
from api.auth.scopes import Scope
from api.kit.fields import ScoreId, SellerId
from api.kit.idempotency import REPLAYED, IdempotencyKey
from api.kit.openapi import CALLER_PROBLEMS, RATE_HEADERS, problem_responses
from api.kit.pagination import Cursor, Limit
from api.scores import issuance, service
from api.scores.changes import compare_scores
from api.scores.envelope import EXPIRED, expiry_header
from api.scores.repository import StoredScore
from api.scores.schemas import DifferenceResponse, Replay, Score, ScoreChanges, ScorePage, ScoreRequest
from api.services import ServicesDep
from api.web.report import report_page

router = APIRouter(prefix="/v1/scores", tags=["scores"], route_class=AuthenticatedRoute)

_PRIVATE: Final = {"Cache-Control": "no-store"}
_COMMON: Final = (*CALLER_PROBLEMS, errors.InternalError, errors.DatabaseUnavailable)
_UNREADABLE: Final = (errors.ScoreUnknown, errors.ScoreErased, errors.ScorePastRetention, errors.LedgerDamaged)
_CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "The score, as it is stored.",
        "model": Score,
        "headers": {
            "Location": {"description": "Where to read it again.", "schema": {"type": "string"}},
            REPLAYED: {
                "description": "`true` where the answer was given before, to the same Idempotency-Key; else absent.",
                "schema": {"type": "string"},
            },
            **RATE_HEADERS,
        },
    }
}
_READ: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The score, byte for byte as it was answered.",
        "model": Score,
        "headers": {
            EXPIRED: {
                "description": "`true` once expires_at is over, else `false`. An expired score stays readable; what it "
                "says is as it was signed, so the mark stands here.",
                "schema": {"type": "string", "enum": ["true", "false"]},
            },
            **RATE_HEADERS,
        },
    }
}
_LISTED: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "A page.", "headers": RATE_HEADERS}}
_COMPARED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "What changed, adding up exactly.", "headers": RATE_HEADERS}
}
_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The page.",
        "content": {"text/html": {"schema": {"type": "string"}}},
        "headers": RATE_HEADERS,
    }
}
_REPLAYED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Whether it is the same, or where not.", "headers": RATE_HEADERS}
}


@router.post(
    "",
    status_code=201,
    operation_id="createScore",
    summary="Score a seller now",
    response_class=Response,
    responses=_CREATED
    | problem_responses(
        *_COMMON,
        errors.MalformedJson,
        errors.ConsentRequired,
        errors.SellerUnknown,
        errors.IdempotencyKeyInFlight,
        errors.ScoreErased,
        errors.ScorePastRetention,
        errors.BodyTooLarge,
        errors.UnsupportedMediaType,
        errors.IdempotencyKeyReused,
        errors.InvalidRequest,
        errors.LedgerDamaged,
        errors.ScoreNotExplained,
        errors.VectorsUnavailable,
        errors.VectorsDoNotFitModel,
    ),
)
async def create_score(
    bank: Annotated[Bank, require_scope(Scope.SCORES_WRITE)],
    services: ServicesDep,
    request: ScoreRequest,
    key: IdempotencyKey,
) -> Response:
    """Score the seller from the latest data, store the score and return it.

    An outcome without a number is an answer too: `insufficient_history`, `inactive`, `insufficient_data`, `stale_data`.
    Send an `Idempotency-Key`: a request that is sent again with its key makes no second score and gets the stored
    answer, byte for byte, whatever has changed since. What was refused or failed leaves the key free. A key is
    remembered for some days (a week unless the operator says otherwise).
    """
    made = await issuance.issue_score(services, issuance.ScoreWanted(bank.id, request, key))
    again = {REPLAYED: "true"} if made.replayed else {}
    return _response(made.score, 201, {"Location": f"/v1/scores/{made.score.id}", **again})


@router.get(
    "",
    operation_id="listScores",
    summary="List one's scores, newest first",
    response_model=ScorePage,
    responses=_LISTED | problem_responses(*_COMMON, errors.InvalidRequest),
)
def get_scores(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)],
    services: ServicesDep,
    response: Response,
    *,
    seller_id: Annotated[SellerId | None, Query(description="Only this seller's: the history of one seller.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ScorePage:
    """Return the bank's own scores, the last recorded first, a page at a time; of one seller, if named.

    Follow `next_cursor` until it is null. Scores made meanwhile come before the first page and move none of the others.
    Items are light; `GET /v1/scores/{id}` has the whole score. A seller of whom there is no score has an empty list.
    """
    response.headers.update(_PRIVATE)
    return service.list_scores(services, bank.id, seller_id, (cursor, limit), datetime.now(UTC))


@router.get(
    "/{score_id}",
    operation_id="getScore",
    summary="Read a stored score",
    response_class=Response,
    responses=_READ | problem_responses(*_COMMON, *_UNREADABLE, errors.InvalidRequest),
)
def get_score(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)], services: ServicesDep, score_id: ScoreId
) -> Response:
    """Return the stored score, byte for byte as the request that made it was answered; another bank's is not known."""
    score = service.get_score(services, bank.id, str(score_id))
    return _response(score, 200, expiry_header(score.body, datetime.now(UTC)))


@router.get(
    "/{score_id}/changes",
    operation_id="getScoreChanges",
    summary="Why a score is not what an earlier one was",
    response_model=ScoreChanges,
    responses=_COMPARED
    | problem_responses(
        *_COMMON,
        *_UNREADABLE,
        errors.ScoresNotComparable,
        errors.BundleNotKept,
        errors.ScoreNotReplayable,
        errors.ScoreOfEarlierFormat,
        errors.InvalidRequest,
    ),
)
def get_changes(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)],
    services: ServicesDep,
    response: Response,
    score_id: ScoreId,
    since: Annotated[UUID, Query(description="Id of an earlier score of the same seller.")],
) -> ScoreChanges:
    """Compare a score with an earlier one of the same seller: points by feature and by model sum to the difference.

    Both are taken as they were given. `basis` says how they could be compared; a score without a number has no
    difference. Rounding to whole points is part of the features' points, so that sums are exact.
    """
    response.headers.update(_PRIVATE)
    return compare_scores(services, bank.id, str(score_id), str(since))


@router.get(
    "/{score_id}/report",
    operation_id="getScoreReport",
    summary="A printable page for a credit officer",
    response_class=HTMLResponse,
    responses=_PAGE | problem_responses(*_COMMON, *_UNREADABLE, errors.ScoreOfEarlierFormat, errors.InvalidRequest),
)
def get_report(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)], services: ServicesDep, score_id: ScoreId
) -> Response:
    """Return one HTML file that needs nothing else: save it, read it or print it on A4.

    It shows the score, its reasons and its waterfall, where it stands among the loans that the model was tested on, and
    how to check the receipt. An expired score says so; an outcome without a number says what lacked.
    """
    return report_page(services, bank, str(score_id), datetime.now(UTC))


@router.post(
    "/{score_id}/replay",
    operation_id="replayScore",
    summary="Make a stored score again and compare",
    response_model=Replay,
    responses=_REPLAYED
    | problem_responses(
        *_COMMON,
        *_UNREADABLE,
        errors.BundleNotKept,
        errors.ScoreNotReplayable,
        errors.ScoreOfEarlierFormat,
        errors.InvalidRequest,
    ),
)
def replay_score(
    bank: Annotated[Bank, require_scope(Scope.SCORES_READ)],
    services: ServicesDep,
    score_id: ScoreId,
    response: Response,
) -> Replay:
    """Make the assessment again from the stored inputs, by the bundle that made it; nothing is stored.

    Any difference says that something stored was changed, and is named; another bank's score is not known.
    """
    response.headers.update(_PRIVATE)
    found = [DifferenceResponse(**vars(each)) for each in service.replay_score(services, bank.id, str(score_id))]
    return Replay(matches=not found, differences=found)


def _response(score: StoredScore, status: int, headers: dict[str, str]) -> Response:
    return Response(score.body, status, {**_PRIVATE, **headers}, "application/json")
