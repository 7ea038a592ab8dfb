"""Logging sellers in by OpenID Connect: authorization code with PKCE, and the checks of the ID token.

The provider is asked over HTTPS with the standard library; joserfc verifies what it signed. Nothing of a login is
stored: what the answer is held to stands in a short cookie of the browser that began.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.errors import LoginFailed
from api.settings import Settings

CALLBACK_PATH: Final = "/seller/oidc/callback"
_ALGORITHMS: Final = ["RS256", "PS256", "ES256", "Ed25519"]
_SECONDS: Final = 10
_MOST_BYTES: Final = 1_000_000
_CLOCKS_DIFFER: Final = 60
_LONGEST_ID: Final = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoginAttempt:
    """A login that has begun: what its answer must agree with."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> LoginAttempt:
        """Begin one."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @classmethod
    def read(cls, cookie: str) -> LoginAttempt:
        """Return what a cookie holds.

        Raises:
            LoginFailed: it is none of ours.
        """
        parts = cookie.split(".")
        if len(parts) != len(cls.__dataclass_fields__) or not all(parts):
            raise LoginFailed
        return cls(*parts)

    @property
    def cookie(self) -> str:
        """As the browser keeps it."""
        return f"{self.state}.{self.nonce}.{self.verifier}"


@dataclass(frozen=True)
class Provider:
    """A provider, by its settings; what it publishes is read at each login, so that its keys may rotate."""

    issuer: str
    client_id: str
    client_secret: str | None
    claim: str
    callback: str

    @classmethod
    def of(cls, settings: Settings) -> Provider | None:
        """Return the provider that is set; None where there is none."""
        if settings.oidc_issuer is None or settings.oidc_client_id is None:
            return None
        secret = settings.oidc_client_secret
        return cls(
            settings.oidc_issuer,
            settings.oidc_client_id,
            None if secret is None else secret.get_secret_value(),
            settings.oidc_claim,
            settings.issuer + CALLBACK_PATH,
        )

    def address(self, begun: LoginAttempt) -> str:
        """Return where to send the browser.

        Raises:
            LoginFailed: the provider does not say, or does not answer.
        """
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.callback,
            "scope": "openid",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge.decode("ascii"),
            "code_challenge_method": "S256",
        }
        place = str(self._published()["authorization_endpoint"])
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    def seller_of(self, begun: LoginAttempt, state: str, code: str, now: datetime) -> str:
        """Return the seller whom the provider's answer names.

        Raises:
            LoginFailed: the answer is not to what this browser began, or the provider does not prove who it is.
        """
        if not hmac.compare_digest(state.encode(), begun.state.encode()):
            raise LoginFailed
        published = self._published()
        token = self._exchanged(published, code, begun)
        claims = self._claims(published, token)
        self._require(claims, begun, now)
        seller_id = claims.get(self.claim)
        if not isinstance(seller_id, str) or not 1 <= len(seller_id) <= _LONGEST_ID or not seller_id.isprintable():
            _fail(f"the claim {self.claim} names no seller")
        return seller_id

    def _published(self) -> Mapping[str, Any]:
        found = _authorization_url(f"{self.issuer}/.well-known/openid-configuration")
        needed = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
        if found.get("issuer") != self.issuer or not all(isinstance(found.get(name), str) for name in needed):
            _fail("the provider publishes no configuration of this issuer")
        return found

    def _exchanged(self, published: Mapping[str, Any], code: str, begun: LoginAttempt) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "client_id": self.client_id,
            "code_verifier": begun.verifier,
        }
        headers = {}
        if self.client_secret is not None:
            both = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        token = _authorization_url(str(published["token_endpoint"]), form, headers).get("id_token")
        if not isinstance(token, str):
            _fail("the provider gave no ID token")
        return token

    def _claims(self, published: Mapping[str, Any], token: str) -> Mapping[str, Any]:
        try:
            keys = KeySet.import_key_set(_authorization_url(str(published["jwks_uri"])))  # type: ignore[arg-type]
            return jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
        except (JoseError, ValueError, KeyError, TypeError) as error:
            logger.warning("the ID token does not verify: %s", type(error).__name__)
            raise LoginFailed from error

    def _require(self, claims: Mapping[str, Any], begun: LoginAttempt, now: datetime) -> None:
        meant = claims.get("aud")
        audiences = meant if isinstance(meant, list) else [meant]
        if claims.get("iss") != self.issuer or self.client_id not in audiences:
            _fail("the ID token is of another issuer or for another client")
        if len(audiences) > 1 and claims.get("azp") != self.client_id:
            _fail("the ID token was asked for by another client")
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), begun.nonce.encode()):
            _fail("the ID token is the answer to another login")
        expires, issued = claims.get("exp"), claims.get("iat")
        if not isinstance(expires, int | float) or not isinstance(issued, int | float):
            _fail("the ID token does not say when it was made and when it expires")
        if now.timestamp() >= expires + _CLOCKS_DIFFER or issued > now.timestamp() + _CLOCKS_DIFFER:
            _fail("the ID token has expired or lies ahead")


def _authorization_url(
    address: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    if not address.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        _fail("the provider names an address without TLS")
    body = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(address, body, {"Accept": "application/json", **(headers or {})})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - looked at above
            found = json.loads(answer.read(_MOST_BYTES))
    except (URLError, OSError, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        logger.warning("the provider of logins does not answer as it should: %s", type(error).__name__)
        raise LoginFailed from error
    if not isinstance(found, dict):
        _fail("the provider answered with no object")
    return found


def _fail(why: str) -> NoReturn:
    logger.warning("no login: %s", why)
    raise LoginFailed
