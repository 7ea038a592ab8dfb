"""Access tokens: JWTs as RFC 9068 has them, signed with Ed25519 by the service's own key ring, good for ten minutes.

A token says who and what for; whether the client is still one is for the database to say, at each request.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from api.access.rights import Kind, Scope, written
from api.errors import InvalidToken, SignatureError
from api.keyring import KeyRing

TYPE: Final = "at+jwt"
LIFETIME: Final = timedelta(minutes=10)
_REMEMBERED: Final = 10_000
"""Tokens whose signature need not be checked again: some megabytes, and a tenth of a millisecond saved each time."""

_MOST_CHARACTERS: Final = 4_096


@dataclass(frozen=True)
class Claims:
    """What a token says of its holder."""

    client_id: str
    kind: Kind
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

    def issue(self, client_id: str, kind: Kind, scopes: frozenset[Scope], now: datetime) -> str:
        """Return a token for a client who has proved itself."""
        began = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": client_id,
            "client_id": client_id,
            "client_kind": str(kind),
            "scope": written(scopes),
            "iat": began,
            "exp": began + int(LIFETIME.total_seconds()),
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
            return Claims(said["sub"], Kind(said["client_kind"]), scopes, float(said["exp"]))
        except (SignatureError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidToken from error

    def _remember(self, name: bytes, claims: Claims) -> None:
        with self._lock:
            if name not in self._known and len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[name] = claims
