"""What a database must be set to so that a commit that was acknowledged outlives a power cut; one rule set a kind.

SQLite takes its settings connection by connection, so they are made here; PostgreSQL has its own, which are looked at.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Dialect, Engine, event, text

from api.errors import DatabaseSetupError, DatabaseUnavailable

logger = logging.getLogger(__name__)

BEGIN: Final = "sqlite_begin"
"""The option by which a transaction on SQLite says how it begins: DEFERRED to read, IMMEDIATE to write."""

_BUSY_SECONDS: Final = 5
_TURN_SECONDS: Final = 15
"""How long the threads of a process wait for one another: as for a lock, and for two that wait for it before."""

_PRAGMAS: Final = {"foreign_keys": 1, "journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
"""What each connection must have; synchronous=2 is FULL: a commit waits for the disk. What is deleted is overwritten,
so that a destroyed key is."""

# by dialect, which an engine keeps when its connections are dropped, and shares with those that differ in options
_TURNS: Final[WeakKeyDictionary[Dialect, threading.Lock]] = WeakKeyDictionary()

_ALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""How soon a PostgreSQL host that has gone without a word is given up, in seconds, and the last in milliseconds."""

_SERVER: Final = {"fsync": {"on"}, "full_page_writes": {"on"}, "synchronous_commit": {"on", "remote_apply"}}
"""What PostgreSQL must have; `remote_apply` waits for more than `on` does."""


def arguments(address: URL) -> dict[str, Any]:
    """Return what `create_engine` takes for a database of this kind.

    A lock or a host that does not answer is given up after some seconds: the caller is told to come again, and no
    thread hangs.
    """
    if address.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": float(_BUSY_SECONDS)}}
    waits = f"-c lock_timeout={_BUSY_SECONDS}s -c idle_in_transaction_session_timeout=60s"
    # what was waited for is read anew after the wait, which appending to a chain rests on
    return {
        "connect_args": {"connect_timeout": _BUSY_SECONDS, "options": waits, **_ALIVE},
        "isolation_level": "READ COMMITTED",
        "pool_size": 10,
        "max_overflow": 30,
    }


def prepare(engine: Engine) -> None:
    """Set what is set connection by connection."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        _TURNS[engine.dialect] = threading.Lock()


def has_one_writer(engine: Engine) -> bool:
    """Return whether all who write wait for one another, whatever they write."""
    return engine.dialect.name == "sqlite"


@contextmanager
def turn(engine: Engine) -> Iterator[None]:
    """Hold from before it begins what a transaction that writes needs.

    On SQLite the threads of a process queue for the one writer's place; left to SQLite they would poll for it with
    growing pauses, and the unlucky give up. On PostgreSQL nobody waits here.

    Raises:
        DatabaseUnavailable: others have kept the place for too long.
    """
    place = _TURNS.get(engine.dialect)
    if place is not None and not place.acquire(timeout=_TURN_SECONDS):
        raise DatabaseUnavailable
    try:
        yield
    finally:
        if place is not None:
            place.release()


def require(engine: Engine) -> None:
    """Look at the settings that durable commits rest on.

    Raises:
        DatabaseSetupError: one is otherwise; the message names all of them.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            found = {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in _PRAGMAS}
            if found != _PRAGMAS:
                raise DatabaseSetupError(
                    f"The database has the settings {found}, but scores need {_PRAGMAS}; keep it in a file on a local "
                    "disk."
                )
            return
        shown = {name: str(connection.execute(text(f"SHOW {name}")).scalar_one()) for name in _SERVER}
    if any(shown[name] not in allowed for name, allowed in _SERVER.items()):
        raise DatabaseSetupError(
            f"PostgreSQL has the settings {shown}, but a stored score must outlive a power cut; set each to on, for "
            "the server, this database and this user."
        )


def scrub(engine: Engine, *tables: str) -> None:
    """Let go of the space that deleted rows of tables were in, so that a destroyed key is not left there.

    Copies elsewhere are not reached: PostgreSQL's archived log, backups.
    """
    raw = engine.raw_connection()
    try:
        if engine.dialect.name == "sqlite":
            (busy, *_) = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                logger.warning("the database's log is being read, so what was deleted stays in it for now")
        else:
            driver: Any = raw.driver_connection
            driver.autocommit = True
            raw.cursor().execute(f"VACUUM {', '.join(tables)}")
            driver.autocommit = False
    finally:
        raw.close()


def _on_connect(connection: Any, _record: object) -> None:
    # the driver would begin transactions by its own rules, which leave out changes of the schema
    connection.isolation_level = None
    # damaged text is readable, so that `ledger verify` can name its row
    connection.text_factory = lambda stored: stored.decode("utf-8", "backslashreplace")
    for name, value in _PRAGMAS.items():
        _set(connection, f"PRAGMA {name} = {value}")


def _set(connection: Any, pragma: str) -> None:
    """Set one setting, and wait while another connection holds the file.

    SQLite does not use its own timeout when a file changes to a write-ahead log: of two services that start on a new
    file, one would fail at once.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute(pragma)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _on_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get(BEGIN, "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
