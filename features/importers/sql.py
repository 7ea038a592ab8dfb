"""The SQL of a mapping, executed: each file is checked to be what it may be, and errors name the file."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as ReadOnly
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from features.engines.duckdb import engine_errors, statements
from features.errors import MappingError
from features.importers.mapping import PREPARE, Mapping
from features.iso import CURRENCIES

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


_UTC: Final = r"""
CREATE MACRO utc(moment) AS CAST(TRY_CAST(
    regexp_replace(CAST(moment AS VARCHAR), ' ?([+-]\d\d):?(\d\d)$', '\1:\2') AS TIMESTAMP WITH TIME ZONE
) AS TIMESTAMP)
"""
"""The function `utc` of a mapping: a time in UTC, null if it is unreadable; one without an offset is taken as UTC.

A plain cast to TIMESTAMP would drop the offset of `2023-01-15 10:32:11 -0500`.
"""

_IS_CURRENCY: Final = f"CREATE MACRO is_currency(code) AS list_contains({sorted(CURRENCIES)}, code)"
"""The function `is_currency` of a mapping: whether a code is an ISO 4217 currency.

The base currency of a seller is often that of an order. It must not be the code of an order that will be quarantined:
the seller would be quarantined with it, and so would all orders.
"""


@dataclass(frozen=True)
class MappingSql:
    """A mapping on an engine that holds its sources as views."""

    mapping: Mapping
    engine: Backend

    def __post_init__(self) -> None:
        self.query(_UTC)
        self.query(_IS_CURRENCY)

    def query(self, text: str) -> Any:
        """Execute one statement and return the engine's cursor."""
        return self.engine.raw_sql(text)

    def value(self, text: str) -> Any:
        """Return the only value of a query."""
        return self.query(text).fetchone()[0]

    def prepare(self) -> None:
        """Execute `prepare.sql`, if the mapping has it; it may only create tables and views."""
        if PREPARE not in self.mapping.sql:
            return
        with self._naming(PREPARE):
            for kind, text in statements(self.engine, self.mapping.sql[PREPARE]):
                if kind != "CREATE":
                    raise MappingError(
                        f"{self.mapping.name}: prepare.sql holds a {kind} statement. Only CREATE is allowed."
                    )
                self.query(text)

    def select(self, name: str) -> str:
        """Create a view of the one SELECT of a file, and return the view's name as an identifier."""
        with self._naming(name):
            found = statements(self.engine, self.mapping.sql[name])
        kinds = [kind for kind, _ in found]
        if kinds != ["SELECT"]:
            raise MappingError(
                f"{self.mapping.name}: {name}.sql holds {' and '.join(kinds) or 'no statement'}. "
                "It must be exactly one SELECT."
            )
        view = identifier(f"{name}.sql")
        self.run(name, f"CREATE OR REPLACE VIEW {view} AS {found[0][1]}")
        return view

    def columns(self, name: str) -> list[str]:
        """Return the names of the columns that a file selects."""
        select = self.select(name)
        with self._naming(name):
            return [str(row[0]) for row in self.query(f"DESCRIBE SELECT * FROM {select}").fetchall()]  # noqa: S608

    def rows(self, name: str, kinds: ReadOnly[str, str]) -> list[dict[str, Any]]:
        """Return the rows that a file selects: the columns `kinds`, each cast to its type."""
        select = self.select(name)
        columns = ", ".join(f"CAST({identifier(column)} AS {kind})" for column, kind in kinds.items())
        with self._naming(name):
            rows = self.query(f"SELECT {columns} FROM {select}").fetchall()  # noqa: S608 - a checked SELECT
        return [dict(zip(kinds, row, strict=True)) for row in rows]

    def run(self, name: str, text: str) -> Any:
        """Execute a statement that uses the SELECT of a file, whose name an error bears."""
        with self._naming(name):
            return self.query(text)

    @contextmanager
    def _naming(self, file: str) -> Iterator[None]:
        try:
            yield
        except engine_errors() as error:
            first, *others = str(error).strip().splitlines() or [type(error).__name__]
            place = "".join(f" ({line.strip()})" for line in others if line.startswith("LINE "))
            # what a mapping raises by error() is a sentence of its own
            words = first.removeprefix("Invalid Input Error: ")
            raise MappingError(f"{self.mapping.name}: {file}.sql: {words}{place}") from error


def quoted(text: str) -> str:
    """Return text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
