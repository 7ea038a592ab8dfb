"""The database: opening, migrations and transactions.

SQLite in a file, or PostgreSQL. Both behave the same, and an acknowledged commit survives a power cut.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, DateTime, Dialect, Engine, MetaData, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import TypeDecorator

from api import durability
from api.errors import DatabaseSetupError, DatabaseUnavailable

logger = logging.getLogger(__name__)

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
            durability.require(engine)
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
    with engine.execution_options(**{durability.BEGIN: "IMMEDIATE"}).begin() as connection:
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
        begun = engine.execution_options(**{durability.BEGIN: "IMMEDIATE"})
        with durability.turn(engine), begun.begin() as connection:
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
    engine = create_engine(address, hide_parameters=True, **durability.arguments(address))
    durability.prepare(engine)
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
