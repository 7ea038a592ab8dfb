"""Measures of buyers: one-time buyers add up by day, repeat buyers are grouped by their id.

Orders without a buyer id count as no buyer. In concentrations they count as one buyer, the worst case, so that
withholding ids does not make a seller look less dependent on one buyer.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from features.exact import EXACT, exact, total
from features.expressions import (
    BuyerMeasure,
    BuyerOrders,
    Buyers,
    BuyerSales,
    BuyerSquares,
    Measure,
    ReturningBuyers,
    RushOrders,
    TopBuyer,
)
from features.measures.scope import PAIR, PairScope, column_name, visible_rows, with_related_party, within
from features.tiles import ONE_TIME, REPEAT

if TYPE_CHECKING:
    import ibis.expr.types as ir

RUSHED: Final = "rushed"
"""The name of the table of `rush_rows`."""

Window = tuple[int, int]


def tables(tiles: Mapping[str, ir.Table], scope: PairScope, measures: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one table with the measures of buyers, and one for each measure of rush orders."""
    rushes = [item for item in measures if isinstance(item, RushOrders)]
    mine = sorted((item for item in measures if isinstance(item, BuyerMeasure) and item not in rushes), key=column_name)
    if mine and REPEAT in tiles:
        reach = max(item.reach for item in mine)
        rows = with_related_party(visible_rows(tiles[REPEAT], scope, reach), scope)
        one_time = _of_one_time(visible_rows(tiles[ONE_TIME], scope, reach), mine)
        yield _combine(one_time, _of_repeat(rows.filter(~rows.own), mine), mine)
    for item in rushes:
        if RUSHED in tiles:
            yield _rush_orders(tiles[RUSHED], scope, item)


def _of_one_time(rows: ir.Table, measures: list[BuyerMeasure]) -> ir.Table:
    def value(item: BuyerMeasure) -> ir.Value:
        inside = within(rows.ago, *item.span)
        match item:
            case Buyers(_, 1) | BuyerOrders():
                return total(rows.buyers, inside)
            case BuyerSquares():
                return rows.squares.sum(where=inside).cast(EXACT)
            case TopBuyer():
                return rows.largest.max(where=inside).coalesce(0)
        return rows.count(where=False).cast("int64")  # a one-time buyer has no second order

    return rows.group_by(PAIR).agg(**{column_name(item): value(item) for item in measures})


def _of_repeat(sales: ir.Table, measures: list[BuyerMeasure]) -> ir.Table:
    edges = sorted({edge for item in measures for edge in (item.span[1], sum(item.span), item.reach)})
    spans = list(pairwise(edges))
    sums = {
        f"{fact}_{upper}": total(sales[fact], within(sales.ago, upper - lower, lower))
        for fact in ("orders", "spent")
        for lower, upper in spans
    }
    by_buyer = sales.group_by(PAIR, "buyer_id").agg(**sums)
    return by_buyer.group_by(PAIR).agg(**{column_name(item): _value(item, by_buyer, spans) for item in measures})


def _sum_of(fact: str, buyers: ir.Table, spans: list[Window], window: Window) -> ir.IntegerValue:
    """Return a buyer's orders or spending over a window: the sum of the spans between its edges."""
    days, lag = window
    return functools.reduce(
        operator.add, (buyers[f"{fact}_{upper}"] for lower, upper in spans if lag <= lower and upper <= lag + days)
    )


def _value(item: BuyerMeasure, buyers: ir.Table, spans: list[Window]) -> ir.Value:
    orders, spent = (_sum_of(fact, buyers, spans, item.span) for fact in ("orders", "spent"))
    named = buyers.buyer_id.notnull()
    match item:
        case BuyerOrders():
            return total(orders, named)
        case Buyers(_, least):
            return buyers.count(where=named & (orders >= least))
        case ReturningBuyers(days, before):
            return buyers.count(where=named & (orders > 0) & (_sum_of("orders", buyers, spans, (before, days)) > 0))
        case BuyerSales(_, least):
            return total(spent, named & (orders >= least))
        case BuyerSquares():
            return (exact(spent) * exact(spent)).sum().cast(EXACT)
    return spent.max()


def _combine(one_time: ir.Table, repeat: ir.Table, measures: list[BuyerMeasure]) -> ir.Table:
    import ibis

    rows = ibis.union(one_time, repeat.select(*one_time.columns))

    def value(item: BuyerMeasure) -> ir.Value:
        column = rows[column_name(item)]
        return column.max() if isinstance(item, TopBuyer) else column.sum()

    return rows.group_by(PAIR).agg(**{column_name(item): value(item) for item in measures})


def rush_rows(repeat: ir.Table, measures: Collection[Measure], span: tuple[date, date]) -> ir.Table:
    """Return the repeat-buyer tiles of buyers with as many orders in one hour, in any stores, as a rush needs.

    Computed once for all frames, with midnights in `span`, since few rows remain; stores and visibility are checked for
    these rows only.
    """
    rushes = [item for item in measures if isinstance(item, RushOrders)]
    least, reach = min((item.orders for item in rushes), default=1), max((item.days for item in rushes), default=0)
    near = repeat.filter(repeat.day >= span[0] - timedelta(days=reach), repeat.day < span[1], repeat.buyer_id.notnull())
    hour = ["buyer_id", "day", "hour"]
    busy = near.group_by(*hour).having(total(near.orders) >= least).agg()
    return near.semi_join(busy, hour)


def _rush_orders(tiles: ir.Table, scope: PairScope, item: RushOrders) -> ir.Table:
    rows = with_related_party(visible_rows(tiles, scope, item.days), scope)
    sales = rows.filter(~rows.own)
    hours = sales.group_by(PAIR, "buyer_id", "ago", "hour").agg(orders=total(sales.orders))
    return hours.group_by(PAIR).agg(**{column_name(item): total(hours.orders, hours.orders >= item.orders)})
