"""`POST /oauth/token`, `GET /.well-known/jwks.json` and `POST /v1/seller-sessions`.

The published keys verify receipts and checkpoints. Token keys are not published: only this service reads tokens, and
nobody who steals a token key can sign a receipt with it.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security.http import HTTPBase
from pydantic import BaseModel, ConfigDict, Field

from api import errors
from api.auth.callers import AuthenticatedRoute, Platform, require_scope
from api.auth.rate_limits import address_of
from api.auth.scopes import Scope
from api.auth.sessions import LOGIN_PATH, UserKind
from api.auth.token_grant import authenticate_client, issue_token
from api.auth.token_request import (
    TOKEN_HEADERS,
    TokenForm,
    TokenResponse,
    expect_form,
    read_request,
    token_error_responses,
)
from api.auth.tokens import TOKEN_PATH, Auth
from api.kit.fields import SellerId, Timestamp, format_timestamp
from api.kit.openapi import BODY_PROBLEMS, RATE_HEADERS, problem_responses, responses
from scoring.formatting import Language


async def _auth(request: Request) -> Auth:
    auth: Auth = request.app.state.services.auth
    return auth


AuthDep = Annotated[Auth, Depends(_auth)]

_basic = HTTPBase(
    scheme="basic",
    scheme_name="client",
    description=f"The client's ID and secret, for `POST {TOKEN_PATH}` only.",
    auto_error=False,
)

token_router = APIRouter(tags=["access"])

_FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": TokenForm.model_json_schema()}},
    },
    # the alternative to the Authorization header: credentials in the form
    "security": [{}],
}


@token_router.post(
    TOKEN_PATH,
    operation_id="createToken",
    summary="Get a token",
    response_class=Response,
    openapi_extra=_FORM,
    responses={200: {"description": "A token.", "model": TokenResponse, "headers": RATE_HEADERS}}
    | token_error_responses()
    | problem_responses(errors.BodyTooLarge, errors.TooManyRequests, errors.InternalError, errors.DatabaseUnavailable),
)
async def create_token(_: Annotated[object, Depends(_basic)], request: Request, auth: AuthDep) -> Response:
    """Exchange client credentials for a token that is valid for ten minutes (RFC 6749, section 4.4).

    The client authenticates with its secret, in the `Authorization: Basic` header or in the form, or with an assertion
    that it signs (`private_key_jwt`, RFC 7523). Token errors are those of RFC 6749; all others are problem details.
    """
    # before the body is read, so that a caller who sends JSON learns that a form is required
    expect_form(request.headers.get("content-type", ""))
    token_request = read_request(request.headers.get("authorization"), await request.body())
    address, now = address_of(request), datetime.now(UTC)
    authenticated = await auth.run_in_thread(
        partial(authenticate_client, auth, token_request.proof, address=address, now=now)
    )
    # the middleware adds these to every response, errors included
    request.state.response_headers = authenticated.limit.headers
    response = issue_token(auth, authenticated, token_request.scope, now)
    return Response(response.model_dump_json(), 200, TOKEN_HEADERS, "application/json")


keys_router = APIRouter(tags=["receipts"])


class PublicKey(BaseModel):
    """One public key (RFC 8037)."""

    model_config = ConfigDict(extra="forbid")

    kty: str = Field(description="Key type.", examples=["OKP"])
    crv: str = Field(description="Curve.", examples=["Ed25519"])
    x: str = Field(description="The public key, base64url.", examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"])
    kid: str = Field(description="Key ID in signatures: its thumbprint.", examples=["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxH"])
    alg: str = Field(description="Signature algorithm.", examples=["Ed25519"])
    use: str = Field(description="Use of the key.", examples=["sig"])


class KeySet(BaseModel):
    """Public keys of receipts: the current key, former keys that still verify, and the next keys."""

    model_config = ConfigDict(extra="forbid")

    keys: list[PublicKey] = Field(description="The keys.")


@keys_router.get(
    "/.well-known/jwks.json",
    operation_id="getKeys",
    summary="Public keys of the service",
    response_model=KeySet,
    responses=problem_responses(errors.InternalError),
)
async def get_keys(auth: AuthDep, response: Response) -> dict[str, Any]:
    """Return the keys that verify receipts and checkpoints, as a JWK set (RFC 7517).

    A new key is published minutes before it signs. Store the set with your receipts, so that you can always verify
    them.
    """
    response.headers["Cache-Control"] = "public, max-age=300"
    return auth.receipts.jwks


class SessionCreate(BaseModel):
    """The seller to log in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"seller_id": "S-000001", "language": "zh"}]}
    )

    seller_id: SellerId = Field(description="The platform's ID of the seller, whom the platform has authenticated.")
    language: Language | None = Field(
        default=None, description="Initial language of the pages; that of the browser if omitted."
    )


class SessionLink(BaseModel):
    """A link that logs the seller in once. Pass it to the seller's browser and keep no copy."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        description="URL for the seller's browser.",
        examples=["https://score.example/seller/login/aL0pZ3v6Jx2mQ8sT1uW4yB7cD9eF5gH0iK3lN6oR2sU"],
    )
    expires_at: Timestamp = Field(description="Expiry of the link, UTC.", examples=["2026-02-01T09:40:00.000000Z"])


sessions_router = APIRouter(prefix="/v1/seller-sessions", tags=["sellers"], route_class=AuthenticatedRoute)


@sessions_router.post(
    "",
    status_code=201,
    operation_id="createSellerSession",
    summary="Log a seller in to their pages",
    response_model=SessionLink,
    responses=responses(201, "The link, which cannot be shown again.", *BODY_PROBLEMS, errors.InvalidRequest),
)
def create_seller_session(
    platform: Annotated[Platform, require_scope(Scope.SELLER_SESSIONS_WRITE)],
    auth: AuthDep,
    session: SessionCreate,
) -> SessionLink:
    """Create a login link for a seller whom the platform has authenticated. It works once, within ten minutes.

    The link opens a page with a button, so that link previews do not use it up. The session ends after 30 minutes
    without use, and after 8 hours at the latest. Sellers without operating data can log in too.
    """
    link = auth.sessions.make_link(
        UserKind.SELLER,
        session.seller_id,
        by=platform.id,
        now=datetime.now(UTC),
        language=session.language,
    )
    url = f"{auth.tokens.issuer}{LOGIN_PATH}/{link.token}"
    return SessionLink(url=url, expires_at=format_timestamp(link.expires_at))
