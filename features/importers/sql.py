"""Execute the SQL of a mapping: only permitted statements run, and errors name the file."""

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
    regexp_replace(
        CASE WHEN regexp_matches(CAST(moment AS VARCHAR), '^\s*\d{4}[-/]') THEN CAST(moment AS VARCHAR) END,
        ' ?([+-]\d\d):?(\d\d)$', '\1:\2'
    ) AS TIMESTAMP WITH TIME ZONE
) AS TIMESTAMP)
"""
"""The function `utc` of a mapping: a time in UTC, null if it is unreadable; one without an offset is taken as UTC.

A plain cast to TIMESTAMP would drop the offset of `2023-01-15 10:32:11 -0500`, accept `infinity`, and read `03/04/24`
as a day of the year 3.
"""

_IS_CURRENCY: Final = f"CREATE MACRO is_currency(code) AS list_contains({sorted(CURRENCIES)}, code)"
"""The function `is_currency` of a mapping: whether a code is an ISO 4217 currency.

Mappings that take the base currency of a seller from an order need it: an invalid code would quarantine the seller and
all of its orders.
"""

_BEGAN: Final = """
CREATE MACRO began(first_order_at) AS CASE
    WHEN getvariable('since') = 'first_order' THEN date_trunc('day', first_order_at)
    WHEN getvariable('since')::DATE <= first_order_at THEN getvariable('since')::DATE::TIMESTAMP
    ELSE error(concat(
        'since is ''', getvariable('since'), '''. Set a day not after the first order (',
        date_trunc('day', first_order_at)::DATE, '), such as --set since=2024-01-01.'
    ))
END
"""
"""The function `began` of a mapping: the day on which a store began, from the parameter `since`."""

_REPEATED: Final = (
    """
    CREATE MACRO other_value(name, found, used) AS
        CASE WHEN found IS DISTINCT FROM used THEN concat(name, ' ''', found, ''', not ''', used, '''') END
    """,
    """
    CREATE MACRO repeated(place, differs) AS
        CASE WHEN place > 1 THEN CASE differs WHEN '' THEN 'repeated' ELSE 'repeated_differs' END END
    """,
    """
    CREATE MACRO repeated_detail(place, differs) AS
        CASE WHEN place > 1 AND differs <> '' THEN differs || '; the first usable row is kept' END
    """,
)
"""Functions of a mapping for rows with the same key.

Of those that can be used, the first in the export counts, with all its values: no column shows which row is newer, and
`ingest` keeps the first of two rows as well. The others are `repeated` if all values that the mapping reads are the
same, and `repeated_differs` if not. `place` is the number of the row among those of its key, `differs` names the values
that are not those of the first, joined from `other_value`.
"""

_DATES: Final = (
    """
    CREATE MACRO read_date(text, format) AS CASE
        WHEN year(try_strptime(CAST(text AS VARCHAR), format)) >= 1000 THEN try_strptime(CAST(text AS VARCHAR), format)
    END
    """,
    r"""
    CREATE MACRO date_begins_with(date) AS CASE
        WHEN regexp_matches(CAST(date AS VARCHAR), '^(1[3-9]|2\d|3[01])/(0?[1-9]|1[0-2])/\d') THEN 'day'
        WHEN regexp_matches(CAST(date AS VARCHAR), '^(0?[1-9]|1[0-2])/(1[3-9]|2\d|3[01])/\d') THEN 'month'
        WHEN regexp_matches(CAST(date AS VARCHAR), '^\d{1,2}/\d{1,2}/\d') THEN 'either'
    END
    """,
    """
    CREATE MACRO expect_month_first(file, day_first, month_first, either, example) AS CASE
        WHEN day_first IS NOT NULL OR (month_first IS NULL AND either IS NOT NULL) THEN error(concat(
            coalesce(day_first, either), ' of ', file,
            CASE
                WHEN day_first IS NULL THEN ' may begin with the day or the month, as all dates of the file'
                WHEN month_first IS NULL THEN ' begins with the day'
                ELSE concat(' begins with the day, but ', month_first, ' with the month')
            END,
            '. Set how dates are written, such as --set date_format="', replace(example, '%m/%d', '%d/%m'), '" or "',
            example, '", and import files that differ apart.'
        ))
    END
    """,
)
"""Functions of a mapping for dates that are not ISO 8601.

`read_date` reads a date by its format, null if it is unreadable or has a year of fewer digits than the format.
`date_begins_with` returns whether a date with slashes begins with the day or the month, and `expect_month_first` raises
an error unless a file shows that its dates begin with the month.
"""

_MACROS: Final = (_UTC, _IS_CURRENCY, _BEGAN, *_REPEATED, *_DATES)


@dataclass(frozen=True)
class MappingSql:
    """A mapping and the engine that has its sources as views."""

    mapping: Mapping
    engine: Backend

    def __post_init__(self) -> None:
        for macro in _MACROS:
            self.query(macro)

    def query(self, text: str) -> Any:
        """Execute one statement and return the engine's cursor."""
        return self.engine.raw_sql(text)

    def value(self, text: str) -> Any:
        """Return the only value of a query."""
        return self.query(text).fetchone()[0]

    def prepare(self) -> None:
        """Execute `prepare.sql`, if present; only CREATE statements are allowed."""
        if PREPARE not in self.mapping.sql:
            return
        with self._map_errors(PREPARE):
            for kind, text in statements(self.engine, self.mapping.sql[PREPARE]):
                if kind != "CREATE":
                    raise MappingError(
                        f"{self.mapping.name}: prepare.sql has a {kind} statement. Only CREATE is allowed."
                    )
                self.query(text)

    def select(self, name: str) -> str:
        """Create a view from the SELECT of a file and return its name as an SQL identifier."""
        with self._map_errors(name):
            parsed = statements(self.engine, self.mapping.sql[name])
        kinds = [kind for kind, _ in parsed]
        if kinds != ["SELECT"]:
            raise MappingError(
                f"{self.mapping.name}: {name}.sql has {' and '.join(kinds) or 'no statement'}. "
                "It must be exactly one SELECT."
            )
        view = identifier(f"{name}.sql")
        self.run(name, f"CREATE OR REPLACE VIEW {view} AS {parsed[0][1]}")
        return view

    def columns(self, name: str) -> list[str]:
        """Return the names of the columns that a file selects."""
        select = self.select(name)
        with self._map_errors(name):
            return [str(row[0]) for row in self.query(f"DESCRIBE SELECT * FROM {select}").fetchall()]  # noqa: S608

    def rows(self, name: str, kinds: ReadOnly[str, str]) -> list[dict[str, Any]]:
        """Return the rows that a file selects: the columns `kinds`, each cast to its type."""
        select = self.select(name)
        columns = ", ".join(f"CAST({identifier(column)} AS {kind})" for column, kind in kinds.items())
        with self._map_errors(name):
            rows = self.query(f"SELECT {columns} FROM {select}").fetchall()  # noqa: S608 - a checked SELECT
        return [dict(zip(kinds, row, strict=True)) for row in rows]

    def run(self, name: str, text: str) -> Any:
        """Execute a statement that uses the SELECT of a file; errors name the file."""
        with self._map_errors(name):
            return self.query(text)

    @contextmanager
    def _map_errors(self, file: str) -> Iterator[None]:
        try:
            yield
        except engine_errors() as error:
            first, *rest = str(error).strip().splitlines() or [type(error).__name__]
            position = "".join(f" ({line.strip()})" for line in rest if line.startswith("LINE "))
            # the text of error() in a mapping is a complete sentence
            reason = first.removeprefix("Invalid Input Error: ")
            raise MappingError(f"{self.mapping.name}: {file}.sql: {reason}{position}") from error


def quote(text: str) -> str:
    """Return text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
