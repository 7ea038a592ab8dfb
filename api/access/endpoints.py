"""`POST /oauth/token`."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security.http import HTTPBase

from api import errors
from api.access.callers import RATE_HEADERS
from api.access.granting import TOKEN_PATH, Granted, grant, prove
from api.access.presented import expect_form, read_request
from api.access.refusals import NO_STORE, refusal_responses
from api.access.rights import written
from api.access.schemas import TokenAnswer, TokenForm
from api.access.tokens import LIFETIME
from api.problems import problem_responses
from api.services import Wired

_basic = HTTPBase(
    scheme="basic",
    scheme_name="client",
    description=f"The client's id and secret, for `POST {TOKEN_PATH}` alone.",
    auto_error=False,
)
router = APIRouter(tags=["access"])

_GRANTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "A token.", "model": TokenAnswer, "headers": RATE_HEADERS}
}
_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": TokenForm.model_json_schema()}},
    },
    # beside the header, which the signature names: other proofs stand in the form
    "security": [{}],
}


@router.post(
    TOKEN_PATH,
    operation_id="createToken",
    summary="Get a token",
    response_class=Response,
    openapi_extra=_FORM,
    responses=_GRANTED
    | refusal_responses()
    | problem_responses(errors.BodyTooLarge, errors.TooManyRequests, errors.InternalError, errors.DatabaseUnavailable),
)
async def create_token(_: Annotated[object, Depends(_basic)], request: Request, services: Wired) -> Response:
    """Exchange client credentials for a token of ten minutes (RFC 6749, 4.4).

    The client proves itself with its secret, in the `Authorization: Basic` header or in the form, or with an assertion
    that it signs (`private_key_jwt`, RFC 7523). Refusals are those of RFC 6749; all other errors are problem details.
    """
    headers = request.headers
    # before the body is read: whoever sends JSON is told to send a form, and not what is wrong with the JSON
    expect_form(headers.get("content-type", ""))
    asked = read_request(headers.get("authorization"), await request.body())
    address = request.client.host if request.client else ""
    access, now = services.access, datetime.now(UTC)
    proved = await access.hash_in_thread(partial(prove, access, services.engine, asked.proof, address=address, now=now))
    # said from here on, on refusals too
    request.state.answer_headers = proved.standing.headers
    return _answer(grant(access, proved, asked.scope, now))


def _answer(granted: Granted) -> Response:
    answer = TokenAnswer(
        access_token=granted.token,
        token_type="Bearer",  # noqa: S106 - the word of the RFC
        expires_in=int(LIFETIME.total_seconds()),
        scope=written(granted.scopes),
    )
    return Response(answer.model_dump_json(), 200, NO_STORE, "application/json")
