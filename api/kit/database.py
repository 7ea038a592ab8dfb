"""The database: opening, migrations, transactions, durability, and the mapping of rows to dataclasses.

SQLite in a file, or PostgreSQL. Both behave the same, and an acknowledged commit survives a power cut.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, get_args, get_type_hints, overload
from weakref import WeakKeyDictionary

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Executable,
    MetaData,
    Row,
    Table,
    create_engine,
    event,
    insert,
)
from sqlalchemy import text as sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import TypeDecorator

from api.errors import DatabaseSetupError, DatabaseUnavailable
from api.kit.schema_check import require_tables_only

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

logger = logging.getLogger(__name__)

metadata = MetaData()
"""All tables of the service. Each repository adds its own."""

_BEGIN: Final = "sqlite_begin"
"""The execution option with the mode of a SQLite transaction: DEFERRED to read, IMMEDIATE to write."""

_BUSY_SECONDS: Final = 5

_TURN_SECONDS: Final = 15
"""How long the threads of a process wait for one another: the lock timeout, plus two waiters in front."""

_PRAGMAS: Final[dict[str, set[Any]]] = {
    "foreign_keys": {1},
    "journal_mode": {"wal"},
    "synchronous": {2},
    "secure_delete": {1},
}
"""Settings of every SQLite connection. synchronous=2 is FULL: a commit waits for the disk. Deleted content is
overwritten, so that a destroyed key cannot be recovered."""

_SERVER: Final[dict[str, set[Any]]] = {
    "fsync": {"on"},
    "full_page_writes": {"on"},
    "synchronous_commit": {"on", "remote_apply"},
}
"""Required settings of PostgreSQL. `remote_apply` is stricter than `on`."""

_KEEPALIVES: Final = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""When to give up on a silent PostgreSQL host, in seconds; the last in milliseconds."""

_TURNS: Final[WeakKeyDictionary[Dialect, threading.Lock]] = WeakKeyDictionary()
"""The turn of the one writer of each SQLite database. The threads of a process queue for it; SQLite itself would poll
for its lock with growing pauses, and unlucky threads would time out. Copies of an engine share its dialect."""

_UNAVAILABLE: Final = (OperationalError, InterfaceError, PoolTimeoutError)

_UNAVAILABLE_STATES: Final = {"42P01", "42703", "42501", "25006"}
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


T = TypeVar("T", bound="DataclassInstance")
T_co = TypeVar("T_co", covariant=True)


class RowReader(Protocol[T_co]):
    """Turns a row into a dataclass, and None into None."""

    @overload
    def __call__(self, row: Row[Any], /) -> T_co: ...
    @overload
    def __call__(self, row: Row[Any] | None, /) -> T_co | None: ...


def row_to(kind: type[T]) -> RowReader[T]:
    """Return a function that turns rows into instances of a dataclass, by column name.

    Text in a field of an enum type becomes a member of the enum.

    Example: `row_to(Client)(connection.execute(select(clients)).one_or_none())` is a client or None.
    """
    enums = {
        name: option
        for name, hint in get_type_hints(kind).items()
        for option in (hint, *get_args(hint))
        if isinstance(option, type) and issubclass(option, Enum)
    }

    def read(row: Row[Any] | None, /) -> Any:
        if row is None:
            return None
        values = dict(row._mapping)
        for name, enum in enums.items():
            if values[name] is not None:
                values[name] = enum(values[name])
        return kind(**values)

    return read


