"""Encryption of what the ledger holds: AES-256-GCM, a fresh nonce each time, bound to where it stands."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.errors import LedgerKeyError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class DecryptionError(Exception):
    """What is sealed does not open: altered, moved, or of another key."""


def new_key() -> bytes:
    """Return a fresh key."""
    return secrets.token_bytes(KEY_BYTES)


def encrypt(key: bytes, content: bytes, bound: bytes) -> bytes:
    """Return the content encrypted, the nonce before it; it opens beside the same `bound` alone.

    Example:
        >>> key = new_key()
        >>> opened(key, seal(key, b"content", b"place"), b"place")
        b'content'
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, bound)


def decrypt(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        SealBrokenError: it is altered, bound to something else, or of another key.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
    except (InvalidTag, ValueError) as error:
        raise DecryptionError from error


def master_key(path: Path) -> bytes:
    """Return the key that wraps the sellers' keys, making its file where there is none, for its owner alone.

    Raises:
        LedgerKeyError: the file cannot be made or read, is open to others, or holds no key.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _read(path) if path.exists() else _create_master_key(path)
    except OSError as error:
        raise LedgerKeyError(
            f"The key of the ledger {path} cannot be used ({error.strerror}); let this user read and write there."
        ) from error


def _create_master_key(path: Path) -> bytes:
    key = new_key()
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        # a link, not a move: of two that begin at once the second takes the key of the first
        os.link(scratch, path)
    except FileExistsError:
        return _read(path)
    finally:
        Path(scratch).unlink()
    _sync_folder(path.parent)
    return key


def _sync_folder(folder: Path) -> None:
    # a name that a power cut takes back would leave contents that no key opens
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii", errors="replace") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        content = file.read(1_000).strip()
    if mode & 0o077:
        raise LedgerKeyError(
            f"The key of the ledger {path} is open to others (mode {mode:04o}); allow its owner alone."
        )
    try:
        key = bytes.fromhex(content)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise LedgerKeyError(f"The file {path} holds no key of a ledger; put the right one back from a backup.")
    return key
