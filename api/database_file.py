"""A database in a file: while that file is moved away or another is in its place, it does not answer.

Who has a file open goes on in it after it was moved or deleted, so what is acknowledged would be in no database.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.exc import InvalidatePoolError

from api.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

Identity = tuple[int, int]
"""Device and inode: what stays when a file is renamed, and differs where another has its name."""

_OPENED: Final = "opened_file"
_GONE: Final = "the database's file was moved away or replaced"


class _Watched:
    """The file of an engine, known from its first connection on, and the connections that are open."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._identity: Identity | None = None
        self._open: set[int] = set()

    def before_connect(self, _dialect: Dialect, _record: object, given: list[Any], named: dict[str, Any]) -> None:
        """Open the file that is there; from the second connection on none is made."""
        if self._path is None:
            return
        found = _identity(self._path)
        # SQLite finds what was not yet written to the file by name, and would take the former file's for this one's
        if found is None or (found != self._identity and self._open):
            raise sqlite3.OperationalError(_GONE)
        given[0], named["uri"] = f"{Path(self._path).as_uri()}?mode=rw", True

    def on_connect(self, connection: sqlite3.Connection, record: Any) -> None:
        """Remember which file was opened; a database in memory has none."""
        self._path = connection.execute("PRAGMA database_list").fetchone()[2] or None
        self._identity = record.info[_OPENED] = None if self._path is None else _identity(self._path)
        self._open.add(id(connection))

    def on_close(self, connection: sqlite3.Connection, _record: object) -> None:
        """Forget a connection."""
        self._open.discard(id(connection))

    def on_checkout(self, _connection: object, record: Any, _proxy: object) -> None:
        """Let nobody have a connection to a file that is no longer there: the pool then opens what is."""
        if self._path is not None and record.info[_OPENED] != _identity(self._path):
            raise InvalidatePoolError(_GONE)

    def is_at_its_place(self, opened: Identity | None) -> bool:
        """Return whether what was opened is what is found under the name."""
        return self._path is None or opened == _identity(self._path)


_WATCHED: Final[WeakKeyDictionary[Dialect, _Watched]] = WeakKeyDictionary()


def watch(engine: Engine) -> None:
    """Have an engine of SQLite look for its file whenever a transaction takes a connection."""
    watched = _WATCHED[engine.dialect] = _Watched()
    event.listen(engine, "do_connect", watched.before_connect)
    event.listen(engine, "connect", watched.on_connect)
    event.listen(engine, "close", watched.on_close)
    event.listen(engine, "checkout", watched.on_checkout)


def opened(connection: Connection) -> Identity | None:
    """Return which file a transaction is in; None where the database is no file."""
    found: Identity | None = connection.info.get(_OPENED)
    return found


def require_still(engine: Engine, file: Identity | None) -> None:
    """Refuse to acknowledge what was committed to a file that was moved away meanwhile.

    Raises:
        DatabaseUnavailable: it is no longer where it was opened.
    """
    watched = _WATCHED.get(engine.dialect)
    if watched is not None and not watched.is_at_its_place(file):
        logger.warning("%s while it was written", _GONE)
        raise DatabaseUnavailable


def _identity(path: str) -> Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - several times a request, and a Path costs more than the look
    except OSError:
        return None
    return found.st_dev, found.st_ino
