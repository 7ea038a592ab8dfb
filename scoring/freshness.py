"""Data freshness: which tables of a vector are too old or were not delivered, on the day of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def usable_values(
    sheet: FeatureSheet, vectors: Sequence[Vector], gaps: Sequence[tuple[TableGap, ...]]
) -> NDArray[np.float64]:
    """Return the values that the model reads, shape (vectors, features): NaN if missing or if a table is not used.

    Args:
        sheet: the feature sheet.
        vectors: the feature values.
        gaps: the optional tables that are not used, for each vector.

    Raises:
        VectorError: a vector does not fit the sheet.
    """
    matrix = to_matrix(vectors, sheet)
    for row, row_gaps in enumerate(gaps):
        for gap in row_gaps:
            matrix[row, sheet.columns_of_table[gap.table]] = np.nan
    return matrix


def _gaps(vector: Vector, tables: Sequence[str]) -> tuple[TableGap, ...]:
    through = {name: vector.data_through(name) for name in tables}
    return tuple(TableGap(name, day.isoformat() if day else None) for name, day in through.items())
