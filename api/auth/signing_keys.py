"""Signing keys: rings of Ed25519 keys in files that only their owner can read. The newest key signs, all verify.

The name of a file is the time from which its key signs, so that a key can be published before it is used. Signatures
are compact JWS (RFC 7515) with the algorithm `Ed25519` (RFC 9864) and the thumbprint of the key (RFC 7638) as `kid`.
Public keys form a JWK set (RFC 7517), so that signatures can be verified without this service.

There are two rings. The keys of tokens are never published and sign no receipt.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode

from api.errors import KeyRingError, SignatureError, UnknownKeyError
from api.kit.files import AccessibleToOthersError, create_private, read_private
from api.settings import Settings

ALGORITHM: Final = "Ed25519"

TOKEN_LIFETIME: Final = timedelta(minutes=10)

DELAY: Final = timedelta(minutes=10)
"""From the publication of a key to its first signature: copies of the public keys are cached for five minutes, and
services that share the keys reload them about once per minute."""

_SUFFIX: Final = ".jwk"
_TIME_FORMAT: Final = "%Y%m%dT%H%M%S%fZ"
_FIRST: Final = "0"
_INVALID: Final = "The signature is invalid: the content was changed or truncated."


class Use(StrEnum):
    """What the keys of a ring sign."""

    RECEIPTS = "receipts"
    TOKENS = "tokens"


_OVERLAPS: Final = {Use.RECEIPTS: None, Use.TOKENS: TOKEN_LIFETIME}
"""How long a former key verifies: receipts are kept for years, tokens expire after minutes."""


@dataclass(frozen=True)
class KeyFile:
    """The file of a key, and the time from which it signs; the earliest possible time for a first key."""

    path: Path
    begins: datetime


@dataclass(frozen=True)
class KeyRing:
    """Private keys, oldest first; the last one signs. `upcoming` keys are published and do not sign yet.

    Example:
        >>> ring = KeyRing.open(Path("var/keys/receipts"))  # doctest: +SKIP
        >>> ring.verify(ring.sign(b"{}", "receipt+jws"), "receipt+jws")  # doctest: +SKIP
        b'{}'
    """

    keys: tuple[OKPKey, ...]
    upcoming: tuple[OKPKey, ...] = ()

    @classmethod
    def open(cls, folder: Path, now: datetime | None = None, overlap: timedelta | None = None) -> KeyRing:
        """Read the keys of a folder. Create the folder and a first key if there are none.

        Args:
            folder: Folder of the keys.
            now: Time as of which they are read; by default the current time.
            overlap: How long a key verifies after the next one started to sign; by default for ever.

        Raises:
            KeyRingError: The folder cannot be created or read, or a file is accessible to others or not a key.
        """
        with _describe_errors(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not key_files(folder):
                _create_key(folder, _FIRST)
        return cls.read(folder, now, overlap)

    @classmethod
    def read(cls, folder: Path, now: datetime | None = None, overlap: timedelta | None = None) -> KeyRing:
        """Read the keys of a folder like `open`, but create none.

        Raises:
            KeyRingError: As for `open`, or there is no key.
        """
        now = now or datetime.now(UTC)
        with _describe_errors(folder):
            files = key_files(folder)
            started = [file for file in files if file.begins <= now] or files[:1]
            if not started:
                raise KeyRingError(f"There is no signing key in {folder}. Restore the keys from a backup.")
            verifying = [
                file
                for file, successor in zip(started, [*started[1:], None], strict=True)
                if overlap is None or successor is None or now - successor.begins <= overlap
            ]
            upcoming = files[len(started) :]
            return cls(*(tuple(_read_key(file.path) for file in group) for group in (verifying, upcoming)))

    @classmethod
    def rotate(cls, folder: Path, now: datetime, delay: timedelta = timedelta(0)) -> KeyRing:
        """Add a key that is published now and signs after a delay. Former signatures still verify.

        Raises:
            KeyRingError: As for `open`.
        """
        cls.open(folder, now)
        try:
            _create_key(folder, (now + delay).strftime(_TIME_FORMAT))
        except OSError as error:
            raise KeyRingError(f"The new key cannot be written to {folder} ({error.strerror}).") from error
        return cls.open(folder, now)

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set: the current key, former keys, and upcoming keys."""
        return {"keys": [_public(key) for key in (*reversed(self.keys), *self.upcoming)]}

    def sign(self, payload: bytes, kind: str) -> str:
        """Return a compact JWS. `kind` is its `typ`, so that a signature for one use is invalid for another."""
        key, kid = self._current
        header = {"alg": ALGORITHM, "kid": kid, "typ": kind}
        return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM])

    @cached_property
    def _current(self) -> tuple[OKPKey, str]:
        return self.keys[-1], self.keys[-1].thumbprint()

    def verify(self, signed: str, kind: str) -> bytes:
        """Return the payload of a JWS that one of these keys signed.

        Raises:
            SignatureError: It was changed, is of another key or kind, or is not a JWS.
        """
        return self._public.verify(signed, kind)

    @cached_property
    def _public(self) -> PublicKeys:
        return PublicKeys(self.jwks)


def verify_jws(signed: str, kind: str, jwks: Mapping[str, Any]) -> bytes:
    """Return the payload of a JWS that a key of the set signed.

    Raises:
        UnknownKeyError: No key of the set has the ID that the JWS names.
        SignatureError: It was changed, is of another kind, or is not a JWS.
    """
    return PublicKeys(jwks).verify(signed, kind)


