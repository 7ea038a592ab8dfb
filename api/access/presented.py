"""What a client shows at the token endpoint: a form (RFC 6749, 4.4.2) and one proof of who it is, read strictly."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from api.access.refusals import InvalidClient, InvalidTokenRequest, UnsupportedGrantType

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT_TYPE: Final = "client_credentials"
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 50


@dataclass(frozen=True)
class SecretShown:
    """A client id and its secret, from the header or the form."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class AssertionShown:
    """A signed statement of the client (RFC 7523); `client_id` is what the form says beside, or None."""

    client_id: str | None
    assertion: str = field(repr=False)


@dataclass(frozen=True)
class TokenRequest:
    """A readable request for a token: the proof, and the scopes asked for, or None for all."""

    proof: SecretShown | AssertionShown
    scope: str | None


def expect_form(content_type: str) -> None:
    """Look at what a body is declared to be.

    Raises:
        InvalidTokenRequest: it is no form.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise InvalidTokenRequest(f"The body must be a form: send it as {_FORM}.")


def read_request(authorization: str | None, body: bytes) -> TokenRequest:
    """Read a request for a token.

    Example: `read_request("Basic YTpi", b"grant_type=client_credentials")` shows the secret `b` of the client `a`.

    Raises:
        InvalidTokenRequest: the form cannot be read, repeats a field, lacks one, or shows two proofs.
        UnsupportedGrantType: another grant than client credentials is asked for.
        InvalidClient: there is no proof, or the header holds none that can be read.
    """
    form = _form(body)
    if "grant_type" not in form:
        raise InvalidTokenRequest("The field grant_type is missing; send grant_type=client_credentials.")
    if form["grant_type"] != GRANT_TYPE:
        raise UnsupportedGrantType
    return TokenRequest(_proof(authorization, form), form.get("scope"))


def _form(body: bytes) -> Mapping[str, str]:
    try:
        text = body.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidTokenRequest(
            "The form cannot be read; encode it as UTF-8 and escape what is not ASCII."
        ) from error
    # a field without a value counts as left out (RFC 6749, 3.2)
    given = [(name, value) for name, value in fields if value]
    if len({name for name, _ in given}) != len(given):
        raise InvalidTokenRequest("A field is given more than once; send each once.")
    return dict(given)


def _proof(authorization: str | None, form: Mapping[str, str]) -> SecretShown | AssertionShown:
    ways = [authorization is not None, "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise InvalidTokenRequest("The client proves itself in more than one way; use one.")
    if authorization is not None:
        return _agreeing(_basic(authorization), form)
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidTokenRequest(f"The client_assertion_type must be {ASSERTION_TYPE}.")
        return AssertionShown(form.get("client_id"), form["client_assertion"])
    if "client_secret" in form and "client_id" in form:
        return SecretShown(form["client_id"], form["client_secret"])
    raise InvalidClient


def _agreeing(shown: SecretShown, form: Mapping[str, str]) -> SecretShown:
    if form.get("client_id", shown.client_id) != shown.client_id:
        raise InvalidTokenRequest("The header and the form name different clients.")
    return shown


def _basic(authorization: str) -> SecretShown:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise InvalidClient from error
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise InvalidClient
    # both are form-encoded inside (RFC 6749, 2.3.1)
    return SecretShown(unquote_plus(client_id), unquote_plus(secret))
