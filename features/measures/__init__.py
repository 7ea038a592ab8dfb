"""Measures: the numbers that each (seller, midnight) pair's visible tiles add up to.

`scope` applies the time rule and finds each seller's stores; the other modules compute one kind of measures each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

from features.expressions import Measure
from features.facts import LOAN_TABLES
from features.measures import buyers, daily, groups, parties, repayment, windows
from features.measures.scope import PairScope
from features.tiles import REPEAT

if TYPE_CHECKING:
    import ibis.expr.types as ir


def prepare_tables(
    tiles: Mapping[str, ir.Table], measures: Collection[Measure], span: tuple[date, date]
) -> dict[str, ir.Table]:
    """Return the small tables that some measures read, by the names under which `measure_tables` expects them.

    They depend on no pair, so that several frames share them, with midnights in `span`. `tiles` includes the accepted
    rows of LOAN_TABLES.
    """
    prepared = dict(repayment.loan_books({name: tiles[name] for name in LOAN_TABLES if name in tiles}))
    if "orders" in tiles:
        prepared[parties.FIRST] = parties.first_orders(tiles["orders"])
    if REPEAT in tiles:
        prepared[buyers.RUSHED] = buyers.rush_rows(tiles[REPEAT], measures, span)
    return prepared


def measure_tables(
    tiles: Mapping[str, ir.Table], scope: PairScope, measures: Collection[Measure]
) -> Iterator[ir.Table]:
    """Yield tables with at most one row per pair and a column per measure (see `scope.column_name`).

    A pair that is absent from a table has no visible rows for it. A measure with `net` has two plain columns. `tiles`
    includes the tables of `prepare_tables`.
    """
    for module in (windows, daily, groups, buyers, parties, repayment):
        yield from module.tables(tiles, scope, measures)
