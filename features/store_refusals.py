"""What SQLite or the file system refuses of the file of vectors, in one sentence that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from features.errors import StoreError

_REMOVE: Final = "remove the file and "
_ALLOW: Final = "let this user read and write its folder, then "
_REMEDIES: Final = {
    sqlite3.SQLITE_NOTADB: _REMOVE,
    sqlite3.SQLITE_CORRUPT: _REMOVE,
    sqlite3.SQLITE_CANTOPEN: _ALLOW,
    sqlite3.SQLITE_READONLY: _ALLOW,
}
"""What must happen, by SQLite's result code, before computing the vectors again helps."""


@contextmanager
def explained(path: Path, done: str) -> Iterator[None]:
    """Turn what SQLite or the file system refuses into one sentence; `done` is `read` or `written`."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreError("One seller has two vectors in the snapshot, so nothing was stored; give each one.") from error
    except sqlite3.Error as error:
        # the low byte is the code, the rest details it
        remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
        raise _not_done(path, done, str(error), remedy) from error
    except OSError as error:
        raise _not_done(path, done, error.strerror or str(error), _ALLOW) from error


def _not_done(path: Path, done: str, reason: str, remedy: str) -> StoreError:
    return StoreError(f"The feature vectors in {path} cannot be {done} ({reason}); {remedy}run `sellerscore features`.")
