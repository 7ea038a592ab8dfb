"""What the token endpoint refuses, word for word as RFC 6749 (5.2) has it: JSON with `error` and `error_description`.

TokenRefused
├── InvalidTokenRequest    400 invalid_request
├── UnsupportedGrantType   400 unsupported_grant_type
├── InvalidScope           400 invalid_scope
└── InvalidClient          401 invalid_client
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from fastapi import FastAPI, Request, Response

from api.access.schemas import TokenError
from api.errors import ApiError

NO_STORE: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_MEDIA_TYPE: Final = "application/json"


class TokenRefused(ApiError):  # noqa: N818 - an answer, as the problems are
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


class InvalidTokenRequest(TokenRefused):
    """The request is no form, lacks a field, repeats one, or shows two proofs."""

    error, usual = (
        "invalid_request",
        "The request cannot be read as a form with grant_type and one proof of the client.",
    )


class UnsupportedGrantType(TokenRefused):
    """Another grant than client credentials is asked for."""

    error, usual = "unsupported_grant_type", "The only grant here is client_credentials."


class InvalidScope(TokenRefused):
    """A scope is asked for that does not exist, or that clients of this kind do not hold."""

    error, usual = "invalid_scope", "A scope is not one of this client; leave scope out to get all that it holds."


class InvalidClient(TokenRefused):
    """The client is unknown or revoked, or did not prove itself: always the same words, so that none can be told."""

    status, error = 401, "invalid_client"
    usual = "The client is not known here, or what it showed does not prove that it is the one that it names."
    # said to everyone, since HTTP asks for it with every 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Basic realm="sellerscore", charset="UTF-8"'}


REFUSALS: Final = (InvalidTokenRequest, UnsupportedGrantType, InvalidScope, InvalidClient)


def install_refusals(app: FastAPI) -> None:
    """Make each refusal the answer that the RFC describes."""
    app.add_exception_handler(TokenRefused, _on_refused)


def refusal_responses() -> dict[int | str, dict[str, Any]]:
    """Describe the refusals for OpenAPI, those of one status together, each with its example."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in REFUSALS:
        entry = described.setdefault(
            kind.status,
            {"description": "No token is given.", "model": TokenError, "content": {_MEDIA_TYPE: {"examples": {}}}},
        )
        entry["content"][_MEDIA_TYPE]["examples"][kind.error] = {"value": _content(kind())}
    described[401]["headers"] = {
        "WWW-Authenticate": {"description": "How a client may prove itself.", "schema": {"type": "string"}}
    }
    return described


def _content(refused: TokenRefused) -> dict[str, str]:
    return {"error": refused.error, "error_description": refused.description}


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, TokenRefused)  # noqa: S101 - what the handler is registered for
    body = json.dumps(_content(error), separators=(",", ":"))
    return Response(body, error.status, {**NO_STORE, **error.headers}, _MEDIA_TYPE)
