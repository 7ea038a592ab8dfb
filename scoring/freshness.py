"""Data freshness: which tables of a vector are too old or were not delivered, on the day of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scoring.sheet import FeatureSheet
from scoring.vector import Vector, to_matrix


@dataclass(frozen=True)
class TableGap:
    """A table that cannot be used: its data end too early, at `data_through`, or it was not delivered (None)."""

    table: str
    data_through: str | None


def required_gaps(sheet: FeatureSheet, vector: Vector) -> tuple[TableGap, ...]:
    """Return the required tables that cannot be used; if there is one, the seller gets no score."""
    return _gaps(vector, [name for name in sheet.required_tables if not is_fresh(sheet, vector, name)])


def optional_gaps(sheet: FeatureSheet, vector: Vector) -> tuple[TableGap, ...]:
    """Return the optional tables that cannot be used; features computed from them count as missing.

    A table that ends before the vector's date is one of them: the features would take its last days for days without
    events.
    """
    usable = {name for name in sheet.optional_tables if is_fresh(sheet, vector, name) and is_complete(vector, name)}
    return _gaps(vector, [name for name in sheet.optional_tables if name not in usable])


def tables_too_old(sheet: FeatureSheet, vector: Vector) -> tuple[str, ...]:
    """Return every table that cannot be used on the day of the request, required tables first."""
    return tuple(gap.table for gap in (*required_gaps(sheet, vector), *optional_gaps(sheet, vector)))


def is_fresh(sheet: FeatureSheet, vector: Vector, table: str) -> bool:
    """Return whether a table's data end at most `max_age_days` before the request.

    Example: with `max_age_days=7` and a request on 8 February, data through 1 February are fresh, data through 31
    January are not.
    """
    age = vector.age_of(table)
    return age is not None and age <= sheet.max_age_days


def is_complete(vector: Vector, table: str) -> bool:
    """Return whether a table's data reach the vector's date."""
    return table in vector.covers_through and vector.covers_through[table] >= vector.as_of


@dataclass(frozen=True)
class UnusedTables:
    """The optional tables that are not used, for many rows: the distinct combinations, and which one each row has.

    Example: of a whole snapshot, all rows usually have the same one, such as `(TableGap("traffic", "2026-01-05"),)`.
    """

    combinations: tuple[tuple[TableGap, ...], ...]
    combination_of: NDArray[np.intp]

    @classmethod
    def of_rows(cls, gaps: Sequence[tuple[TableGap, ...]]) -> UnusedTables:
        """Return the tables of rows, from those of each row."""
        numbers: dict[tuple[TableGap, ...], int] = {}
        of_row = [numbers.setdefault(row_gaps, len(numbers)) for row_gaps in gaps]
        return cls(tuple(numbers), np.array(of_row, dtype=np.intp))

    def of(self, row: int) -> tuple[TableGap, ...]:
        """Return the tables of one row."""
        return self.combinations[self.combination_of[row]]

    def any_of(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each of the rows whether it has such a table."""
        return self._has_gaps[self.combination_of[rows]]

    def take(self, chosen: NDArray[np.bool_]) -> UnusedTables:
        """Return the tables of the chosen rows."""
        return UnusedTables(self.combinations, self.combination_of[chosen])

    def blank(self, sheet: FeatureSheet, matrix: NDArray[np.float64]) -> None:
        """Replace the values that are computed from these tables by NaN, in `matrix` of shape (rows, features)."""
        for number, gaps in enumerate(self.combinations):
            columns = sorted({column for gap in gaps for column in sheet.columns_of_table[gap.table]})
            if columns:
                matrix[np.ix_(self.combination_of == number, columns)] = np.nan

    @cached_property
    def _has_gaps(self) -> NDArray[np.bool_]:
        return np.array([bool(gaps) for gaps in self.combinations], dtype=bool)


def usable_values(sheet: FeatureSheet, vectors: Sequence[Vector], unused: UnusedTables) -> NDArray[np.float64]:
    """Return the values that the model reads, shape (vectors, features): NaN if missing or if a table is not used.

    Args:
        sheet: the feature sheet.
        vectors: the feature values.
        unused: the optional tables that are not used.

    Raises:
        VectorError: a vector does not fit the sheet.
    """
    matrix = to_matrix(vectors, sheet)
    unused.blank(sheet, matrix)
    return matrix


def _gaps(vector: Vector, tables: Sequence[str]) -> tuple[TableGap, ...]:
    through = {name: vector.data_through(name) for name in tables}
    return tuple(TableGap(name, day.isoformat() if day else None) for name, day in through.items())
