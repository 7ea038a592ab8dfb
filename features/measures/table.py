"""Measures side by side, a row per pair: zero where nothing was seen, missing where nobody could know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from features.catalogue.definition import parties_of, tables_of
from features.expressions import (
    AgeTotal,
    DaysOnPlatform,
    DaysSinceFirst,
    DaysSinceLast,
    Measure,
    MedianDay,
    MedianOf,
    OldestStore,
    Total,
)
from features.measures import measured_parts
from features.measures.scope import PAIR, Scope, column
from features.measures.windows import plain

if TYPE_CHECKING:
    import ibis.expr.types as ir

_MAY_BE_MISSING: Final = DaysOnPlatform | DaysSinceFirst | DaysSinceLast | MedianDay | MedianOf | OldestStore
"""Measures of which nothing seen is no zero."""


def measure_table(
    tiles: Mapping[str, ir.Table], scope: Scope, known_since: Mapping[str, date], wanted: Collection[Measure]
) -> ir.Table:
    """Return `pair`, seller_id, as_of and a column per measure; whole numbers stay whole.

    Args:
        tiles: tiles by name; those of a table that was never delivered are absent.
        scope: the pairs asked for, and what each holds as of then.
        known_since: the first midnight at which any row of a table was visible; as of earlier ones, and for tables
            not named, what rests on the table is missing.
        wanted: the measures.
    """
    ordered = sorted(wanted, key=column)
    measured = scope.pairs.select(PAIR, "seller_id", "as_of")
    for number, part in enumerate(measured_parts(tiles, scope, ordered)):
        # names that differ let Ibis make one flat join of all parts, not a query within a query for each
        measured = measured.left_join(scope.keep(part), PAIR, rname=f"{{name}}_{number}")
    late = {table: day for table, day in known_since.items() if day > scope.first}
    known = {column(item): _known(item, measured, {*known_since}, late) for item in ordered}
    return measured.select(PAIR, "seller_id", "as_of", **known)


def _known(measure: Measure, measured: ir.Table, tables: set[str], late: Mapping[str, date]) -> ir.Value:
    """Return the measure, zero where nothing was seen, missing where its tables were not delivered, or not by then."""
    import ibis

    used = tables_of(measure) | parties_of(measure)
    if not tables >= used:
        return ibis.null("int64")
    value = _shown(measure, measured)
    for table in sorted(used & late.keys()):
        value = ibis.ifelse(measured.as_of >= late[table], value, ibis.null(value.type()))
    return value


def _shown(measure: Measure, measured: ir.Table) -> ir.NumericValue:
    if isinstance(measure, _MAY_BE_MISSING):
        return measured[column(measure)]
    if isinstance(measure, Total | AgeTotal) and measure.net:
        of, less = (measured[column(item)].coalesce(0) for item in plain(measure))
        return of - less
    return measured[column(measure)].coalesce(0)
