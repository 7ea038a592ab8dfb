"""Checks of the database for `ledger verify`: the types of stored values, and triggers and views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    Table,
    case,
    func,
    literal_column,
    select,
)

from api.kit.database import metadata
from api.kit.schema_check import unexpected_objects
from api.ledger.chain import LedgerFault
from api.ledger.checks import CheckedRow, Page

_ROWID: Final = literal_column("rowid", BigInteger())


class DatabaseCheck:
    """Reports the columns of all tables with values of another type than the declared one, and triggers and views.

    SQLite stores a value of any type in any column. Other checks cast the values that they read, but the service
    compares them as they are stored: if a position is text such as '14x', the service does not find the row.
    PostgreSQL enforces the types.

    Example: `verify(engine, ledger, [DatabaseCheck()])`.
    """

    def remember(self, rows: Sequence[CheckedRow]) -> None:
        """Ignore rows: all tables are checked at the end."""

    def page(self, connection: Connection, page: Page) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield nothing."""
        yield from ()

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield nothing."""
        yield from ()

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield a fault for each trigger and view, and for each column with values of another type.

        Each table is read once.
        """
        for name in unexpected_objects(connection):
            yield LedgerFault("database", 0, f"the database has the {name}, which SellerScore did not create")
        if connection.dialect.name == "sqlite":
            for table in metadata.sorted_tables:
                yield from _table_faults(connection, table)


def _table_faults(connection: Connection, table: Table) -> Iterator[LedgerFault]:
    wrong = [func.typeof(column).not_in(_stored_types(column)) for column in table.c]
    figures = [figure for each in wrong for figure in (func.count(case((each, 1))), func.min(case((each, _ROWID))))]
    found = connection.execute(select(*figures).select_from(table)).one()
    for column, count, first in zip(table.c, found[::2], found[1::2], strict=True):
        if count:
            what = f"values of {column.name} are not of type {_stored_types(column)[0]}: {count:,}"
            yield LedgerFault(f"table {table.name}", first, f"{what}, the first in the row with rowid {first}")


def _stored_types(column: Column[object]) -> tuple[str, ...]:
    """Return the types in which SQLite stores the values of a column; times are text."""
    stored = "text"
    if isinstance(column.type, Integer):
        stored = "integer"
    elif isinstance(column.type, Float):
        stored = "real"
    elif isinstance(column.type, LargeBinary):
        stored = "blob"
    return (stored, "null") if column.nullable else (stored,)
