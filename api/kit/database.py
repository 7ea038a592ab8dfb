"""What a database must be set to so that a commit that was acknowledged outlives a power cut; one rule set a kind.

SQLite takes its settings connection by connection, so they are made here; PostgreSQL has its own, which are looked at.

The database: opening, migrations and transactions.

SQLite in a file, or PostgreSQL. Both behave the same, and an acknowledged commit survives a power cut.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, DateTime, Dialect, Engine, MetaData, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import TypeDecorator

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


def connect_arguments(address: URL) -> dict[str, Any]:
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


def prepare_engine(engine: Engine) -> None:
    """Set what is set connection by connection."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        _TURNS[engine.dialect] = threading.Lock()


def has_single_writer(engine: Engine) -> bool:
    """Return whether all who write wait for one another, whatever they write."""
    return engine.dialect.name == "sqlite"


@contextmanager
def writer_turn(engine: Engine) -> Iterator[None]:
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


def check_durability(engine: Engine) -> None:
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


def scrub_deleted(engine: Engine, *tables: str) -> None:
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


metadata = MetaData()
"""All tables of the service. Each repository adds its own."""


_AWAY: Final = (OperationalError, InterfaceError, PoolTimeoutError)


_GONE: Final = {"42P01", "42703", "42501", "25006"}
"""SQLSTATE codes of PostgreSQL that count as unavailable: undefined table or column, insufficient privilege, and
read-only transaction (a standby)."""


_MIGRATION_LOCK: Final = 5_372_746_006
"""The ID of the PostgreSQL advisory lock for migrations: any number that nothing else uses."""


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC. It is stored without a time zone, because SQLite has none, and read back with it."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Convert to UTC and drop the time zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Restore the time zone."""
        return None if value is None else value.replace(tzinfo=UTC)


def open_database(url: str) -> Engine:
    """Open the database, migrate it to the newest schema, and check that commits are durable.

    Example: `open_database("sqlite:////srv/var/sellerscore.db")`, `open_database("postgresql://scores@db/scores")`.

    Args:
        url: `sqlite:///` and a file, or `postgresql://` and a database.

    Raises:
        DatabaseSetupError: the database cannot be opened or migrated, or lacks the settings for durable commits.
    """
    try:
        engine = _engine(make_url(url))
        with _disposed_on_failure(engine):
            check_durability(engine)
            migrate(engine)
    except (ArgumentError, CommandError, DatabaseError, OSError) as error:
        reason = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0]
        raise DatabaseSetupError(
            f"The database cannot be opened ({reason}); let this user write there, or set SELLERSCORE_DATABASE_URL to "
            "another file or server."
        ) from error
    return engine


def migrate(engine: Engine) -> None:
    """Migrate to the newest revision in one transaction."""
    # if two services start at once, the second waits and then finds nothing left to do
    with engine.execution_options(**{BEGIN: "IMMEDIATE"}).begin() as connection:
        if engine.dialect.name == "postgresql":
            # a rollout may have to wait longer than a request should
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": _MIGRATION_LOCK})
        # built here, so that no file holds a path or an address
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "api:migrations")
        command.upgrade(config, "head")


@contextmanager
def transaction(engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
    """Run one transaction: commit when the block ends, roll back when it raises.

    Args:
        engine: of the database.
        writes: the block writes. SQLite then takes the write lock before the first read.

    Raises:
        DatabaseUnavailable: the database cannot be reached or stays locked. Nothing was stored.
    """
    try:
        if not writes:
            with engine.begin() as connection:
                yield connection
            return
        begun = engine.execution_options(**{BEGIN: "IMMEDIATE"})
        with writer_turn(engine), begun.begin() as connection:
            yield connection
    except (DBAPIError, PoolTimeoutError) as error:
        if not _is_away(error):
            raise
        logger.warning("the database does not answer: %s", getattr(error, "orig", None) or type(error).__name__)
        raise DatabaseUnavailable from error


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Run one transaction that reads a consistent snapshot, unaffected by concurrent writes.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    still = engine
    if engine.dialect.name == "postgresql":
        still = engine.execution_options(isolation_level="REPEATABLE READ")
    with transaction(still) as connection:
        yield connection


def _engine(address: URL) -> Engine:
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    elif address.database and address.database != ":memory:":
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    # parameters contain seller ids, which must not appear in error messages and logs
    engine = create_engine(address, hide_parameters=True, **connect_arguments(address))
    prepare_engine(engine)
    return engine


@contextmanager
def _disposed_on_failure(engine: Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def _is_away(error: Exception) -> bool:
    if isinstance(error, _AWAY) or getattr(error, "connection_invalidated", False):
        return True
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _GONE
