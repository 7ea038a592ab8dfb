"""Measures of buyers: those who came once add up by day, those who came back are grouped by their id.

Orders without a buyer id count as no buyer. In concentrations they count as one buyer, the worst that they can be:
withholding an id must not make a seller look less dependent on one buyer.
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
"""The name under which `rushed` stands among the tiles."""

OfBuyers = BuyerOrders | Buyers | BuyerSales | BuyerSquares | ReturningBuyers | TopBuyer
Window = tuple[int, int]


def parts(tiles: Mapping[str, ir.Table], scope: PairScope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one part with every measure of buyers, and one for each measure of rushes."""
    mine = sorted((item for item in wanted if isinstance(item, OfBuyers)), key=column_name)
    if mine and REPEAT in tiles:
        rows = with_related_party(visible_rows(tiles[REPEAT], scope, max(map(_reach, mine))), scope)
        yield _both(_of_lone(tiles[ONE_TIME], scope, mine), _of_regulars(rows.filter(~rows.own), mine), mine)
    for item in wanted:
        if isinstance(item, RushOrders) and RUSHED in tiles:
            yield _rushes(tiles[RUSHED], scope, item)


def _reach(item: OfBuyers) -> int:
    return item.days + getattr(item, "lag", 0) + getattr(item, "before", 0)


def _window(item: OfBuyers) -> Window:
    return item.days, getattr(item, "lag", 0)


def _of_lone(tiles: ir.Table, scope: PairScope, wanted: list[OfBuyers]) -> ir.Table:
    rows = visible_rows(tiles, scope, max(map(_reach, wanted)))

    def value(item: OfBuyers) -> ir.Value:
        inside = within(rows.ago, *_window(item))
        match item:
            case Buyers(_, 1) | BuyerOrders():
                return total(rows.buyers, inside)
            case BuyerSquares():
                return rows.squares.sum(where=inside).cast(EXACT)
            case TopBuyer():
                return rows.largest.max(where=inside).coalesce(0)
        return rows.count(where=False).cast("int64")  # one order is neither a second one nor a return

    return rows.group_by(PAIR).agg(**{column_name(item): value(item) for item in wanted})


def _of_regulars(sales: ir.Table, wanted: list[OfBuyers]) -> ir.Table:
    edges = sorted({edge for item in wanted for edge in (_window(item)[1], sum(_window(item)), _reach(item))})
    spans = list(pairwise(edges))
    sums = {
        f"{fact}_{upper}": total(sales[fact], within(sales.ago, upper - lower, lower))
        for fact in ("orders", "spent")
        for lower, upper in spans
    }
    by_buyer = sales.group_by(PAIR, "buyer_id").agg(**sums)
    return by_buyer.group_by(PAIR).agg(**{column_name(item): _value(item, by_buyer, spans) for item in wanted})


def _sum_of(fact: str, buyers: ir.Table, spans: list[Window], window: Window) -> ir.IntegerValue:
    """Return a buyer's orders or spending over a window: the sum of the spans between edges that it is made of."""
    days, lag = window
    return functools.reduce(
        operator.add, (buyers[f"{fact}_{upper}"] for lower, upper in spans if lag <= lower and upper <= lag + days)
    )


def _value(item: OfBuyers, buyers: ir.Table, spans: list[Window]) -> ir.Value:
    orders, spent = (_sum_of(fact, buyers, spans, _window(item)) for fact in ("orders", "spent"))
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


def _both(lone: ir.Table, regular: ir.Table, wanted: list[OfBuyers]) -> ir.Table:
    """Put the two kinds together: the greater of two largest, else the sum."""
    import ibis

    rows = ibis.union(lone, regular.select(*lone.columns))
    return rows.group_by(PAIR).agg(
        **{
            column_name(item): rows[column_name(item)].max()
            if isinstance(item, TopBuyer)
            else rows[column_name(item)].sum()
            for item in wanted
        }
    )


def rushed(regular: ir.Table, wanted: Collection[Measure], span: tuple[date, date]) -> ir.Table:
    """Return the tiles of regular buyers who placed as many orders in one hour as a rush needs, in any stores.

    Asked once for all frames: few rows are left, and whose stores they were, and what was visible, is asked of those.

    Args:
        regular: the tiles.
        wanted: the measures, those of rushes among them.
        span: the earliest and the latest midnight of the frames.
    """
    rushes = [item for item in wanted if isinstance(item, RushOrders)]
    least, far = min((item.orders for item in rushes), default=1), max((item.days for item in rushes), default=0)
    near = regular.filter(
        regular.day >= span[0] - timedelta(days=far), regular.day < span[1], regular.buyer_id.notnull()
    )
    hour = ["buyer_id", "day", "hour"]
    busy = near.group_by(*hour).having(total(near.orders) >= least).agg()
    return near.semi_join(busy, hour)


def _rushes(tiles: ir.Table, scope: PairScope, item: RushOrders) -> ir.Table:
    rows = with_related_party(visible_rows(tiles, scope, item.days), scope)
    sales = rows.filter(~rows.own)
    hours = sales.group_by(PAIR, "buyer_id", "ago", "hour").agg(orders=total(sales.orders))
    return hours.group_by(PAIR).agg(**{column_name(item): total(hours.orders, hours.orders >= item.orders)})
