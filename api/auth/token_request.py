"""What the token endpoint looks like on the wire.

What the token endpoint refuses, word for word as RFC 6749 (5.2) has it: JSON with `error` and `error_description`.

TokenRefused
├── InvalidTokenRequestError    400 invalid_request
├── UnsupportedGrantTypeError   400 unsupported_grant_type
├── InvalidScopeError           400 invalid_scope
└── InvalidClientError          401 invalid_client

What a client shows at the token endpoint: a form (RFC 6749, 4.4.2) and one proof of who it is, read strictly.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal
from urllib.parse import parse_qsl, unquote_plus

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.errors import ApiError


class TokenForm(BaseModel):
    """The form of a token request; how the client proves itself stands in the header or in the form."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["grant_type"],
            "examples": [{"grant_type": "client_credentials", "scope": "scores:write"}],
        }
    )

    grant_type: Literal["client_credentials"] = Field(description="Always `client_credentials`.")
    scope: str = Field("", description="Scopes with spaces between; all that the client holds where left out.")
    client_id: str = Field("", description="The client's id, where the header does not say it.")
    client_secret: str = Field("", description="The client's secret, where the header does not hold it.")
    client_assertion_type: str = Field(
        "", description="With a client_assertion: `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`."
    )
    client_assertion: str = Field(
        "",
        description="A JWT signed with the client's registered key (`private_key_jwt`): iss and sub the client_id, aud "
        "the token endpoint or the issuer, exp at most 5 minutes ahead, jti used once.",
    )


class TokenResponse(BaseModel):
    """A token for the `Authorization: Bearer` header."""

    model_config = ConfigDict(extra="forbid")

    access_token: str = Field(description="A signed JWT (RFC 9068).", examples=["eyJhbGciOiJFZDI1NTE5Iiw…"])
    token_type: Literal["Bearer"] = Field(description="Always `Bearer`.", examples=["Bearer"])
    expires_in: int = Field(description="Seconds that it is good for.", examples=[600])
    scope: str = Field(description="What it allows, scopes with spaces between.", examples=["scores:read scores:write"])


class TokenError(BaseModel):
    """Why no token is given (RFC 6749, 5.2)."""

    model_config = ConfigDict(extra="forbid")

    error: Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"] = Field(
        description="What kind of refusal; stable.", examples=["invalid_client"]
    )
    error_description: str = Field(description="The refusal in words.", examples=["A field is given more than once."])


NO_STORE: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "Pragma": "no-cache"}


_MEDIA_TYPE: Final = "application/json"


class TokenRequestError(ApiError):
    """No token is given; `usual` is the description where there is no more to say.

    A description holds no quotation marks and no backslash, which the RFC forbids.
    """

    status: ClassVar[int] = 400
    error: ClassVar[str]
    usual: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, description: str | None = None) -> None:
        self.description = description or self.usual
        super().__init__(self.description)


class InvalidTokenRequestError(TokenRequestError):
    """The request is no form, lacks a field, repeats one, or shows two proofs."""

    error, usual = (
        "invalid_request",
        "The request cannot be read as a form with grant_type and one proof of the client.",
    )


class UnsupportedGrantTypeError(TokenRequestError):
    """Another grant than client credentials is asked for."""

    error, usual = "unsupported_grant_type", "The only grant here is client_credentials."


class InvalidScopeError(TokenRequestError):
    """A scope is asked for that does not exist, or that clients of this kind do not hold."""

    error, usual = "invalid_scope", "A scope is not one of this client; leave scope out to get all that it holds."


class InvalidClientError(TokenRequestError):
    """The client is unknown or revoked, or did not prove itself: always the same words, so that none can be told."""

    status, error = 401, "invalid_client"
    usual = "The client is not known here, or what it showed does not prove that it is the one that it names."
    # said to everyone, since HTTP asks for it with every 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Basic realm="sellerscore", charset="UTF-8"'}


TOKEN_ERRORS: Final = (InvalidTokenRequestError, UnsupportedGrantTypeError, InvalidScopeError, InvalidClientError)


def install_token_errors(app: FastAPI) -> None:
    """Make each refusal the answer that the RFC describes."""
    app.add_exception_handler(TokenRequestError, _on_token_error)


