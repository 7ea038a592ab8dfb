"""Files that survive a power cut or hold secrets: atomic writes, and files that only their owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from features.regular_files import open_regular


class AccessibleToOthersError(Exception):
    """Other users have access to a file that holds a secret. The message is the predicate of a sentence."""

    def __init__(self, mode: int) -> None:
        super().__init__(f"is accessible to other users (mode {mode:04o}). Set its mode to 0600.")


def write_atomically(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file durably. Readers find the former file or the complete new one.

    Args:
        path: Path of the file.
        content: Its content.
        private: Whether only its owner can access it.
    """
    scratch = _write_scratch(path, content, 0o600 if private else 0o666)
    try:
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_private(path: Path, content: bytes) -> bool:
    """Write a private file durably unless the path exists; return whether it was written.

    If two processes create the file at the same time, one of them wins.
    """
    scratch = _write_scratch(path, content, 0o600)
    try:
        # a link fails if the path exists; a rename would replace it
        os.link(scratch, path)
    except FileExistsError:
        return False
    finally:
        scratch.unlink()
    # if a power cut removed the name, nothing could decrypt what was written with the key
    sync_folder(path.parent)
    return True


def read_private(path: Path, limit: int = 100_000) -> str:
    """Return the content of a private ASCII file.

    Raises:
        AccessibleToOthersError: Other users have access to the file.
        OSError: The file cannot be read, or is a symbolic link or not a regular file.
    """
    with open_regular(path, follow=False) as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise AccessibleToOthersError(mode)
        return file.read(limit).decode("ascii", "replace")


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_scratch(path: Path, content: bytes, mode: int) -> Path:
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return scratch
