"""The one bearer token: random, made at the first run, in a file that only its owner may read.

The token itself stays in the file; the service keeps its digest.
"""

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from api.errors import TokenFileError

_BYTES: Final = 32
_LEAST_CHARACTERS: Final = 43
"""The length of 32 random bytes in base64; a shorter file was cut off or written by hand."""
_MOST_CHARACTERS: Final = 1_000


def token_digest(path: Path) -> bytes:
    """Return the digest of the token in the file, making token and file where there is none.

    Raises:
        TokenFileError: the file cannot be made, is readable by others, is no plain file, or holds no whole token.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return digest_of(_token(path))
    except OSError as error:
        raise TokenFileError(
            f"The token file {path} cannot be made ({error.strerror}); let this user write its folder, or set "
            "SELLERSCORE_HOME to a folder that can be written."
        ) from error


def digest_of(token: str) -> bytes:
    """Return the SHA-256 of a token: what is kept and compared, of one length whatever a caller sends."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def matches(token: str, digest: bytes) -> bool:
    """Tell whether the token is the one with this digest, in a time that says nothing of how close it was."""
    return hmac.compare_digest(digest_of(token), digest)


def _token(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    token = secrets.token_urlsafe(_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    return token


def _read(path: Path) -> str:
    try:
        # opening a folder as a file fails inside `fdopen`, so both stand in the one block
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii", errors="replace") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(_MOST_CHARACTERS).strip()
    except OSError as error:
        raise TokenFileError(
            f"The token file {path} cannot be read ({error.strerror}); remove it and retry."
        ) from error
    if mode & 0o077:
        raise TokenFileError(
            f"The token file {path} is open to others (mode {mode:04o}); "
            "allow its owner alone (chmod 600), or remove it to get a new token."
        )
    if len(token) < _LEAST_CHARACTERS:
        raise TokenFileError(f"The token file {path} holds no whole token; remove it to get a new one.")
    return token
