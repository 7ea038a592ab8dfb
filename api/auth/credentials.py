"""Client secrets: random, shown once, kept as argon2id hashes, and proved in the same time whatever is wrong.

A secret is `sellerscore_<name>_<random>`: the name, no secret itself, finds the one hash to compare with, so that each
attempt costs one comparison, of an unknown client too.

Public keys that clients register, and what they sign with them: Ed25519, P-256 or RSA of 2048 bits and more.

`private_key_jwt` (RFC 7523): a client signs who it is, for this service, for minutes, and never twice.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from api.auth.token_request import InvalidClientError
from api.errors import AccessError

_BYTES: Final = 32


_NAME_BYTES: Final = 6


_MOST_CHARACTERS: Final = 200


_SHAPE: Final = re.compile(r"sellerscore_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""Second of OWASP's settings for argon2id: 20 ms; a secret of 256 random bits needs no more."""


_DUMMY_HASH: Final = "$argon2id$v=19$m=19456,t=2,p=1$LLHthjBSyno8n5UUUOiOgg$Pf2rJF/knxRjkhFEcCvcgCkdcnzls4NMDS0cMzOAnC0"
"""A hash of the same cost that no secret has, to compare with where there is none."""


@dataclass(frozen=True)
class NewSecret:
    """A secret that was just made: `text` goes to the client, once; `name` and `hash` are kept."""

    name: str
    text: str = field(repr=False)
    hash: str = field(repr=False)


def make_secret() -> NewSecret:
    """Make a secret of 256 random bits.

    Example: its text is like `sellerscore_5f0c6f3e0f0b_Jq7…`.
    """
    name = secrets.token_hex(_NAME_BYTES)
    text = f"sellerscore_{name}_{secrets.token_urlsafe(_BYTES)}"
    return NewSecret(name, text, _hasher.hash(text))


def client_id_in(text: str) -> str | None:
    """Return the name that a secret carries, None where it cannot be one of ours."""
    found = _SHAPE.fullmatch(text)
    return None if found is None else found[1]


def verify_secret(text: str, kept: str | None) -> bool:
    """Tell whether the text is the secret with this hash; without a hash it takes as long, and is not."""
    try:
        return _hasher.verify(kept or _DUMMY_HASH, text[:_MOST_CHARACTERS]) and kept is not None
    except VerificationError:
        return False


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


LONGEST: Final = timedelta(minutes=5)


_CLOCKS_DIFFER: Final = timedelta(seconds=10)


_LONGEST_JTI: Final = 200


@dataclass(frozen=True)
class UsedAssertion:
    """What is remembered of an assertion, so that it counts once."""

    jti_digest: str
    until: datetime


class _Registry(jws.JWSRegistry):
    """Takes `EdDSA` for `Ed25519`, which RFC 9864 calls it now; the library would warn of the old name."""

    def get_alg(self, name: str) -> JWSAlgModel:
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


def subject_of(assertion: str) -> str:
    """Return the client that an assertion names; nothing of it is proved yet.

    Raises:
        InvalidClientError: it is no JWT.
    """
    try:
        subject = json.loads(jws.extract_compact(assertion.encode()).payload)["sub"]
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidClientError from error
    if not isinstance(subject, str):
        raise InvalidClientError
    return subject


def verify_assertion(
    assertion: str, keys: Sequence[PublicKey], *, client_id: str, audiences: Collection[str], now: datetime
) -> UsedAssertion:
    """Check an assertion of a client against its keys.

    Example: with `aud` the token endpoint, `iss` and `sub` the client, `jti` new and `exp` in four minutes it is good.

    Raises:
        InvalidClientError: none of the keys signed it, in the usual words; or a claim is not as it must be, and which.
    """
    claims = next((found for key in keys if (found := _signed(assertion, key)) is not None), None)
    if claims is None:
        raise InvalidClientError
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise InvalidClientError("In the assertion iss and sub must both be the client_id.")
    said = claims.get("aud")
    if not any(each in audiences for each in (said if isinstance(said, list) else [said]) if isinstance(each, str)):
        raise InvalidClientError(f"The aud of the assertion must be {' or '.join(sorted(audiences))}.")
    if _moment(claims, "nbf", now) > now + _CLOCKS_DIFFER or _moment(claims, "iat", now) > now + _CLOCKS_DIFFER:
        raise InvalidClientError("The nbf or iat of the assertion lies ahead.")
    return UsedAssertion(_jti(claims), _expiry(claims, now))


def _signed(assertion: str, key: PublicKey) -> dict[str, Any] | None:
    try:
        signed = jws.deserialize_compact(assertion.encode(), key.imported, registry=_registry_of(key))
        claims = json.loads(signed.payload)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _registry_of(key: PublicKey) -> _Registry:
    # other members of the header, as x5t, are no reason to refuse
    return _Registry(algorithms=list(key.algorithms), strict_check_header=False)


def _expiry(claims: Mapping[str, Any], now: datetime) -> datetime:
    if "exp" not in claims:
        raise InvalidClientError("The assertion has no exp.")
    expires = _moment(claims, "exp", now)
    if expires <= now:
        raise InvalidClientError("The assertion has expired.")
    if expires > now + LONGEST:
        raise InvalidClientError("The exp of the assertion is more than 5 minutes ahead.")
    return expires


def _moment(claims: Mapping[str, Any], name: str, default: datetime) -> datetime:
    value = claims.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidClientError(f"The {name} of the assertion must be a number of seconds.")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidClientError(f"The {name} of the assertion is no moment.") from error


def _jti(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _LONGEST_JTI:
        raise InvalidClientError(
            f"The jti of the assertion must be a text of 1 to {_LONGEST_JTI} characters, used once."
        )
    return hashlib.sha256(jti.encode("utf-8", "surrogatepass")).hexdigest()
