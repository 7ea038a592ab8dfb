"""The service's signing keys: Ed25519, each in a file that only its owner may read; the newest signs, all verify.

A file is named by the moment from which its key signs, so that a key can be published before it is used.

What is signed is a compact JWS (RFC 7515) with the algorithm `Ed25519` (RFC 9864) and the key's thumbprint (RFC 7638)
as its `kid`. Public halves are a JWK set (RFC 7517), so that whoever holds a signature needs nothing of ours to check
it.

The two rings of signing keys, each for one use alone: what signs tokens is never published and signs no receipt.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from api.errors import KeyRingError, SignatureError
from api.settings import Settings

TOKEN_LIFETIME: Final = timedelta(minutes=10)
ALGORITHM: Final = "Ed25519"


_SUFFIX: Final = ".jwk"


_NAMED: Final = "%Y%m%dT%H%M%S%fZ"


_FIRST: Final = "0"


@dataclass(frozen=True)
class KeyFile:
    """A key's file and the moment from which it signs, the beginning of time for a first key."""

    path: Path
    begins: datetime


@dataclass(frozen=True)
class KeyRing:
    """Private keys, oldest first, of which the last one signs; and those that are published and do not sign yet.

    Example:
        >>> ring = KeyRing.open(Path("var/keys/receipts"))  # doctest: +SKIP
        >>> ring.verified(ring.sign(b"{}", "receipt+jws"), "receipt+jws")  # doctest: +SKIP
        b'{}'
    """

    keys: tuple[OKPKey, ...]
    upcoming: tuple[OKPKey, ...] = ()

    @classmethod
    def open(cls, folder: Path, now: datetime | None = None, overlap: timedelta | None = None) -> KeyRing:
        """Read the keys of a folder, making folder and first key where there is none.

        Args:
            folder: of the keys.
            now: the moment as of which they are read; by default the clock's.
            overlap: how long a key verifies after the next one began to sign; for ever if none is given.

        Raises:
            KeyRingError: the folder cannot be made or read, or a key is open to others or none.
        """
        with _describe(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not key_files(folder):
                _create_key(folder, _FIRST)
        return cls.read(folder, now, overlap)

    @classmethod
    def read(cls, folder: Path, now: datetime | None = None, overlap: timedelta | None = None) -> KeyRing:
        """Read the keys of a folder as `open` does, making none.

        Raises:
            KeyRingError: as `open`, or there is no key.
        """
        now = now or datetime.now(UTC)
        with _describe(folder):
            files = key_files(folder)
            begun = [each for each in files if each.begins <= now] or files[:1]
            if not begun:
                raise KeyRingError(f"There is no signing key in {folder}; put the keys back from a backup.")
            verifying = [each for each in begun if _verifies(each, begun, now, overlap)]
            upcoming = files[len(begun) :]
            return cls(*(tuple(_read_key(each.path) for each in those) for those in (verifying, upcoming)))

    @classmethod
    def rotate(cls, folder: Path, now: datetime, delay: timedelta = timedelta(0)) -> KeyRing:
        """Add a key that is published from now on and signs after a delay; what the older ones signed still verifies.

        Raises:
            KeyRingError: as `open`.
        """
        cls.open(folder, now)
        try:
            _create_key(folder, (now + delay).strftime(_NAMED))
        except OSError as error:
            raise KeyRingError(f"No key can be written to {folder} ({error.strerror}).") from error
        return cls.open(folder, now)

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set: the one that signs, the older ones, and those that are to sign later."""
        return {"keys": [_public(key) for key in (*reversed(self.keys), *self.upcoming)]}

    def sign(self, payload: bytes, kind: str) -> str:
        """Return the payload as a compact JWS; `kind` is its `typ`, which keeps one use of a key apart from another."""
        key, kid = self._signs
        header = {"alg": ALGORITHM, "kid": kid, "typ": kind}
        return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM])

    @cached_property
    def _signs(self) -> tuple[OKPKey, str]:
        return self.keys[-1], self.keys[-1].thumbprint()

    def verified(self, signed: str, kind: str) -> bytes:
        """Return the payload of a JWS that one of these keys signed.

        Raises:
            SignatureError: it is altered, of another key or kind, or no JWS.
        """
        return verified(signed, kind, self.jwks)


def verified(signed: str, kind: str, jwks: Mapping[str, Any]) -> bytes:
    """Return the payload of a JWS signed by a key of the set.

    Raises:
        SignatureError: it is altered, of another key or kind, or no JWS.
    """
    try:
        header = jws.extract_compact(signed.encode()).headers()
        known = [key for key in jwks["keys"] if key["kid"] == header.get("kid")]
        if not known or header.get("typ") != kind or header.get("alg") != ALGORITHM:
            raise SignatureError("It is not signed by a key that is known here, or is signed as something else.")
        key = OKPKey.import_key({name: known[0][name] for name in ("kty", "crv", "x")})
        payload: bytes = jws.deserialize_compact(signed, key, algorithms=[ALGORITHM]).payload
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise SignatureError("It is not what was signed: altered, cut short, or no signature at all.") from error
    return payload


def key_files(folder: Path) -> list[KeyFile]:
    """Return the files of a folder's keys in the order in which the keys begin to sign.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted((KeyFile(path, _begins(path)) for path in folder.glob(f"*{_SUFFIX}")), key=_order)


def _order(file: KeyFile) -> tuple[datetime, str]:
    return file.begins, file.path.name


def _begins(path: Path) -> datetime:
    try:
        return datetime.strptime(path.name.removesuffix(_SUFFIX), _NAMED).replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _verifies(file: KeyFile, begun: list[KeyFile], now: datetime, overlap: timedelta | None) -> bool:
    successor = begun[begun.index(file) + 1 :][:1]
    return overlap is None or all(now - each.begins <= overlap for each in successor)


@contextmanager
def _describe(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeyRingError(
            f"The signing keys in {folder} cannot be used ({error.strerror}); let this user read and write there."
        ) from error


def key_id(file: KeyFile) -> str:
    """Return the `kid` of a file's key.

    Raises:
        KeyRingError: the file is open to others, or holds no key.
    """
    with _describe(file.path.parent):
        return str(_read_key(file.path).thumbprint())


def _create_key(folder: Path, name: str) -> OKPKey:
    key = OKPKey.generate_key("Ed25519")
    path = folder / f"{name}{_SUFFIX}"
    # made for its owner alone
    descriptor, scratch = tempfile.mkstemp(dir=folder, prefix=".new-")
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(json.dumps(key.as_dict(private=True)))
        file.flush()
        os.fsync(file.fileno())
    try:
        # a link, not a move: of two that begin at once the second takes the key of the first
        os.link(scratch, path)
    except FileExistsError:
        return _read_key(path)
    finally:
        Path(scratch).unlink()
    return key


def _read_key(path: Path) -> OKPKey:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii", errors="replace") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        content = file.read()
    if mode & 0o077:
        raise KeyRingError(f"The signing key {path} is open to others (mode {mode:04o}); allow its owner alone.")
    try:
        return OKPKey.import_key(json.loads(content))
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise KeyRingError(f"The file {path} holds no signing key; put the right one back from a backup.") from error


def _public(key: OKPKey) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": key.thumbprint(), "alg": ALGORITHM, "use": "sig"}


class Use(StrEnum):
    """What the keys of a ring sign."""

    RECEIPTS = "receipts"
    TOKENS = "tokens"


DELAY: Final = timedelta(minutes=10)
"""From publishing a key to signing with it: copies of the public set are kept for five minutes, and services that share
the keys look for new ones about once a minute."""


_OVERLAPS: Final = {Use.RECEIPTS: None, Use.TOKENS: TOKEN_LIFETIME}
"""How long a former key verifies: receipts are kept for years, and no token outlives its minutes."""


def folder_of(settings: Settings, use: Use) -> Path:
    """Return the folder of a ring's keys."""
    return {Use.RECEIPTS: settings.receipt_keys_path, Use.TOKENS: settings.token_keys_path}[use]


def open_ring(settings: Settings, use: Use) -> KeyRing:
    """Return a ring as of now, making its first key where there is none.

    Raises:
        KeyRingError: the keys cannot be used.
    """
    return KeyRing.open(folder_of(settings, use), overlap=_OVERLAPS[use])


def read_ring(settings: Settings, use: Use) -> KeyRing:
    """Return a ring as of now, as whoever serves looks at it again; no key is made.

    Raises:
        KeyRingError: the keys cannot be used, or there are none.
    """
    return KeyRing.read(folder_of(settings, use), overlap=_OVERLAPS[use])


def describe_key(use: Use, ring: KeyRing, kid: str, begins: datetime) -> str:
    """Return what a key of a ring does now, in words.

    Example: `signs`, `verifies`, `signs from 2026-02-01 09:40 UTC`, `no longer used`.
    """
    if kid == ring.keys[-1].thumbprint():
        return f"signs {use}"
    if any(kid == key.thumbprint() for key in ring.upcoming):
        return f"signs from {begins:%Y-%m-%d %H:%M} UTC"
    return "verifies" if any(kid == key.thumbprint() for key in ring.keys) else "no longer used"