def token_error_responses() -> dict[int | str, dict[str, Any]]:
    """Describe the refusals for OpenAPI, those of one status together, each with its example."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in TOKEN_ERRORS:
        entry = described.setdefault(
            kind.status,
            {"description": "No token is given.", "model": TokenError, "content": {_MEDIA_TYPE: {"examples": {}}}},
        )
        entry["content"][_MEDIA_TYPE]["examples"][kind.error] = {"value": _content(kind())}
    described[401]["headers"] = {
        "WWW-Authenticate": {"description": "How a client may prove itself.", "schema": {"type": "string"}}
    }
    return described


def _content(refused: TokenRequestError) -> dict[str, str]:
    return {"error": refused.error, "error_description": refused.description}


async def _on_token_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, TokenRequestError)  # noqa: S101 - what the handler is registered for
    body = json.dumps(_content(error), separators=(",", ":"))
    return Response(body, error.status, {**NO_STORE, **error.headers}, _MEDIA_TYPE)


ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


GRANT_TYPE: Final = "client_credentials"


_FORM: Final = "application/x-www-form-urlencoded"


_MOST_FIELDS: Final = 50


@dataclass(frozen=True)
class SecretProof:
    """A client id and its secret, from the header or the form."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class AssertionProof:
    """A signed statement of the client (RFC 7523); `client_id` is what the form says beside, or None."""

    client_id: str | None
    assertion: str = field(repr=False)


@dataclass(frozen=True)
class TokenRequest:
    """A readable request for a token: the proof, and the scopes asked for, or None for all."""

    proof: SecretProof | AssertionProof
    scope: str | None


def expect_form(content_type: str) -> None:
    """Look at what a body is declared to be.

    Raises:
        InvalidTokenRequestError: it is no form.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise InvalidTokenRequestError(f"The body must be a form: send it as {_FORM}.")


def read_request(authorization: str | None, body: bytes) -> TokenRequest:
    """Read a request for a token.

    Example: `read_request("Basic YTpi", b"grant_type=client_credentials")` shows the secret `b` of the client `a`.

    Raises:
        InvalidTokenRequestError: the form cannot be read, repeats a field, lacks one, or shows two proofs.
        UnsupportedGrantTypeError: another grant than client credentials is asked for.
        InvalidClientError: there is no proof, or the header holds none that can be read.
    """
    form = _form(body)
    if "grant_type" not in form:
        raise InvalidTokenRequestError("The field grant_type is missing; send grant_type=client_credentials.")
    if form["grant_type"] != GRANT_TYPE:
        raise UnsupportedGrantTypeError
    return TokenRequest(_proof(authorization, form), form.get("scope"))


def _form(body: bytes) -> Mapping[str, str]:
    try:
        text = body.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidTokenRequestError(
            "The form cannot be read; encode it as UTF-8 and escape what is not ASCII."
        ) from error
    # a field without a value counts as left out (RFC 6749, 3.2)
    given = [(name, value) for name, value in fields if value]
    if len({name for name, _ in given}) != len(given):
        raise InvalidTokenRequestError("A field is given more than once; send each once.")
    return dict(given)


def _proof(authorization: str | None, form: Mapping[str, str]) -> SecretProof | AssertionProof:
    ways = [authorization is not None, "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise InvalidTokenRequestError("The client proves itself in more than one way; use one.")
    if authorization is not None:
        return _agreeing(_basic(authorization), form)
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidTokenRequestError(f"The client_assertion_type must be {ASSERTION_TYPE}.")
        return AssertionProof(form.get("client_id"), form["client_assertion"])
    if "client_secret" in form and "client_id" in form:
        return SecretProof(form["client_id"], form["client_secret"])
    raise InvalidClientError


def _agreeing(shown: SecretProof, form: Mapping[str, str]) -> SecretProof:
    if form.get("client_id", shown.client_id) != shown.client_id:
        raise InvalidTokenRequestError("The header and the form name different clients.")
    return shown


def _basic(authorization: str) -> SecretProof:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClientError
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise InvalidClientError from error
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise InvalidClientError
    # both are form-encoded inside (RFC 6749, 2.3.1)
    return SecretProof(unquote_plus(client_id), unquote_plus(secret))