def insert_row(connection: Connection, table: Table, record: DataclassInstance) -> None:
    """Insert a dataclass into a table with a column per field."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    write_rows(connection, insert(table).values(values), rows=1)


def write_rows(connection: Connection, statement: Executable, parameters: Any = None, *, rows: int) -> None:
    """Execute a statement that must insert, change or delete a number of rows.

    A trigger or rule can drop a write without an error.

    Raises:
        DatabaseUnavailable: The number is another one, so the transaction must be rolled back.
    """
    # without the option, the number of inserted rows is unknown on PostgreSQL
    result = connection.execute(statement, parameters, execution_options={"preserve_rowcount": True})
    if result.rowcount != rows:
        logger.error("the database changed %d rows instead of %d: it may have a trigger", result.rowcount, rows)
        raise DatabaseUnavailable


def open_database(url: str, *, tables_only: bool = True) -> Engine:
    """Open the database, migrate it to the newest schema, and check that commits are durable.

    Example: `open_database("sqlite:////srv/var/sellerscore.db")`, `open_database("postgresql://scores@db/scores")`.

    Args:
        url: `sqlite:///` and a file, or `postgresql://` and a database.
        tables_only: Whether to reject triggers and views. `ledger verify` reports them instead.

    Raises:
        DatabaseSetupError: The database cannot be opened or migrated, lacks the settings for durable commits, or has
            triggers or views.
    """
    try:
        engine = _create_engine(make_url(url))
        try:
            _check_durability(engine)
            if tables_only:
                with engine.connect() as connection:
                    require_tables_only(connection)
            _migrate(engine)
        except BaseException:
            engine.dispose()
            raise
    except (ArgumentError, CommandError, DatabaseError, OSError) as error:
        reason = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0]
        raise DatabaseSetupError(
            f"The database cannot be opened ({reason}). Give this user write access, or set SELLERSCORE_DATABASE_URL "
            "to another file or server."
        ) from error
    return engine


def _create_engine(address: URL) -> Engine:
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    elif address.database and address.database != ":memory:":
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    # parameters contain seller IDs, which must not appear in error messages and logs
    engine = create_engine(address, hide_parameters=True, **_connect_arguments(address))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        _TURNS[engine.dialect] = threading.Lock()
    return engine


def _connect_arguments(address: URL) -> dict[str, Any]:
    # a lock or host that does not respond times out, so that no thread hangs
    if address.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": float(_BUSY_SECONDS)}}
    options = f"-c lock_timeout={_BUSY_SECONDS}s -c idle_in_transaction_session_timeout=60s"
    return {
        "connect_args": {"connect_timeout": _BUSY_SECONDS, "options": options, **_KEEPALIVES},
        # a statement that waited for a lock then reads the new row; appending to a chain relies on this
        "isolation_level": "READ COMMITTED",
        "pool_size": 10,
        "max_overflow": 30,
    }


def _check_durability(engine: Engine) -> None:
    is_file = engine.dialect.name == "sqlite"
    required, statement = (_PRAGMAS, "PRAGMA") if is_file else (_SERVER, "SHOW")
    with engine.connect() as connection:
        settings = {name: connection.execute(sql(f"{statement} {name}")).scalar_one() for name in required}
    if any(settings[name] not in allowed for name, allowed in required.items()):
        advice = "Keep it in a file on a local disk" if is_file else "Set each to on for server, database and user"
        raise DatabaseSetupError(
            f"The database has the settings {settings}, so a stored score could be lost in a power cut. {advice}."
        )


def _migrate(engine: Engine) -> None:
    # if two services start at once, the second waits and then finds nothing left to do
    with engine.execution_options(**{_BEGIN: "IMMEDIATE"}).begin() as connection:
        if engine.dialect.name == "postgresql":
            # a rollout may have to wait longer than a request should
            connection.execute(sql("SET LOCAL lock_timeout = 0"))
            connection.execute(sql("SELECT pg_advisory_xact_lock(:name)"), {"name": _MIGRATION_LOCK})
        # built here, so that no file holds a path or an address
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "api:migrations")
        command.upgrade(config, "head")


@contextmanager
def transaction(engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
    """Run one transaction: commit when the block ends, roll back when it raises.

    Args:
        engine: Engine of the database.
        writes: Whether the block writes. SQLite then takes the write lock before the first read.

    Raises:
        DatabaseUnavailable: The database cannot be reached or stays locked. Nothing was stored.
    """
    turn = _TURNS.get(engine.dialect) if writes else None
    if turn is not None and not turn.acquire(timeout=_TURN_SECONDS):
        raise DatabaseUnavailable
    if writes:
        engine = engine.execution_options(**{_BEGIN: "IMMEDIATE"})
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, PoolTimeoutError) as error:
        if not _is_unavailable(error):
            raise
        logger.warning("the database does not respond: %s", getattr(error, "orig", None) or type(error).__name__)
        raise DatabaseUnavailable from error
    finally:
        if turn is not None:
            turn.release()


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Run one transaction that reads a consistent snapshot, unaffected by concurrent writes.

    Raises:
        DatabaseUnavailable: The database cannot be reached.
    """
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with transaction(engine) as connection:
        yield connection


def has_single_writer(engine: Engine) -> bool:
    """Return whether the database allows only one write transaction at a time."""
    return engine.dialect.name == "sqlite"


def scrub_deleted(engine: Engine, *tables: str) -> None:
    """Free the space of deleted rows, so that a destroyed key cannot be recovered from the database files.

    Other copies remain: the archived log of PostgreSQL, and backups.

    Raises:
        DatabaseUnavailable: The files may still contain the deleted rows.
    """
    try:
        with closing(engine.raw_connection()) as raw:
            if engine.dialect.name == "sqlite":
                (busy, *_) = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    logger.warning("the database log is in use, so it still contains the deleted rows")
            else:
                _vacuum(raw, tables)
    except (DBAPIError, PoolTimeoutError, engine.dialect.loaded_dbapi.Error) as error:
        logger.warning("the space of deleted rows could not be freed: %s", error)
        raise DatabaseUnavailable(
            "The rows are deleted, but their content could not be removed from the database files. Repeat the command."
        ) from error


def _vacuum(connection: Any, tables: Sequence[str]) -> None:
    driver = connection.driver_connection
    driver.autocommit = True
    try:
        connection.cursor().execute(f"VACUUM {', '.join(tables)}")
    finally:
        # the connection returns to the pool
        driver.autocommit = False


def _is_unavailable(error: Exception) -> bool:
    if isinstance(error, _UNAVAILABLE) or getattr(error, "connection_invalidated", False):
        return True
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _UNAVAILABLE_STATES


def _on_connect(connection: Any, _record: object) -> None:
    # the driver's own transactions would leave out schema changes
    connection.isolation_level = None
    # damaged text stays readable, so that `ledger verify` can name its row
    connection.text_factory = lambda stored: stored.decode("utf-8", "backslashreplace")
    for name, (value,) in _PRAGMAS.items():
        _set_pragma(connection, f"PRAGMA {name} = {value}")


def _set_pragma(connection: Any, pragma: str) -> None:
    # SQLite ignores its own timeout when a file changes to a write-ahead log: if two services start on a new file,
    # one of them would fail
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            # an error of the commit is raised after the first row
            connection.execute(pragma).fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _on_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get(_BEGIN, "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
