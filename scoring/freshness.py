"""Freshness: which tables of a vector are too old, or were not delivered, on the day of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scoring.sheet import FeatureSheet
from scoring.vector import Vector


@dataclass(frozen=True)
class TableGap:
    """A table that cannot be used: it ends at `data_through`, too long ago, or was not delivered (None)."""

    table: str
    data_through: str | None


def required_gaps(sheet: FeatureSheet, vector: Vector) -> tuple[TableGap, ...]:
    """Return the required tables that cannot be used; with one there is no score."""
    return _gaps(vector, [name for name in sheet.required_tables if not is_fresh(sheet, vector, name)])


def optional_gaps(sheet: FeatureSheet, vector: Vector) -> tuple[TableGap, ...]:
    """Return the optional tables that cannot be used; what rests on them counts as missing.

    One that ends before the vector's date is among them: its last days would read as days on which nothing happened.
    """
    usable = {name for name in sheet.optional_tables if is_fresh(sheet, vector, name) and is_whole(vector, name)}
    return _gaps(vector, [name for name in sheet.optional_tables if name not in usable])


def tables_too_old(sheet: FeatureSheet, vector: Vector) -> tuple[str, ...]:
    """Return every table that cannot be used on the day of the request, required ones first."""
    return tuple(gap.table for gap in (*required_gaps(sheet, vector), *optional_gaps(sheet, vector)))


def is_fresh(sheet: FeatureSheet, vector: Vector, table: str) -> bool:
    """Return whether the data of a table end at most `max_age_days` before the request.

    Example: with `max_age_days=7` and a request on 8 February, data through 1 February are fresh, through 31 January
    they are not.
    """
    age = vector.age_of(table)
    return age is not None and age <= sheet.max_age_days


def is_whole(vector: Vector, table: str) -> bool:
    """Return whether a table reaches the vector's date."""
    return table in vector.covers_through and vector.covers_through[table] >= vector.as_of


def _gaps(vector: Vector, tables: Sequence[str]) -> tuple[TableGap, ...]:
    through = {name: vector.data_through(name) for name in tables}
    return tuple(TableGap(name, day.isoformat() if day else None) for name, day in through.items())
