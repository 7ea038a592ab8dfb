"""Login of sellers with OpenID Connect: authorization code flow with PKCE, and validation of the ID token.

Requests to the provider use HTTPS; joserfc verifies its signatures. The state of a login is not stored but kept in a
short-lived cookie of the browser that started it.

A provider that does not respond delays only logins: `OidcLogins` has its own threads, a time limit and a circuit
breaker.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import secrets
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final, NoReturn, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode

from joserfc import jwt
from joserfc.errors import ClaimError, JoseError
from joserfc.jwk import KeySet

from api.errors import LoginFailed, LoginUnavailable
from api.kit.background import DegradedConditions
from api.kit.circuit_breaker import CircuitBreaker
from api.settings import Settings

CALLBACK_PATH: Final = "/seller/oidc/callback"
_ALGORITHMS: Final = ["RS256", "PS256", "ES256", "Ed25519"]
_SILENCE_SECONDS: Final = 3
"""Longest silence of the provider."""

_MAX_WAIT_SECONDS: Final = 8
"""Longest time of one step of a login, which sends up to three requests."""

_THREADS: Final = 4
_MAX_WAITING: Final = 32
_MAX_BYTES: Final = 1_000_000
_CLOCK_SKEW: Final = 60
_MAX_ID: Final = 200

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class LoginAttempt:
    """A started login: the values that the response must match."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> LoginAttempt:
        """Start a login."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @classmethod
    def read(cls, cookie: str) -> LoginAttempt:
        """Return the login of a cookie.

        Raises:
            LoginFailed: The cookie is not ours.
        """
        values = cookie.split(".")
        if len(values) != len(cls.__dataclass_fields__) or not all(values):
            raise LoginFailed
        return cls(*values)

    @property
    def cookie(self) -> str:
        """The value of the cookie."""
        return f"{self.state}.{self.nonce}.{self.verifier}"


@dataclass(frozen=True)
class Provider:
    """A login provider. Its metadata and keys are read for each login, so that its keys can rotate."""

    issuer: str
    client_id: str
    client_secret: str | None
    claim: str
    callback: str

    def authorization_url(self, attempt: LoginAttempt) -> str:
        """Return the URL that the browser is redirected to.

        Raises:
            LoginFailed: The metadata of the provider are not valid.
            LoginUnavailable: The provider does not respond.
        """
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.callback,
            "scope": "openid",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge.decode("ascii"),
            "code_challenge_method": "S256",
        }
        endpoint = str(self._metadata()["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def complete_login(self, attempt: LoginAttempt, state: str, code: str, now: datetime) -> str:
        """Return the seller ID in the response of the provider.

        Raises:
            LoginFailed: The response is not to the login of this browser, or does not identify a seller.
            LoginUnavailable: The provider does not respond.
        """
        if not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise LoginFailed
        metadata = self._metadata()
        claims = self._verify(metadata, self._exchange_code(metadata, code, attempt), attempt, now)
        seller_id = claims.get(self.claim)
        if not isinstance(seller_id, str) or not 1 <= len(seller_id) <= _MAX_ID or not seller_id.isprintable():
            _fail(f"the claim {self.claim} is not a seller ID")
        return seller_id

    def _metadata(self) -> Mapping[str, Any]:
        content = _fetch_json(f"{self.issuer}/.well-known/openid-configuration")
        required = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
        if content.get("issuer") != self.issuer or not all(isinstance(content.get(name), str) for name in required):
            _fail("the provider has no valid metadata for this issuer")
        return content

    def _exchange_code(self, metadata: Mapping[str, Any], code: str, attempt: LoginAttempt) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "client_id": self.client_id,
            "code_verifier": attempt.verifier,
        }
        headers = {}
        if self.client_secret is not None:
            both = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        token = _fetch_json(str(metadata["token_endpoint"]), form, headers).get("id_token")
        if not isinstance(token, str):
            _fail("the provider returned no ID token")
        return token

    def _verify(self, metadata: Mapping[str, Any], token: str, attempt: LoginAttempt, now: datetime) -> dict[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=_CLOCK_SKEW,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.client_id},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            keys = KeySet.import_key_set(_fetch_json(str(metadata["jwks_uri"])))  # type: ignore[arg-type]
            claims = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            logger.warning(
                "the ID token is invalid: %s", error if isinstance(error, ClaimError) else type(error).__name__
            )
            raise LoginFailed from error
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self.client_id:
            _fail("the ID token was issued to another client")
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
            _fail("the ID token belongs to another login")
        return claims


class OidcLogins:
    """Logins at a provider on threads of their own, so that no other request waits for the provider.

    If the provider fails repeatedly, logins are refused at once for a while, and `/health/ready` shows the condition.
    """

    def __init__(self, provider: Provider, degraded: DegradedConditions) -> None:
        self._provider = provider
        self._degraded = degraded
        self._breaker = CircuitBreaker()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="oidc")
        self._waiting = 0

    async def authorization_url(self, attempt: LoginAttempt) -> str:
        """Return the URL that the browser is redirected to; raises like `Provider.authorization_url`."""
        return await self._call(partial(self._provider.authorization_url, attempt))

    async def complete_login(self, attempt: LoginAttempt, state: str, code: str, now: datetime) -> str:
        """Return the seller ID in the response of the provider; raises like `Provider.complete_login`."""
        return await self._call(partial(self._provider.complete_login, attempt, state, code, now))

    async def _call(self, step: Callable[[], T]) -> T:
        if self._waiting >= _MAX_WAITING or not self._breaker.admits():
            raise LoginUnavailable
        self._waiting += 1
        try:
            result = await asyncio.wait_for(asyncio.wrap_future(self._pool.submit(step)), _MAX_WAIT_SECONDS)
        except LoginFailed:
            self._record(ok=True)
            raise
        except (LoginUnavailable, TimeoutError) as error:
            self._record(ok=False)
            raise LoginUnavailable from error
        finally:
            self._waiting -= 1
        self._record(ok=True)
        return result

    def _record(self, *, ok: bool) -> None:
        self._breaker.record(ok=ok)
        condition = "the login provider does not respond; sellers can log in only with links of the platform."
        self._degraded.report("oidc", condition if self._breaker.is_open else None)


def open_logins(settings: Settings, degraded: DegradedConditions) -> OidcLogins | None:
    """Return the logins at the provider of the settings, or None if they name none."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    secret = settings.oidc_client_secret
    provider = Provider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        None if secret is None else secret.get_secret_value(),
        settings.oidc_claim,
        settings.issuer + CALLBACK_PATH,
    )
    return OidcLogins(provider, degraded)


def _fetch_json(
    address: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    if not address.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        _fail("the provider has an address without TLS")
    body = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(address, body, {"Accept": "application/json", **(headers or {})})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_SILENCE_SECONDS) as response:  # noqa: S310 - checked above
            content = json.loads(response.read(_MAX_BYTES))
    except HTTPError as error:
        error.close()
        logger.warning("the login provider responded with status %d", error.code)
        refused = error.code < HTTPStatus.INTERNAL_SERVER_ERROR
        raise (LoginFailed if refused else LoginUnavailable) from error
    except (URLError, OSError, HTTPException) as error:
        logger.warning("the login provider does not respond: %s", type(error).__name__)
        raise LoginUnavailable from error
    except ValueError as error:
        logger.warning("the response of the login provider is not JSON")
        raise LoginFailed from error
    if not isinstance(content, dict):
        _fail("the response of the provider is not a JSON object")
    return content


def _fail(reason: str) -> NoReturn:
    logger.warning("login failed: %s", reason)
    raise LoginFailed
