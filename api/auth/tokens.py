"""Access tokens: JWTs (RFC 9068) signed with Ed25519, valid for ten minutes; and the state of authentication.

A token states the client and its scopes. The database decides for each request whether the client is still active.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from cachetools import LRUCache
from sqlalchemy import Engine

from api.auth.clients import Client, ClientRecords, open_secrets
from api.auth.credentials import ClientSecrets
from api.auth.rate_limits import Limiter, Policy, RateLimits
from api.auth.scopes import ClientKind, Scope, format_scopes
from api.auth.sessions import Sessions
from api.auth.signing_keys import TOKEN_LIFETIME, KeyRing, Use, open_ring
from api.errors import InvalidToken, SignatureError
from api.kit.batching import RequestBatcher
from api.kit.database import transaction
from api.settings import Settings

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
TYPE: Final = "at+jwt"

_CACHE_SIZE: Final = 10_000
"""Tokens whose signature is not verified again: some megabytes, and a tenth of a millisecond saved per request."""

_MAX_TOKEN: Final = 4_096

_TOKEN_THREADS: Final = 4
"""Threads of token requests, apart from those of other requests: anyone can send token requests."""

_ADDRESS_FACTOR: Final = 10
"""The limit of an address as a multiple of the limit of one client there, because banks may share an address."""

T = TypeVar("T")


@dataclass(frozen=True)
class Claims:
    """The claims of a token."""

    client_id: str
    kind: ClientKind
    scopes: frozenset[Scope]
    expires: float


class AccessTokens:
    """Issues and reads tokens.

    Example:
        >>> tokens = AccessTokens(KeyRing.open(folder), "https://score.example")  # doctest: +SKIP
        >>> tokens.read(tokens.issue("bank-1", ClientKind.BANK, scopes, now), now).kind  # doctest: +SKIP
        <ClientKind.BANK: 'bank'>
    """

    def __init__(self, ring: KeyRing, issuer: str) -> None:
        self.ring = ring
        self.issuer = issuer
        self._verified: Any = LRUCache(_CACHE_SIZE)
        self._lock = threading.Lock()

    def replace_keys(self, ring: KeyRing) -> None:
        """Use other keys from now on, and verify all signatures again."""
        with self._lock:
            self.ring = ring
            self._verified.clear()

    def issue(self, client_id: str, kind: ClientKind, scopes: frozenset[Scope], now: datetime) -> str:
        """Return a token for an authenticated client."""
        issued_at = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": client_id,
            "client_id": client_id,
            "client_kind": str(kind),
            "scope": format_scopes(scopes),
            "iat": issued_at,
            "exp": issued_at + int(TOKEN_LIFETIME.total_seconds()),
            "jti": secrets.token_urlsafe(16),
        }
        return self.ring.sign(json.dumps(claims, separators=(",", ":")).encode(), TYPE)

    def read(self, token: str, now: datetime) -> Claims:
        """Return the claims of a token.

        Raises:
            InvalidToken: It was changed, has expired, or was issued by another service or for another use.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            claims: Claims | None = self._verified.get(digest)
        if claims is None:
            claims = self._verify(token)
            with self._lock:
                self._verified[digest] = claims
        if claims.expires <= now.timestamp():
            raise InvalidToken
        return claims

    def _verify(self, token: str) -> Claims:
        if len(token) > _MAX_TOKEN or not token.isascii():
            raise InvalidToken
        try:
            claims = json.loads(self.ring.verify(token, TYPE))
            if claims["iss"] != self.issuer or claims["aud"] != self.issuer:
                raise InvalidToken
            scopes = frozenset(Scope(name) for name in claims["scope"].split())
            return Claims(claims["sub"], ClientKind(claims["client_kind"]), scopes, float(claims["exp"]))
        except (SignatureError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidToken from error


@dataclass(frozen=True)
class Auth:
    """The state that authentication needs: database, clients, tokens, secrets, sessions, rate limits, receipt keys."""

    engine: Engine
    batcher: RequestBatcher
    tokens: AccessTokens
    secrets: ClientSecrets
    sessions: Sessions
    receipts: KeyRing
    clients: ClientRecords
    limits: RateLimits
    _threads: CapacityLimiter = field(default_factory=partial(CapacityLimiter, _TOKEN_THREADS))

    def find_clients(self, client_ids: Collection[str]) -> dict[str, Client]:
        """Return those of the clients that exist, revoked or not, as their signed entries record them.

        It reads in a transaction of its own, so that it can be called within another one.

        Raises:
            DatabaseUnavailable: The database does not respond, or entries are missing.
        """
        if not client_ids:
            return {}
        with transaction(self.engine) as connection:
            return self.clients.find(connection, client_ids)

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Run a function that authenticates a client in one of a few threads, without blocking other requests."""
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


def open_auth(
    settings: Settings,
    engine: Engine,
    batcher: RequestBatcher,
    records: Callable[[Mapping[str, Any]], ClientRecords],
    clock: Callable[[], float] = time.monotonic,
) -> Auth:
    """Read the signing keys, creating the first ones if there are none.

    Args:
        settings: The settings.
        engine: Engine of the database.
        batcher: Batches the look-ups of clients.
        records: Returns the records of clients that are verified with the public keys of receipts.
        clock: A clock in seconds for the rate limits.

    Raises:
        KeyRingError: The keys cannot be used.
    """
    calls = Policy("client", settings.rate_limit_calls, settings.rate_limit_seconds)
    failures = Policy("failures", settings.failed_logins, settings.failed_logins_seconds)
    address = Policy("address", failures.quota * _ADDRESS_FACTOR, failures.window)
    client_secrets, receipts = open_secrets(settings.keys_path, engine), open_ring(settings, Use.RECEIPTS)
    return Auth(
        engine=engine,
        batcher=batcher,
        tokens=AccessTokens(open_ring(settings, Use.TOKENS), settings.issuer),
        secrets=client_secrets,
        sessions=Sessions(engine, client_secrets),
        receipts=receipts,
        clients=records(receipts.jwks),
        limits=RateLimits(*(Limiter(policy, clock) for policy in (calls, failures, address))),
    )
