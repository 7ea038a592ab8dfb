"""What each column of a table holds: how often nothing, how many values, least, median, greatest, most frequent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from features.schema import Column, Kind, Table

if TYPE_CHECKING:
    import ibis.expr.types as ir

CATEGORIES: Final = frozenset({Kind.TEXT, Kind.CURRENCY, Kind.COUNTRY})
ORDERED: Final = frozenset({Kind.TIME, Kind.DAY, Kind.MONEY, Kind.COUNT, Kind.NUMBER})
EXACT_ROWS: Final = 5_000_000
"""Up to so many rows, different values are counted; beyond, estimated within some percent, and called so."""

MOST_FREQUENT: Final = 5
_LONGEST: Final = 40

Value = float | int | date | datetime | None


@dataclass(frozen=True)
class Category:
    """One value of a column and how many accepted rows have it."""

    value: str
    rows: int


@dataclass(frozen=True)
class ColumnProfile:
    """One column. `empty` counts among `delivered` rows (accepted or quarantined), all else among accepted ones.

    `estimated` says that `distinct` is within some percent only.
    """

    name: str
    kind: Kind
    delivered: int
    empty: int
    filled: int
    distinct: int
    estimated: bool
    least: Value = None
    median: Value = None
    greatest: Value = None
    frequent: tuple[Category, ...] = ()

    @property
    def rest(self) -> int:
        """Rows with none of the most frequent values."""
        return self.filled - sum(each.rows for each in self.frequent)


def profile(table: Table, rows: ir.Table, quarantined: ir.Table) -> tuple[ColumnProfile, ...]:
    """Return the profile of every column of `table`; `quarantined` holds the rows turned away, as text.

    Lines of a CSV that could not be parted into columns count nowhere here.
    """
    count = int(rows.count().to_pyarrow().as_py())
    exact = count <= EXACT_ROWS
    found = rows.agg(**{name: value for column in table.columns for name, value in _asked(column, rows, exact).items()})
    numbers = found.to_pyarrow().to_pylist()[0]
    parted = quarantined.filter(quarantined.row.isnull())
    empties = parted.agg(delivered=parted.count(), **{name: parted[name].isnull().sum() for name in table.column_names})
    aside = {name: int(value or 0) for name, value in empties.to_pyarrow().to_pylist()[0].items()}
    return tuple(
        ColumnProfile(
            name=column.name,
            kind=column.kind,
            delivered=count + aside["delivered"],
            empty=count - numbers[f"{column.name}:filled"] + aside[column.name],
            filled=numbers[f"{column.name}:filled"],
            distinct=numbers[f"{column.name}:distinct"],
            estimated=not exact,
            least=numbers.get(f"{column.name}:least"),
            median=numbers.get(f"{column.name}:median"),
            greatest=numbers.get(f"{column.name}:greatest"),
            frequent=_frequent(column, rows),
        )
        for column in table.columns
    )


def _asked(column: Column, rows: ir.Table, exact: bool) -> dict[str, ir.Value]:
    values = rows[column.name]
    asked = {
        f"{column.name}:filled": values.count(),
        f"{column.name}:distinct": values.nunique() if exact else values.approx_nunique(),
    }
    if column.kind not in ORDERED:
        return asked
    ends = {"least": values.min(), "median": values.median(), "greatest": values.max()}
    return asked | {f"{column.name}:{name}": value for name, value in ends.items()}


def _frequent(column: Column, rows: ir.Table) -> tuple[Category, ...]:
    if column.kind not in CATEGORIES:
        return ()
    values = rows.filter(rows[column.name].notnull())
    counts = values.group_by(value=values[column.name]).agg(rows=values.count())
    most = counts.order_by(counts.rows.desc(), counts.value).limit(MOST_FREQUENT).to_pyarrow().to_pylist()
    return tuple(Category(row["value"][:_LONGEST], row["rows"]) for row in most)
