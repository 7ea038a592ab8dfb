"""Access tokens: JWTs as RFC 9068 has them, signed with Ed25519 by the service's own key ring, good for ten minutes.

A token says who and what for; whether the client is still one is for the database to say, at each request.

What access holds while the service runs: keys, limits, and the few threads that may hash at once.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from api.auth.rate_limits import Limiter, Policy, RateLimits
from api.auth.scopes import ClientKind, Scope, format_scopes
from api.auth.signing_keys import TOKEN_LIFETIME, KeyRing, Use, open_ring
from api.errors import InvalidToken, SignatureError
from api.settings import Settings

TYPE: Final = "at+jwt"


_REMEMBERED: Final = 10_000
"""Tokens whose signature need not be checked again: some megabytes, and a tenth of a millisecond saved each time."""


_MOST_CHARACTERS: Final = 4_096


@dataclass(frozen=True)
class Claims:
    """What a token says of its holder."""

    client_id: str
    kind: ClientKind
    scopes: frozenset[Scope]
    expires: float


class Tokens:
    """Makes tokens and reads them.

    Example:
        >>> tokens = Tokens(KeyRing.open(folder), "https://score.example")  # doctest: +SKIP
        >>> tokens.read(tokens.issue(claims_of_a_bank, now), now).kind  # doctest: +SKIP
        <Kind.BANK: 'bank'>
    """

    def __init__(self, ring: KeyRing, issuer: str) -> None:
        self.ring = ring
        self.issuer = issuer
        self._known: dict[bytes, Claims] = {}
        self._lock = threading.Lock()

    def take_up(self, ring: KeyRing) -> None:
        """Use other keys from now on; what was found good by a key that is gone is looked at again."""
        with self._lock:
            self.ring = ring
            self._known.clear()

    def issue(self, client_id: str, kind: ClientKind, scopes: frozenset[Scope], now: datetime) -> str:
        """Return a token for a client who has proved itself."""
        began = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": client_id,
            "client_id": client_id,
            "client_kind": str(kind),
            "scope": format_scopes(scopes),
            "iat": began,
            "exp": began + int(TOKEN_LIFETIME.total_seconds()),
            "jti": secrets.token_urlsafe(16),
        }
        return self.ring.sign(json.dumps(claims, separators=(",", ":")).encode(), TYPE)

    def read(self, token: str, now: datetime) -> Claims:
        """Return what a token says.

        Raises:
            InvalidToken: it is altered, of another service or use, expired, or no token at all.
        """
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        claims = self._known.get(name)
        if claims is None:
            claims = self._verified(token)
        if claims.expires <= now.timestamp():
            self._known.pop(name, None)
            raise InvalidToken
        self._remember(name, claims)
        return claims

    def _verified(self, token: str) -> Claims:
        if len(token) > _MOST_CHARACTERS or not token.isascii():
            raise InvalidToken
        try:
            said = json.loads(self.ring.verified(token, TYPE))
            if said["iss"] != self.issuer or said["aud"] != self.issuer:
                raise InvalidToken
            scopes = frozenset(map(Scope, said["scope"].split()))
            return Claims(said["sub"], ClientKind(said["client_kind"]), scopes, float(said["exp"]))
        except (SignatureError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidToken from error

    def _remember(self, name: bytes, claims: Claims) -> None:
        with self._lock:
            if name not in self._known and len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[name] = claims


_HASHING_AT_ONCE: Final = 2
"""Hashing takes a core and 19 MiB for 20 ms: more at once would only keep scores waiting."""


_FAILURES_PER_ADDRESS: Final = 10
"""Times as many for an address as for one client there, since banks may share one."""


T = TypeVar("T")


@dataclass(frozen=True)
class Auth:
    """The parts by which callers prove themselves and are counted."""

    tokens: Tokens
    limits: RateLimits
    _hashing: CapacityLimiter = field(default_factory=partial(CapacityLimiter, _HASHING_AT_ONCE))

    async def hash_in_thread(self, work: Callable[[], T]) -> T:
        """Do work that hashes, in one of the few threads for it; other requests go on meanwhile."""
        return await anyio.to_thread.run_sync(work, limiter=self._hashing)


def open_auth(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Auth:
    """Read the keys of tokens, making the first where there is none.

    Raises:
        KeyRingError: the keys cannot be used.
    """
    calls = Policy("client", settings.rate_limit_calls, settings.rate_limit_seconds)
    failed = Policy("failures", settings.failed_logins, settings.failed_logins_seconds)
    everyone = Policy("address", failed.quota * _FAILURES_PER_ADDRESS, failed.window)
    limits = RateLimits(*(Limiter(policy, clock) for policy in (calls, failed, everyone)))
    return Auth(Tokens(open_ring(settings, Use.TOKENS), settings.issuer), limits)


TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
