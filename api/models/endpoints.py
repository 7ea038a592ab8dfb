"""`GET /v1/model` and `GET /v1/reasons`: the current model card and reason catalogue, with an ETag."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from api import errors
from api.auth.callers import AuthenticatedRoute, Bank, Operator, require_scope
from api.auth.scopes import Scope
from api.kit.etags import ETAG_HEADER, IfNoneMatch, etag_of, matches_any, not_modified
from api.kit.openapi import responses
from api.models import card
from api.models.bundle_store import ServedModel
from api.models.schemas import ModelCard, Reasons

router = APIRouter(prefix="/v1", tags=["model"], route_class=AuthenticatedRoute)

_CACHE_HEADERS: Final[dict[str, Any]] = {
    **ETAG_HEADER,
    "Cache-Control": {"description": "Revalidate for each use.", "schema": {"type": "string"}},
}

_NOT_MODIFIED: Final = not_modified(_CACHE_HEADERS)


async def _champion(request: Request) -> ServedModel:
    champion: ServedModel = request.app.state.services.champion
    return champion


Champion = Annotated[ServedModel, Depends(_champion)]


@router.get(
    "/model",
    operation_id="getModel",
    summary="The current model card",
    response_class=Response,
    responses=responses(200, "The card.", errors.InvalidRequest, model=ModelCard, headers=_CACHE_HEADERS)
    | _NOT_MODIFIED,
)
def get_model(
    _: Annotated[Bank | Operator, require_scope(Scope.MODEL_READ)],
    champion: Champion,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return the use, limits, evidence, fairness, approval, bands, scale and features of the current model.

    `versions.bundle` of a score names the bundle that issued it. If that is another bundle, this is not its card.
    """
    return _response(card.model_card(champion), if_none_match)


@router.get(
    "/reasons",
    operation_id="getReasons",
    summary="The current reason catalogue",
    response_class=Response,
    responses=responses(200, "The catalogue.", errors.InvalidRequest, model=Reasons, headers=_CACHE_HEADERS)
    | _NOT_MODIFIED,
)
def get_reasons(
    _: Annotated[Bank | Operator, require_scope(Scope.MODEL_READ)],
    champion: Champion,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return every reason that a score may give, worded for banks and for sellers, in English and Chinese."""
    return _response(card.reason_catalogue(champion.bundle), if_none_match)


def _response(content: BaseModel, if_none_match: str | None) -> Response:
    body = content.model_dump_json().encode()
    headers = {"ETag": etag_of(body), "Cache-Control": "private, no-cache"}
    if if_none_match is not None and matches_any(if_none_match, headers["ETag"]):
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")
