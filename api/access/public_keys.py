"""Public keys that clients register, and what they sign with them: Ed25519, P-256 or RSA of 2048 bits and more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from api.errors import AccessError

_MEMBERS: Final = {"OKP": ("kty", "crv", "x"), "EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e")}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
_LEAST_RSA_BITS: Final = 2048
_LARGEST_FILE: Final = 16_384


@dataclass(frozen=True)
class PublicKey:
    """A key that was checked: the members that make it one, and its thumbprint (RFC 7638)."""

    members: Mapping[str, str]
    thumbprint: str

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What the key may sign with, the name that RFC 9864 replaced included, since most libraries still say it."""
        return {"OKP": ("Ed25519", "EdDSA"), "EC": ("ES256",), "RSA": ("PS256",)}[self.members["kty"]]

    @property
    def imported(self) -> OKPKey | ECKey | RSAKey:
        """The key as joserfc takes it."""
        return _imported(self.members)


def read_public_key(path: Path) -> PublicKey:
    """Read a JWK file, as a bank's engineers send it.

    Raises:
        AccessError: it cannot be read, holds no key that is allowed, or a private one.
    """
    try:
        with path.open("rb") as file:
            given = json.loads(file.read(_LARGEST_FILE))
    except OSError as error:
        raise AccessError(f"The key file {path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise AccessError(
            f"The key file {path} is no JSON; it must hold one public key as a JWK (RFC 7517)."
        ) from error
    return public_key(given)


def public_key(given: Any) -> PublicKey:
    """Check a JWK and keep the members that make the key.

    Example: `public_key({"kty": "OKP", "crv": "Ed25519", "x": "11qY…"}).algorithms` is `("Ed25519", "EdDSA")`.

    Raises:
        AccessError: it is no JWK, a private key, or of a kind that is not allowed.
    """
    if isinstance(given, dict) and not _PRIVATE.isdisjoint(given):
        raise AccessError("The file holds a private key; register the public half, and use no key that was sent about.")
    names = _MEMBERS.get(str(given.get("kty")) if isinstance(given, dict) else "")
    if names is None or not all(isinstance(given.get(name), str) for name in names):
        raise AccessError("The file must hold one public key as a JWK with kty OKP, EC or RSA.")
    members = {name: given[name] for name in names}
    try:
        # before it is imported, since the library warns of a short key where we refuse it
        _require_allowed(members)
        return PublicKey(members, _imported(members).thumbprint())
    except (JoseError, ValueError, TypeError) as error:
        raise AccessError("The JWK is no key: a member of it cannot be read.") from error


def _require_allowed(members: Mapping[str, str]) -> None:
    if members["kty"] == "RSA":
        modulus = int.from_bytes(urlsafe_b64decode(members["n"].encode()), "big")
        allowed = modulus.bit_length() >= _LEAST_RSA_BITS
    else:
        allowed = members["crv"] in {"Ed25519", "P-256"}
    if not allowed:
        raise AccessError(f"The key must be Ed25519, P-256, or RSA of {_LEAST_RSA_BITS} bits or more.")


def _imported(members: Mapping[str, str]) -> OKPKey | ECKey | RSAKey:
    kinds: Mapping[str, type[OKPKey | ECKey | RSAKey]] = {"OKP": OKPKey, "EC": ECKey, "RSA": RSAKey}
    return kinds[members["kty"]].import_key(dict(members))
