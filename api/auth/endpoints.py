"""`POST /oauth/token`.

`GET /.well-known/jwks.json`: the public keys that verify receipts and checkpoints.

Those of tokens are not among them: this service alone reads tokens, and whoever steals such a key must not be able to
sign a receipt that anybody takes.

`POST /v1/seller-sessions`: the platform logs its seller in.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security.http import HTTPBase
from pydantic import BaseModel, ConfigDict, Field

from api import errors
from api.auth import sessions
from api.auth.callers import RATE_HEADERS, REFUSALS, AuthenticatedRoute, Platform, require_scope
from api.auth.scopes import Scope, format_scopes
from api.auth.sessions import LOGIN_PATH, SessionCreate, SessionLink, UserKind
from api.auth.signing_keys import TOKEN_LIFETIME
from api.auth.token_grant import IssuedToken, authenticate_client, issue_token
from api.auth.token_request import NO_STORE, TokenForm, TokenResponse, expect_form, read_request, token_error_responses
from api.auth.tokens import TOKEN_PATH
from api.kit.openapi import problem_responses
from api.ledger.chain import format_timestamp
from api.services import Wired

_basic = HTTPBase(
    scheme="basic",
    scheme_name="client",
    description=f"The client's id and secret, for `POST {TOKEN_PATH}` alone.",
    auto_error=False,
)


token_router = APIRouter(tags=["access"])


_GRANTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "A token.", "model": TokenResponse, "headers": RATE_HEADERS}
}


_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": TokenForm.model_json_schema()}},
    },
    # beside the header, which the signature names: other proofs stand in the form
    "security": [{}],
}


@token_router.post(
    TOKEN_PATH,
    operation_id="createToken",
    summary="Get a token",
    response_class=Response,
    openapi_extra=_FORM,
    responses=_GRANTED
    | token_error_responses()
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
    proved = await access.hash_in_thread(
        partial(authenticate_client, access, services.engine, asked.proof, address=address, now=now)
    )
    # said from here on, on refusals too
    request.state.answer_headers = proved.standing.headers
    return _token_response(issue_token(access, proved, asked.scope, now))


def _token_response(granted: IssuedToken) -> Response:
    answer = TokenResponse(
        access_token=granted.token,
        token_type="Bearer",  # noqa: S106 - the word of the RFC
        expires_in=int(TOKEN_LIFETIME.total_seconds()),
        scope=format_scopes(granted.scopes),
    )
    return Response(answer.model_dump_json(), 200, NO_STORE, "application/json")


keys_router = APIRouter(tags=["receipts"])


_CACHED: Final = {"Cache-Control": "public, max-age=300"}


class PublicKey(BaseModel):
    """One public key (RFC 8037)."""

    model_config = ConfigDict(extra="forbid")

    kty: str = Field(description="Kind of key.", examples=["OKP"])
    crv: str = Field(description="Curve.", examples=["Ed25519"])
    x: str = Field(description="The public key, base64url.", examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"])
    kid: str = Field(
        description="Its thumbprint, which signatures name.", examples=["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxH"]
    )
    alg: str = Field(description="What it signs with.", examples=["Ed25519"])
    use: str = Field(description="What it is for.", examples=["sig"])


class KeySet(BaseModel):
    """Public keys of receipts: the one that signs, older ones that still verify, and those that are to sign soon."""

    model_config = ConfigDict(extra="forbid")

    keys: list[PublicKey] = Field(description="The keys.")


@keys_router.get(
    "/.well-known/jwks.json",
    operation_id="getKeys",
    summary="The service's public keys",
    response_model=KeySet,
    responses=problem_responses(errors.InternalError),
)
async def get_keys(services: Wired, response: Response) -> dict[str, Any]:
    """Return the keys that verify receipts and checkpoints, as a JWK set (RFC 7517).

    A new key stands here minutes before it signs. Keep the set with receipts, so that they can be checked for ever.
    """
    response.headers.update(_CACHED)
    return services.receipts.jwks


sessions_router = APIRouter(prefix="/v1/seller-sessions", tags=["sellers"], route_class=AuthenticatedRoute)


_CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "The link, which nobody can show again.", "headers": RATE_HEADERS}
}


@sessions_router.post(
    "",
    status_code=201,
    operation_id="createSellerSession",
    summary="Log a seller in to their pages",
    response_model=SessionLink,
    responses=_CREATED
    | problem_responses(
        *REFUSALS,
        errors.MalformedJson,
        errors.BodyTooLarge,
        errors.UnsupportedMediaType,
        errors.InvalidRequest,
        errors.InternalError,
        errors.DatabaseUnavailable,
    ),
)
def create_seller_session(
    platform: Annotated[Platform, require_scope(Scope.SELLER_SESSIONS_WRITE)],
    services: Wired,
    wanted: SessionCreate,
    response: Response,
) -> SessionLink:
    """Make a link for a seller whom the platform has logged in; it works once, within ten minutes.

    It opens a page with a button, since what looks at links beforehand must not use them up. The session ends after 30
    minutes without use and after 8 hours at the latest. A seller of whom there are no data yet may log in too.
    """
    now, seller_id = datetime.now(UTC), wanted.seller_id
    made = sessions.make_link(
        services.engine, UserKind.SELLER, seller_id, by=platform.id, now=now, language=wanted.language
    )
    response.headers["Cache-Control"] = "no-store"
    url = f"{services.settings.issuer}{LOGIN_PATH}/{made.token}"
    return SessionLink(url=url, expires_at=format_timestamp(made.expires_at))
