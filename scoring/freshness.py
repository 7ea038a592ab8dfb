"""Freshness: which tables of a vector are too old, or were not delivered, on the day of the request."""

from __future__ import annotations

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
    return _gaps(sheet, vector, sheet.required_tables)


def optional_gaps(sheet: FeatureSheet, vector: Vector) -> tuple[TableGap, ...]:
    """Return the optional tables that cannot be used; what rests on them counts as missing."""
    return _gaps(sheet, vector, sheet.optional_tables)


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


def _gaps(sheet: FeatureSheet, vector: Vector, tables: tuple[str, ...]) -> tuple[TableGap, ...]:
    through = {name: vector.data_through(name) for name in tables if not is_fresh(sheet, vector, name)}
    return tuple(TableGap(name, day.isoformat() if day else None) for name, day in through.items())
