"""The database: how it is opened, brought to the newest schema and used, one transaction a request.

SQLite, set so that a commit that was acknowledged outlives a power cut.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, DateTime, Dialect, Engine, MetaData, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import TypeDecorator

from api.errors import DatabaseSetupError, DatabaseUnavailable

logger = logging.getLogger(__name__)

metadata = MetaData()
"""Every table of the service; each repository adds its own."""

_PRAGMAS: Final = {"foreign_keys": 1, "journal_mode": "wal", "synchronous": 2}
"""What each connection must have; synchronous=2 is FULL: a commit waits for the disk."""

_BUSY_SECONDS: Final = 5.0
_BEGIN: Final = "sqlite_begin"
_AWAY: Final = (OperationalError, InterfaceError, PoolTimeoutError)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, stored as UTC without its zone, since SQLite keeps none, and read back with it."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Drop the zone after turning to UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def open_database(url: str) -> Engine:
    """Open the database at the newest schema, and check that it commits durably.

    Raises:
        DatabaseSetupError: it cannot be opened or migrated, or does not take the settings that durability needs.
    """
    try:
        address = make_url(url)
        if address.database and address.database != ":memory:":
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        # parameters hold seller ids, which stay out of error messages and so out of logs
        engine = create_engine(address, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        _require_durable(engine)
        migrate(engine)
    except (ArgumentError, DatabaseError, OSError) as error:
        raise DatabaseSetupError(
            f"The database cannot be opened ({getattr(error, 'orig', None) or error}); let this user write its folder, "
            "or set SELLERSCORE_DATABASE_URL to another file."
        ) from error
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up or down to a revision in one transaction; `base` is before the first."""
    # immediate: of two services that start at once the second waits, then finds nothing left to do
    with engine.execution_options(**{_BEGIN: "IMMEDIATE"}).begin() as connection:
        config = migration_config(connection)
        if _is_behind(connection, config, revision):
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)


def _is_behind(connection: Connection, config: Config, revision: str) -> bool:
    if revision == "base" or revision.startswith("-"):
        return True
    now = MigrationContext.configure(connection).get_current_revision()
    before = ScriptDirectory.from_config(config).iterate_revisions(now, "base") if now else ()
    return revision in {script.revision for script in before} - {now}


def migration_config(connection: Connection) -> Config:
    """Return the settings of Alembic, built here so that no file holds a path or an address."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "api:migrations")
    return config


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run one transaction: committed when the block ends, rolled back when it raises.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or stays locked; nothing was stored.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except _AWAY as error:
        logger.warning("the database does not answer: %s", getattr(error, "orig", None) or type(error).__name__)
        raise DatabaseUnavailable from error


def _on_connect(connection: Any, _record: object) -> None:
    # the driver would begin transactions by its own rules, which leave out changes of the schema
    connection.isolation_level = None
    for name, value in _PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {value}")


def _on_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get(_BEGIN, "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _require_durable(engine: Engine) -> None:
    with engine.connect() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in _PRAGMAS}
    if found != _PRAGMAS:
        raise DatabaseSetupError(
            f"The database has the settings {found}, but scores need {_PRAGMAS}; keep it in a file on a local disk."
        )
