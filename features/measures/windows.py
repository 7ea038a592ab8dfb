"""Measures of totals over windows, added up first between the edges of all windows and then over each window.

Each row is added up once, in the segment between two edges, so that a hundred windows cost little more than one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from features.exact import exact, total
from features.expressions import AgeTotal, DaysSinceLast, Measure, Total
from features.facts import BY_NAME, TILE_KEYS
from features.measures.scope import PAIR, PairScope, column_name, visible_rows, with_related_party, within

if TYPE_CHECKING:
    import ibis.expr.types as ir

WindowMeasure = Total | AgeTotal | DaysSinceLast


def plain(measure: Total | AgeTotal) -> list[Total | AgeTotal]:
    """Return the totals of a measure without `net`: the total itself, and the total of `net` to subtract.

    Example: `plain(Total("gross", 90, 0, "refunded"))` is `[Total("gross", 90), Total("refunded", 90)]`.
    """
    kind = type(measure)
    facts = (measure.fact, *([measure.net] if measure.net else []))
    return [kind(fact, measure.days, measure.lag) for fact in facts]


def tables(tiles: Mapping[str, ir.Table], scope: PairScope, measures: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one table with the plain totals of the facts of each tile table."""
    mine: set[WindowMeasure] = {item for item in measures if isinstance(item, DaysSinceLast)}
    mine |= {part for item in measures if isinstance(item, Total | AgeTotal) for part in plain(item)}
    for table in TILE_KEYS:
        of_table = sorted((item for item in mine if BY_NAME[item.fact].table == table), key=column_name)
        if of_table and table in tiles:
            yield _over_windows(_between_edges(tiles[table], scope, of_table), of_table)


def _between_edges(tiles: ir.Table, scope: PairScope, measures: list[WindowMeasure]) -> ir.Table:
    """Add rows up by `pair` and `edge`, the first edge of a window at or beyond their `ago`."""
    import ibis

    edges = sorted({edge for item in measures for edge in (item.span[1], item.reach)} - {0})
    rows = with_related_party(visible_rows(tiles, scope, edges[-1]), scope)
    edge = ibis.cases(*((rows.ago <= edge, edge) for edge in edges), else_=edges[-1]).cast("int32")
    return rows.group_by(PAIR, edge=edge).agg(**{_segment(item): _sum(item, rows) for item in measures})


def _segment(item: WindowMeasure) -> str:
    return f"{item.tag}({item.fact})"


def _sum(item: WindowMeasure, rows: ir.Table) -> ir.IntegerScalar:
    value = counts(rows, item.fact)
    match item:
        case DaysSinceLast():
            return rows.ago.min(where=value > 0)
        case AgeTotal():
            return (exact(value) * rows.ago).sum().coalesce(0)  # an amount times days may exceed 64 bits
    return total(value)


def counts(rows: ir.Table, fact: str) -> ir.IntegerValue:
    """Return what a row adds to a fact: related-party orders count only in facts with `own_store`, others elsewhere."""
    import ibis

    return ibis.ifelse(rows.own == BY_NAME[fact].own_store, rows[fact], 0)


def _over_windows(segments: ir.Table, measures: list[WindowMeasure]) -> ir.Table:
    def value(item: WindowMeasure) -> ir.Value:
        inside, segment = within(segments.edge, *item.span), segments[_segment(item)]
        return segment.min(where=inside) if isinstance(item, DaysSinceLast) else total(segment, inside)

    return segments.group_by(PAIR).agg(**{column_name(item): value(item) for item in measures})
