"""`POST /v1/scores`, `GET /v1/scores/{id}` and `POST /v1/scores/{id}/replay`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Response

from api import errors
from api.access.callers import RATE_HEADERS, REFUSALS, Bank, CallerFirst, needs
from api.access.rights import Scope
from api.problems import problem_responses
from api.scores import service
from api.scores.replay import replay
from api.scores.schemas import DifferenceShown, Replay, Score, ScoreRequest
from api.scores.stored import StoredScore
from api.services import Wired

router = APIRouter(prefix="/v1/scores", tags=["scores"], route_class=CallerFirst)

_PRIVATE: Final = {"Cache-Control": "no-store"}
_COMMON: Final = (*REFUSALS, errors.InternalError, errors.DatabaseUnavailable)
_UNREADABLE: Final = (errors.ScoreUnknown, errors.ScoreErased, errors.LedgerDamaged)
_CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "The score, as it is stored.",
        "model": Score,
        "headers": {
            "Location": {"description": "Where to read it again.", "schema": {"type": "string"}},
            **RATE_HEADERS,
        },
    }
}
_READ: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The score, byte for byte as it was answered.", "model": Score, "headers": RATE_HEADERS}
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
        errors.BodyTooLarge,
        errors.UnsupportedMediaType,
        errors.InvalidRequest,
        errors.ScoreNotExplained,
        errors.VectorsUnavailable,
        errors.VectorsDoNotFitModel,
    ),
)
def create_score(bank: Annotated[Bank, needs(Scope.SCORES_WRITE)], services: Wired, request: ScoreRequest) -> Response:
    """Score the seller from the latest data, store the score and return it.

    An outcome without a number (`insufficient_history`, `insufficient_data`, `stale_data`) is an answer too.
    """
    score = service.create(services, bank.id, request, datetime.now(UTC))
    return _answer(score, 201, {"Location": f"/v1/scores/{score.id}"})


@router.get(
    "/{score_id}",
    operation_id="getScore",
    summary="Read a stored score",
    response_class=Response,
    responses=_READ | problem_responses(*_COMMON, *_UNREADABLE, errors.InvalidRequest),
)
def get_score(bank: Annotated[Bank, needs(Scope.SCORES_READ)], services: Wired, score_id: UUID) -> Response:
    """Return the stored score, byte for byte as the request that made it was answered; another bank's is not known."""
    return _answer(service.get(services, bank.id, str(score_id)), 200, {})


@router.post(
    "/{score_id}/replay",
    operation_id="replayScore",
    summary="Make a stored score again and compare",
    response_model=Replay,
    responses=_REPLAYED
    | problem_responses(*_COMMON, *_UNREADABLE, errors.BundleNotKept, errors.ScoreNotReplayable, errors.InvalidRequest),
)
def replay_score(
    bank: Annotated[Bank, needs(Scope.SCORES_READ)], services: Wired, score_id: UUID, response: Response
) -> Replay:
    """Make the assessment again from the stored inputs, by the bundle that made it; nothing is stored.

    Any difference says that something stored was changed, and is named; another bank's score is not known.
    """
    response.headers.update(_PRIVATE)
    found = [DifferenceShown(**vars(each)) for each in replay(services, bank.id, str(score_id))]
    return Replay(matches=not found, differences=found)


def _answer(score: StoredScore, status: int, headers: dict[str, str]) -> Response:
    return Response(score.body, status, {**_PRIVATE, **headers}, "application/json")
