"""From tiles to measures: what each seller's visible tiles add up to over the windows that the catalogue asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.expressions import (
    ActiveDays,
    Buyers,
    BuyerSquares,
    DaysSinceFirst,
    DaysSinceLast,
    Measure,
    PeakDay,
    SquareTotal,
    Total,
)
from features.facts import FACTS
from features.tiles import marked_orders

if TYPE_CHECKING:
    import ibis.expr.types as ir

PAIR = ("seller_id", "as_of")
"""What a row of a frame is: one seller as of one midnight."""

_EXACT = "decimal(38, 0)"
"""Squares of micro-USD leave 64 bits; in decimals of 38 digits they stay exact, and so independent of threads."""


@dataclass(frozen=True)
class Scope:
    """The rows asked for, as tables: `pairs` (seller_id, as_of) and `held`, the stores each pair owns as of then."""

    pairs: ir.Table
    held: ir.Table


def held_stores(stores: ir.Table, pairs: ir.Table) -> ir.Table:
    """Return seller_id, as_of, store_id for every store whose latest version known by as_of names the seller."""
    ever = stores.select("store_id", "seller_id").distinct().inner_join(pairs, "seller_id")
    versions = stores.select("store_id", "known_at", "visible_from", owner="seller_id")
    known = ever.inner_join(versions, "store_id").filter(lambda t: t.visible_from <= t.as_of)
    latest = known.group_by(*PAIR, "store_id").agg(owner=known.owner.argmax(known.known_at))
    return latest.filter(latest.owner == latest.seller_id).select(*PAIR, "store_id")


def day_totals(tiles: ir.Table, scope: Scope, longest: int) -> ir.Table:
    """Return one row per pair and day with every fact, and `ago`: 1 for the day before as_of, at most `longest`."""
    import ibis

    held = scope.held
    seen = held.inner_join(
        tiles,
        [
            held.store_id == tiles.store_id,
            tiles.visible_from <= held.as_of,
            tiles.day < held.as_of,
            tiles.day >= held.as_of - ibis.interval(days=longest),
        ],
    )
    marked = _mark_own_store(seen, held)
    ago = marked.as_of.delta(marked.day, unit="day")
    return marked.group_by(*PAIR, ago=ago).agg(
        **{fact.name: marked[fact.name].sum(where=marked.own_store == fact.own_store).fill_null(0) for fact in FACTS}
    )


def window_measures(days: ir.Table, wanted: Collection[Measure]) -> ir.Table:
    """Aggregate day totals to one row per pair, a column per measure that is made of days."""
    return days.group_by(*PAIR).agg(
        **{column(item): value for item in wanted if (value := _of_days(item, days)) is not None}
    )


def buyer_measures(tables: Mapping[str, ir.Table], scope: Scope, wanted: Collection[Measure]) -> ir.Table:
    """Aggregate visible orders by buyer, then to one row per pair, a column per measure that is made of buyers."""
    import ibis

    asked = [item for item in wanted if isinstance(item, Buyers | BuyerSquares)]
    windows = sorted({item.days for item in asked})
    orders = marked_orders(tables).select("store_id", "buyer_id", "insider", "day", "visible_from", "amount_micros")
    held = scope.held
    seen = held.inner_join(
        orders,
        [
            held.store_id == orders.store_id,
            orders.visible_from <= held.as_of,
            orders.day < held.as_of,
            orders.day >= held.as_of - ibis.interval(days=max(windows, default=1)),
        ],
    )
    marked = _mark_own_store(seen, held)
    ago, honest = marked.as_of.delta(marked.day, unit="day"), ~marked.own_store
    buyers = marked.group_by(*PAIR, "buyer_id").agg(
        **{f"orders_{days}": marked.count(where=honest & (ago <= days)) for days in windows},
        **{f"spent_{days}": marked.amount_micros.sum(where=honest & (ago <= days)).fill_null(0) for days in windows},
    )
    return buyers.group_by(*PAIR).agg(**{column(item): _of_buyers(item, buyers) for item in asked})


def first_days(tiles: ir.Table, scope: Scope) -> ir.Table:
    """Return the days from each pair's first order day ever to as_of, in the column of `DaysSinceFirst`."""
    held = scope.held
    sold = tiles.filter(tiles.orders > 0)
    sold = sold.group_by("store_id", "visible_from", "insider").agg(day=sold.day.min())
    seen = held.inner_join(sold, [held.store_id == sold.store_id, sold.visible_from <= held.as_of])
    honest = _mark_own_store(seen, held).filter(lambda t: ~t.own_store)
    first = honest.group_by(*PAIR).agg(day=honest.day.min())
    return first.select(*PAIR, **{column(DaysSinceFirst()): first.as_of.delta(first.day, unit="day")})


def column(measure: Measure) -> str:
    """Return the column name of a measure, as its definition reads.

    Example:
        >>> column(Total("gross", 90, 30))
        "Total(fact='gross', days=90, lag=30, net=None)"
    """
    return repr(measure)


def longest_window(wanted: Collection[Measure]) -> int:
    """Return how many days back the measures look that are made of days.

    Example:
        >>> longest_window({Total("gross", 90, 30)})
        120
    """
    return max((item.days + getattr(item, "lag", 0) for item in wanted if hasattr(item, "days")), default=1)


def _mark_own_store(seen: ir.Table, held: ir.Table) -> ir.Table:
    own = held.select(own_seller="seller_id", own_as_of="as_of", own_store_id="store_id")
    joined = seen.left_join(
        own,
        [seen.seller_id == own.own_seller, seen.as_of == own.own_as_of, seen.insider == own.own_store_id],
    )
    is_own = joined.own_store_id.notnull() | (joined.insider == joined.seller_id).fill_null(False)
    return joined.mutate(own_store=is_own)


def _of_days(measure: Measure, days: ir.Table) -> ir.Value | None:
    match measure:
        case Total(fact, length, lag, net):
            return _net(days, fact, net).sum(where=_within(days, length, lag)).fill_null(0)
        case SquareTotal(fact, length, lag, net):
            exact = _net(days, fact, net).cast(_EXACT)
            return (exact * exact).sum(where=_within(days, length, lag)).fill_null(0)
        case PeakDay(fact, length, lag):
            return days[fact].max(where=_within(days, length, lag)).fill_null(0)
        case ActiveDays(fact, length, lag):
            return days.count(where=_within(days, length, lag) & (days[fact] > 0))
        case DaysSinceLast(fact, length):
            return days.ago.min(where=_within(days, length, 0) & (days[fact] > 0))
    return None


def _of_buyers(measure: Buyers | BuyerSquares, buyers: ir.Table) -> ir.Value:
    if isinstance(measure, Buyers):
        return buyers.count(where=buyers[f"orders_{measure.days}"] >= measure.orders)
    spent = buyers[f"spent_{measure.days}"].cast(_EXACT)
    return (spent * spent).sum()


def _net(days: ir.Table, fact: str, net: str | None) -> ir.IntegerValue:
    return days[fact] - days[net] if net else days[fact]


def _within(days: ir.Table, length: int, lag: int) -> ir.BooleanValue:
    return (days.ago > lag) & (days.ago <= lag + length)
