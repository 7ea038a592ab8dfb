"""Client credentials: secrets that are stored as MACs, registered public keys, and signed assertions.

A secret is `sellerscore_<name>_<random>`. The name is public and selects the one MAC to compare with. A secret is 256
random bits, so a slow hash, which protects passwords, would only let strangers occupy the processor.

An assertion (`private_key_jwt`, RFC 7523) is a JWT that the client signs for this service; it is valid for minutes and
works once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key, import_key
from joserfc.util import urlsafe_b64decode

from api.auth.token_request import InvalidClientError
from api.errors import AccessError, KeyRingError
from api.kit.files import AccessibleToOthersError, create_private, read_private
from features.regular_files import read_small_file

MAX_LIFETIME: Final = timedelta(minutes=5)
"""How far in the future an assertion may expire."""

_NAME_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_SECRET: Final = re.compile(r"sellerscore_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

_KEY_FILE: Final = "client-secrets"

_SCHEME: Final = "hmac-sha256"

_FORMER_SCHEME: Final = "$argon2id$"
"""The scheme of former versions, which is no longer accepted."""

_MEMBERS: Final = {"OKP": ("kty", "crv", "x"), "EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e")}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
_MIN_RSA_BITS: Final = 2048
_MAX_FILE: Final = 16_384
_CLOCK_SKEW: Final = 10
_MAX_JTI: Final = 200


@dataclass(frozen=True)
class NewSecret:
    """A new secret. The client receives `text` once; `name` and `hash` are stored."""

    name: str
    text: str = field(repr=False)
    hash: str = field(repr=False)


class ClientSecrets:
    """Makes and verifies secrets. They are stored as MACs under a key in the state folder.

    A thief who can write to the database, but lacks the key, cannot store a valid secret.

    Example:
        >>> secrets = ClientSecrets(bytes(32))
        >>> new = secrets.new()
        >>> secrets.verify(new.text, new.hash), secrets.verify("another", new.hash)
        (True, False)
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def open(cls, folder: Path, *, may_create: bool) -> ClientSecrets:
        """Read the key in a folder.

        Args:
            folder: Folder of the keys.
            may_create: Whether to create a key if there is none, because no secret is stored yet.

        Raises:
            KeyRingError: The key is missing or cannot be used.
        """
        path = folder / _KEY_FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if may_create:
                create_private(path, f"{secrets.token_hex(_SECRET_BYTES)}\n".encode("ascii"))
            key = bytes.fromhex(read_private(path).strip())
        except FileNotFoundError as error:
            raise KeyRingError(
                f"The key of client secrets {path} is missing. Copy it from a backup or from another service of this "
                "database. If it is lost, write 64 random hexadecimal digits to the file (`openssl rand -hex 32`), set "
                "its mode to 0600, and rotate the secret of every client. Users of the pages must log in again."
            ) from error
        except AccessibleToOthersError as error:
            raise KeyRingError(f"The key of client secrets {path} {error}") from error
        except OSError as error:
            raise KeyRingError(f"The key of client secrets {path} cannot be used ({error.strerror}).") from error
        except ValueError:
            key = b""
        if len(key) != _SECRET_BYTES:
            raise KeyRingError(f"The file {path} is not a key of client secrets. Restore it from a backup.")
        return cls(key)

    def new(self) -> NewSecret:
        """Return a new secret of 256 random bits, such as `sellerscore_5f0c6f3e0f0b_Jq7…`."""
        name = secrets.token_hex(_NAME_BYTES)
        text = f"sellerscore_{name}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        return NewSecret(name, text, self._mac(text))

    def verify(self, text: str, stored: str | None) -> bool:
        """Return whether the text is the secret with this MAC. Without a MAC, take the same time and return False."""
        # the MAC of the empty text is no secret's
        return hmac.compare_digest(self._mac(text), stored or self._mac("")) and stored is not None

    def derive_key(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for another purpose (HKDF, RFC 5869). It reveals nothing about this key.

        Example:
            >>> ClientSecrets(bytes(32)).derive_key("sellerscore sessions").hex()[:8]
            '8c3683dc'
        """
        return HKDF(SHA256(), _SECRET_BYTES, salt=None, info=purpose.encode()).derive(self._key)

    def _mac(self, text: str) -> str:
        return f"{_SCHEME}${hmac.digest(self._key, text.encode('utf-8', 'surrogatepass'), 'sha256').hex()}"


def is_outdated(stored: str | None) -> bool:
    """Return whether a stored hash is of a former version, whose secrets must be replaced."""
    return stored is not None and stored.startswith(_FORMER_SCHEME)


def secret_name(text: str) -> str | None:
    """Return the public name in a secret, or None if the text does not have the form of a secret."""
    match = _SECRET.fullmatch(text)
    return None if match is None else match[1]


@dataclass(frozen=True)
class PublicKey:
    """A validated public key: its required JWK members and its thumbprint (RFC 7638)."""

    members: Mapping[str, str]
    thumbprint: str

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The allowed algorithms. `EdDSA` is the former name of `Ed25519` (RFC 9864), still in use."""
        return {"OKP": ("Ed25519", "EdDSA"), "EC": ("ES256",), "RSA": ("PS256",)}[self.members["kty"]]

    @property
    def imported(self) -> Key:
        """The key as a joserfc object."""
        return import_key(dict(self.members))


def read_public_key(path: Path) -> PublicKey:
    """Read a public key from a JWK file.

    Raises:
        AccessError: The file cannot be read, or holds a private key or one that is not allowed.
    """
    try:
        jwk = json.loads(read_small_file(path, _MAX_FILE))
    except OSError as error:
        raise AccessError(f"The key file {path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise AccessError(
            f"The key file {path} is not JSON. It must hold one public key as a JWK (RFC 7517)."
        ) from error
    return public_key(jwk)


def public_key(jwk: Any) -> PublicKey:
    """Validate a public JWK.

    Example: `public_key({"kty": "OKP", "crv": "Ed25519", "x": "11qY…"}).algorithms` is `("Ed25519", "EdDSA")`.

    Raises:
        AccessError: The value is not a JWK, a private key, or of a kind that is not allowed.
    """
    if isinstance(jwk, dict) and not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise AccessError(
            "The file holds a private key. Register the public key only, and replace a private key that was sent."
        )
    names = _MEMBERS.get(str(jwk.get("kty")) if isinstance(jwk, dict) else "")
    if names is None or not all(isinstance(jwk.get(name), str) for name in names):
        raise AccessError("The file must hold one public key as a JWK with kty OKP, EC or RSA.")
    members = {name: jwk[name] for name in names}
    try:
        # before the import, because the library only warns of a short key
        _require_allowed(members)
        return PublicKey(members, import_key(members).thumbprint())
    except (JoseError, ValueError, TypeError) as error:
        raise AccessError("The JWK is not a valid key: one of its members cannot be decoded.") from error


def _require_allowed(members: Mapping[str, str]) -> None:
    if members["kty"] == "RSA":
        modulus = int.from_bytes(urlsafe_b64decode(members["n"].encode()), "big")
        allowed = modulus.bit_length() >= _MIN_RSA_BITS
    else:
        allowed = members["crv"] in {"Ed25519", "P-256"}
    if not allowed:
        raise AccessError(f"The key must be Ed25519, P-256, or RSA of at least {_MIN_RSA_BITS} bits.")


@dataclass(frozen=True)
class UsedAssertion:
    """The part of a verified assertion that is stored, so that it works once."""

    jti_digest: str
    until: datetime


class _Registry(jws.JWSRegistry):
    """Accepts `EdDSA` as `Ed25519`. The library would warn of the former name."""

    def get_alg(self, name: str) -> JWSAlgModel:
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


def subject_of(assertion: str) -> str:
    """Return the client ID that an assertion claims. Nothing is verified.

    Raises:
        InvalidClientError: It is not a JWT.
    """
    try:
        subject = json.loads(jws.extract_compact(assertion.encode()).payload)["sub"]
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidClientError from error
    if not isinstance(subject, str):
        raise InvalidClientError
    return subject


def verify_assertion(
    assertion: str, keys: Sequence[PublicKey], *, client_id: str, audiences: Sequence[str], now: datetime
) -> UsedAssertion:
    """Verify an assertion with the keys of a client.

    Example: an assertion with `aud` the token endpoint, `iss` and `sub` the client ID, a new `jti` and `exp` in four
    minutes is valid.

    Raises:
        InvalidClientError: None of the keys signed it, or a claim is invalid; the message names the claim.
    """
    claims = next((claims for key in keys if (claims := _verify_signature(assertion, key)) is not None), None)
    if claims is None:
        raise InvalidClientError
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=_CLOCK_SKEW,
        iss={"essential": True, "value": client_id},
        sub={"essential": True, "value": client_id},
        aud={"essential": True, "values": list(audiences)},
        exp={"essential": True},
        jti={"essential": True},
    )
    rules = {
        "iss": "The iss and sub of the assertion must both be the client_id.",
        "sub": "The iss and sub of the assertion must both be the client_id.",
        "aud": f"The aud of the assertion must be {' or '.join(audiences)}.",
        "exp": "The exp of the assertion must be in the future, by at most 5 minutes.",
        "nbf": "The nbf of the assertion is in the future or not a number of seconds.",
        "iat": "The iat of the assertion is in the future or not a number of seconds.",
        "jti": f"The jti of the assertion must be a unique text of 1 to {_MAX_JTI} characters.",
    }
    try:
        registry.validate({name: value for name, value in claims.items() if value is not None})
        # without leeway, so that the client's clock cannot lengthen the time for which a use is stored
        if not 0 < claims["exp"] - now.timestamp() <= MAX_LIFETIME.total_seconds():
            raise ExpiredTokenError("exp")
        if len(claims["jti"]) > _MAX_JTI:
            raise InvalidClaimError("jti")
    except ClaimError as error:
        raise InvalidClientError(rules[error.claim.partition(",")[0]]) from error
    jti_digest = hashlib.sha256(claims["jti"].encode("utf-8", "surrogatepass")).hexdigest()
    return UsedAssertion(jti_digest, datetime.fromtimestamp(claims["exp"], UTC))


def _verify_signature(assertion: str, key: PublicKey) -> dict[str, Any] | None:
    # other header members, such as x5t, are allowed
    registry = _Registry(algorithms=list(key.algorithms), strict_check_header=False)
    try:
        claims = json.loads(jws.deserialize_compact(assertion.encode(), key.imported, registry=registry).payload)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None
