"""Totals over windows: tile rows are first added up between the edges of all windows, then over each window.

A row lies between two edges once, however many windows hold it; so a hundred totals cost little more than one.
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

OfWindows = Total | AgeTotal | DaysSinceLast


def plain(measure: Total | AgeTotal) -> list[Total | AgeTotal]:
    """Return what a total is made of: itself, or with `net` the total and what is subtracted from it.

    Example: `plain(Total("gross", 90, 0, "refunded"))` is `[Total("gross", 90), Total("refunded", 90)]`.
    """
    kind = type(measure)
    facts = (measure.fact, *([measure.net] if measure.net else []))
    return [kind(fact, measure.days, measure.lag) for fact in facts]


def parts(tiles: Mapping[str, ir.Table], scope: PairScope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one part a table, with the plain totals of its facts."""
    mine: set[OfWindows] = {item for item in wanted if isinstance(item, DaysSinceLast)}
    mine |= {each for item in wanted if isinstance(item, Total | AgeTotal) for each in plain(item)}
    for table in TILE_KEYS:
        those = sorted((item for item in mine if BY_NAME[item.fact].table == table), key=column_name)
        if those and table in tiles:
            yield _of_windows(_between_edges(tiles[table], scope, those), those)


def _window(item: OfWindows) -> tuple[int, int]:
    return item.days, getattr(item, "lag", 0)


def _between_edges(tiles: ir.Table, scope: PairScope, wanted: list[OfWindows]) -> ir.Table:
    """Add rows up to `pair` and `edge`, the first edge of a window at or beyond their `ago`."""
    import ibis

    edges = sorted({edge for item in wanted for edge in (_window(item)[1], sum(_window(item)))} - {0})
    rows = with_related_party(visible_rows(tiles, scope, edges[-1]), scope)
    edge = ibis.cases(*((rows.ago <= edge, edge) for edge in edges), else_=edges[-1]).cast("int32")
    sums = {_part(item): _added_up(item, rows) for item in wanted}
    return rows.group_by(PAIR, edge=edge).agg(**sums)


def _part(item: OfWindows) -> str:
    return f"{item.tag}({item.fact})"


def _added_up(item: OfWindows, rows: ir.Table) -> ir.IntegerScalar:
    value = counts(rows, item.fact)
    match item:
        case DaysSinceLast():
            return rows.ago.min(where=value > 0)
        case AgeTotal():
            return (exact(value) * rows.ago).sum().coalesce(0)  # an amount times days may leave 64 bits
    return total(value)


def counts(rows: ir.Table, fact: str) -> ir.IntegerValue:
    """Return what a row adds to a fact: nothing where it is an own order and the fact is of sales, or the reverse."""
    import ibis

    return ibis.ifelse(rows.own == BY_NAME[fact].own_store, rows[fact], 0)


def _of_windows(between: ir.Table, wanted: list[OfWindows]) -> ir.Table:
    def value(item: OfWindows) -> ir.Value:
        inside, part = within(between.edge, *_window(item)), between[_part(item)]
        return part.min(where=inside) if isinstance(item, DaysSinceLast) else total(part, inside)

    return between.group_by(PAIR).agg(**{column_name(item): value(item) for item in wanted})
