"""The token request: form, credentials and error responses of `POST /oauth/token` (RFC 6749, sections 4.4 and 5.2)."""

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
    """The form of a token request. The credentials are in the header or in the form."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["grant_type"],
            "examples": [{"grant_type": "client_credentials", "scope": "scores:write"}],
        }
    )

    grant_type: Literal["client_credentials"] = Field(description="Always `client_credentials`.")
    scope: str = Field("", description="Scopes separated by spaces; all scopes of the client if omitted.")
    client_id: str = Field("", description="The client ID, if it is not in the header.")
    client_secret: str = Field("", description="The client secret, if it is not in the header.")
    client_assertion_type: str = Field(
        "", description="With a client_assertion: `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`."
    )
    client_assertion: str = Field(
        "",
        description="A JWT signed with the client's registered key (`private_key_jwt`): iss and sub are the client_id, "
        "aud is the token endpoint or the issuer, exp is at most 5 minutes in the future, jti is unique.",
    )


class TokenResponse(BaseModel):
    """A token for the `Authorization: Bearer` header."""

    model_config = ConfigDict(extra="forbid")

    access_token: str = Field(repr=False, description="A signed JWT (RFC 9068).", examples=["eyJhbGciOiJFZDI1NTE5Iiw…"])
    token_type: Literal["Bearer"] = Field(description="Always `Bearer`.", examples=["Bearer"])
    expires_in: int = Field(description="Seconds until the token expires.", examples=[600])
    scope: str = Field(description="Scopes of the token, separated by spaces.", examples=["scores:read scores:write"])


class TokenError(BaseModel):
    """A token error (RFC 6749, section 5.2)."""

    model_config = ConfigDict(extra="forbid")

    error: Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"] = Field(
        description="Type of the error; stable.", examples=["invalid_client"]
    )
    error_description: str = Field(description="Description of the error.", examples=["A field occurs more than once."])


TOKEN_HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "Pragma": "no-cache"}

_MEDIA_TYPE: Final = "application/json"


class TokenRequestError(ApiError):
    """A token request failed. The docstring of a subclass is the default description of the response.

    The RFC forbids quotation marks and backslashes in descriptions.
    """

    status: ClassVar[int] = 400
    error: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, *, error: str) -> None:
        cls.error = error

    def __init__(self, description: str | None = None) -> None:
        self.description = description or str(self.__doc__)
        super().__init__(self.description)


class InvalidTokenRequestError(TokenRequestError, error="invalid_request"):
    """The request must be a form with grant_type and one kind of client credentials."""


class UnsupportedGrantTypeError(TokenRequestError, error="unsupported_grant_type"):
    """The grant type must be client_credentials."""


class InvalidScopeError(TokenRequestError, error="invalid_scope"):
    """A requested scope is not available to this client. Omit scope to get all available scopes."""


class InvalidClientError(TokenRequestError, error="invalid_client"):
    """The client is unknown or its credentials are invalid."""

    # the description does not reveal which; HTTP requires the header with every 401
    status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Basic realm="sellerscore", charset="UTF-8"'}


TOKEN_ERRORS: Final = (InvalidTokenRequestError, UnsupportedGrantTypeError, InvalidScopeError, InvalidClientError)


def install_token_errors(app: FastAPI) -> None:
    """Turn each token error into the response that the RFC defines."""
    app.add_exception_handler(TokenRequestError, _on_token_error)


def token_error_responses() -> dict[int | str, dict[str, Any]]:
    """Describe the token errors for OpenAPI, grouped by status, each with an example."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in TOKEN_ERRORS:
        entry = described.setdefault(
            kind.status,
            {"description": "No token is issued.", "model": TokenError, "content": {_MEDIA_TYPE: {"examples": {}}}},
        )
        entry["content"][_MEDIA_TYPE]["examples"][kind.error] = {"value": _content(kind())}
    described[401]["headers"] = {
        "WWW-Authenticate": {"description": "How a client can authenticate.", "schema": {"type": "string"}}
    }
    return described


def _content(error: TokenRequestError) -> dict[str, str]:
    return {"error": error.error, "error_description": error.description}


async def _on_token_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, TokenRequestError)  # noqa: S101 - the type that the handler is registered for
    body = json.dumps(_content(error), separators=(",", ":"))
    return Response(body, error.status, {**TOKEN_HEADERS, **error.headers}, _MEDIA_TYPE)


ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

GRANT_TYPE: Final = "client_credentials"

_FORM: Final = "application/x-www-form-urlencoded"

_MOST_FIELDS: Final = 50


@dataclass(frozen=True)
class SecretProof:
    """A client ID and its secret, from the header or the form."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class AssertionProof:
    """A signed assertion of the client (RFC 7523). `client_id` is the one in the form, or None."""

    client_id: str | None
    assertion: str = field(repr=False)


@dataclass(frozen=True)
class TokenRequest:
    """A parsed token request: the credentials, and the requested scopes, or None for all."""

    proof: SecretProof | AssertionProof
    scope: str | None


def expect_form(content_type: str) -> None:
    """Check the content type of a body.

    Raises:
        InvalidTokenRequestError: It is not a form.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise InvalidTokenRequestError(f"The body must be a form. Send it as {_FORM}.")


def read_request(authorization: str | None, body: bytes) -> TokenRequest:
    """Parse a token request.

    Example: `read_request("Basic YTpi", b"grant_type=client_credentials")` has the secret `b` of the client `a`.

    Raises:
        InvalidTokenRequestError: The form cannot be read, repeats or lacks a field, or has two kinds of credentials.
        UnsupportedGrantTypeError: The grant type is not client credentials.
        InvalidClientError: There are no credentials, or the header cannot be read.
    """
    form = _form(body)
    if "grant_type" not in form:
        raise InvalidTokenRequestError("The field grant_type is missing. Send grant_type=client_credentials.")
    if form["grant_type"] != GRANT_TYPE:
        raise UnsupportedGrantTypeError
    return TokenRequest(_proof(authorization, form), form.get("scope"))


def _form(body: bytes) -> Mapping[str, str]:
    try:
        text = body.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidTokenRequestError(
            "The form cannot be read. Encode it as UTF-8 and percent-encode all characters that are not ASCII."
        ) from error
    # a field without a value counts as omitted (RFC 6749, section 3.2)
    present = [(name, value) for name, value in fields if value]
    if len({name for name, _ in present}) != len(present):
        raise InvalidTokenRequestError("A field occurs more than once. Send each field once.")
    return dict(present)


def _proof(authorization: str | None, form: Mapping[str, str]) -> SecretProof | AssertionProof:
    if sum([authorization is not None, "client_secret" in form, "client_assertion" in form]) > 1:
        raise InvalidTokenRequestError("The request has more than one kind of client credentials. Send one.")
    if authorization is not None:
        proof = _basic(authorization)
        if form.get("client_id", proof.client_id) != proof.client_id:
            raise InvalidTokenRequestError("The client_id of the form differs from that of the header.")
        return proof
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidTokenRequestError(f"The client_assertion_type must be {ASSERTION_TYPE}.")
        return AssertionProof(form.get("client_id"), form["client_assertion"])
    if "client_secret" in form and "client_id" in form:
        return SecretProof(form["client_id"], form["client_secret"])
    raise InvalidClientError


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
    # both parts are form-encoded (RFC 6749, section 2.3.1)
    return SecretProof(unquote_plus(client_id), unquote_plus(secret))