class PublicKeys:
    """A JWK set that verifies signatures, also in several threads.

    Example: `PublicKeys(ring.jwks).verify(signed, "receipt+jws")` is the payload.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._jwks = {key["kid"]: key for key in jwks["keys"]}
        self._keys: dict[str, OKPKey] = {}
        self._header: tuple[str, str, Ed25519PublicKey] | None = None

    def verify(self, signed: str, kind: str) -> bytes:
        """Return the payload of a JWS; raises as `verify_jws`."""
        try:
            key = self._key(jws.extract_compact(signed.encode()).headers(), kind)
            payload: bytes = jws.deserialize_compact(signed, key, algorithms=[ALGORITHM]).payload
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise SignatureError(_INVALID) from error
        return payload

    def verify_detached(self, signed: str, payload: bytes, kind: str) -> None:
        """Verify a JWS without its payload (`header..signature`) over a payload; raises as `verify_jws`."""
        try:
            header, _, signature = signed.split(".")
            signed_bytes = header.encode() + b"." + _encode(payload)
            self._key_of(header, kind).verify(urlsafe_b64decode(signature.encode()), signed_bytes)
        except (JoseError, InvalidSignature, ValueError, KeyError, TypeError) as error:
            raise SignatureError(_INVALID) from error

    def _key_of(self, header: str, kind: str) -> Ed25519PublicKey:
        """Return the key that an encoded header names. Consecutive signatures mostly have the same header."""
        last = self._header
        if last is not None and last[:2] == (header, kind):
            return last[2]
        key = self._key(json.loads(urlsafe_b64decode(header.encode())), kind).get_op_key("verify")
        if not isinstance(key, Ed25519PublicKey):
            raise TypeError
        self._header = (header, kind, key)
        return key

    def _key(self, header: Mapping[str, Any], kind: str) -> OKPKey:
        if header.get("typ") != kind or header.get("alg") != ALGORITHM:
            raise SignatureError("The signature is of another kind of document.")
        kid = str(header.get("kid"))
        if kid not in self._jwks:
            raise UnknownKeyError
        if kid not in self._keys:
            key = OKPKey.import_key({name: self._jwks[kid][name] for name in ("kty", "crv", "x")})
            if key.thumbprint() != kid:
                raise SignatureError("The ID of a trusted key does not match its key: the key set was changed.")
            self._keys[kid] = key
        return self._keys[kid]


def _encode(payload: bytes) -> bytes:
    # like `base64.urlsafe_b64encode` without padding, but faster: text rarely has the replaced characters
    return b2a_base64(payload, newline=False).replace(b"+", b"-").replace(b"/", b"_").rstrip(b"=")


def key_files(folder: Path) -> list[KeyFile]:
    """Return the key files of a folder, in the order in which the keys start to sign.

    Raises:
        OSError: The folder cannot be read.
    """
    files = [KeyFile(path, _begins(path)) for path in folder.glob(f"*{_SUFFIX}")]
    return sorted(files, key=lambda file: (file.begins, file.path.name))


def _begins(path: Path) -> datetime:
    try:
        return datetime.strptime(path.name.removesuffix(_SUFFIX), _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


@contextmanager
def _describe_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeyRingError(
            f"The signing keys in {folder} cannot be used ({error.strerror}). Give this user read and write access."
        ) from error


def key_id(file: KeyFile) -> str:
    """Return the `kid` of the key in a file.

    Raises:
        KeyRingError: The file is accessible to others, or not a key.
    """
    with _describe_errors(file.path.parent):
        return str(_read_key(file.path).thumbprint())


def _create_key(folder: Path, name: str) -> None:
    key = OKPKey.generate_key("Ed25519")
    create_private(folder / f"{name}{_SUFFIX}", json.dumps(key.as_dict(private=True)).encode("ascii"))


def _read_key(path: Path) -> OKPKey:
    try:
        return OKPKey.import_key(json.loads(read_private(path)))
    except AccessibleToOthersError as error:
        raise KeyRingError(f"The signing key {path} {error}") from error
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise KeyRingError(f"The file {path} is not a signing key. Restore it from a backup.") from error


def _public(key: OKPKey) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": key.thumbprint(), "alg": ALGORITHM, "use": "sig"}


def folder_of(settings: Settings, use: Use) -> Path:
    """Return the folder of a ring."""
    return {Use.RECEIPTS: settings.receipt_keys_path, Use.TOKENS: settings.token_keys_path}[use]


def open_ring(settings: Settings, use: Use) -> KeyRing:
    """Return a ring as of now. Create its first key if there is none.

    Raises:
        KeyRingError: The keys cannot be used.
    """
    return KeyRing.open(folder_of(settings, use), overlap=_OVERLAPS[use])


def read_ring(settings: Settings, use: Use) -> KeyRing:
    """Return a ring as of now, without creating a key.

    Raises:
        KeyRingError: The keys cannot be used, or there are none.
    """
    return KeyRing.read(folder_of(settings, use), overlap=_OVERLAPS[use])


def describe_key(use: Use, ring: KeyRing, kid: str, begins: datetime) -> str:
    """Return the current role of a key.

    Example: `signs receipts`, `verifies`, `signs from 2026-02-01 09:40 UTC`, `no longer used`.
    """
    if kid == ring.keys[-1].thumbprint():
        return f"signs {use}"
    if any(kid == key.thumbprint() for key in ring.upcoming):
        return f"signs from {begins:%Y-%m-%d %H:%M} UTC"
    return "verifies" if any(kid == key.thumbprint() for key in ring.keys) else "no longer used"
