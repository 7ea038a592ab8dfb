"""`GET /v1/model` and `GET /v1/reasons`: what is in force, with an ETag that changes when it does."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

from api import errors
from api.auth.callers import RATE_HEADERS, REFUSALS, AuthenticatedRoute, Bank, Operator, require_scope
from api.auth.scopes import Scope
from api.kit.openapi import problem_responses
from api.models import card
from api.models.schemas import ModelCard, Reasons
from api.services import ServicesDep
from scoring.canonical import sha256

router = APIRouter(prefix="/v1", tags=["model"], route_class=AuthenticatedRoute)

_TAGGED: Final[dict[str, dict[str, Any]]] = {
    "ETag": {"description": "Names what is in force; send it as If-None-Match.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "Ask again each time.", "schema": {"type": "string"}},
}
_REFUSED: Final = problem_responses(*REFUSALS, errors.InternalError, errors.DatabaseUnavailable, errors.InvalidRequest)
_UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "It is still what the ETag names.", "headers": {**_TAGGED, **RATE_HEADERS}}
}

IfNoneMatch = Annotated[
    str | None,
    Header(description="ETags that the caller holds; where one still holds the answer is 304 without a body."),
]


@router.get(
    "/model",
    operation_id="getModel",
    summary="The model card in force",
    response_class=Response,
    responses={200: {"description": "The card.", "model": ModelCard, "headers": {**_TAGGED, **RATE_HEADERS}}}
    | _UNCHANGED
    | _REFUSED,
)
def get_model(
    _: Annotated[Bank | Operator, require_scope(Scope.MODEL_READ)],
    services: ServicesDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return the use, limits, evidence, fairness, approval, bands, scale and features of the model in force.

    `versions.bundle` of a score names the bundle that issued it. If that is another bundle, this is not its card.
    """
    return _response(card.model_card(services.champion), if_none_match)


@router.get(
    "/reasons",
    operation_id="getReasons",
    summary="The reason catalogue in force",
    response_class=Response,
    responses={200: {"description": "The catalogue.", "model": Reasons, "headers": {**_TAGGED, **RATE_HEADERS}}}
    | _UNCHANGED
    | _REFUSED,
)
def get_reasons(
    _: Annotated[Bank | Operator, require_scope(Scope.MODEL_READ)],
    services: ServicesDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return every reason that a score may give, worded for banks and for sellers, in English and Chinese."""
    return _response(card.reason_catalogue(services.champion.bundle), if_none_match)


def _response(told: BaseModel, held: str | None) -> Response:
    body = told.model_dump_json().encode()
    headers = {"ETag": f'"{sha256(body)}"', "Cache-Control": "private, no-cache"}
    if held is not None and _matches_etag(held, headers["ETag"]):
        return Response(None, 304, headers)
    return Response(body, 200, headers, "application/json")


def _matches_etag(held: str, tag: str) -> bool:
    """Return whether If-None-Match names a tag; for a GET a weak one counts too (RFC 9110, 13.1.2)."""
    return held.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in held.split(",")}
