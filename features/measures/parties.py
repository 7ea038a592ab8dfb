"""Measures of the seller, the seller's stores, the first order, and the calendar."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from features.expressions import (
    DaysOnPlatform,
    DaysSinceFirst,
    FestivalDays,
    Marketplaces,
    Measure,
    OldestStore,
    Stores,
)
from features.festivals import festival_days
from features.measures.scope import PAIR, PairScope, column_name, with_related_party, within

if TYPE_CHECKING:
    import ibis.expr.types as ir

FIRST: Final = "first_orders"
"""The name of the table of `first_orders`."""


def tables(tiles: Mapping[str, ir.Table], scope: PairScope, measures: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield a table for each source: versions of the seller, stores, the first order, the calendar."""
    if DaysOnPlatform() in measures:
        days = scope.pairs.as_of.delta(scope.pairs.onboarded_at.cast("date"), unit="day")
        yield scope.pairs.select(PAIR, **{column_name(DaysOnPlatform()): days})
    yield from _stores(scope.stores, measures)
    if DaysSinceFirst() in measures and FIRST in tiles:
        yield _days_since_first(tiles[FIRST], scope)
    if festivals := [item for item in measures if isinstance(item, FestivalDays)]:
        yield _festivals(scope, festivals)


def _stores(stores: ir.Table, measures: Collection[Measure]) -> Iterator[ir.Table]:
    values = {
        Stores(): stores.count(),
        Marketplaces(): stores.marketplace.nunique(),
        OldestStore(): stores.as_of.delta(stores.opened_at.cast("date"), unit="day").max(),
    }
    mine = {column_name(item): value for item, value in values.items() if item in measures}
    if mine:
        yield stores.group_by(PAIR).agg(**mine)


def first_orders(tiles: ir.Table) -> ir.Table:
    """Return the first order day of each store and related-party id, and each earlier one that became visible later.

    Computed once for all frames, since few rows remain.
    """
    import ibis

    keys = ("store_id", "insider")
    sold = tiles.filter(tiles.orders > 0)
    # nearly all days become visible in their order: only the rows that may be a first day need sorting
    soonest = sold.group_by(*keys).agg(since=sold.visible_from.min(), first=sold.day.argmin(sold.visible_from))
    same = [sold.store_id == soonest.store_id, sold.insider.identical_to(soonest.insider)]
    early = sold.inner_join(soonest, same).filter(lambda t: (t.visible_from == t.since) | (t.day < t.first))
    days = early.group_by(*keys, "visible_from").agg(day=early.day.min())
    before = ibis.window(group_by=keys, order_by="visible_from", preceding=(None, 1))
    known = days.mutate(before=days.day.min().over(before))
    return known.filter(known.before.isnull() | (known.day < known.before)).drop("before")


def _days_since_first(first: ir.Table, scope: PairScope) -> ir.Table:
    stores = scope.stores.select(PAIR, "as_of", "store_id")
    visible = stores.inner_join(first, "store_id").filter(lambda t: t.visible_from <= t.as_of)
    sales = with_related_party(visible, scope).filter(lambda t: ~t.own)
    days = sales.group_by(PAIR, "as_of").agg(day=sales.day.min())
    return days.select(PAIR, **{column_name(DaysSinceFirst()): days.as_of.delta(days.day, unit="day")})


def _festivals(scope: PairScope, measures: list[FestivalDays]) -> ir.Table:
    import ibis

    first = scope.first - timedelta(days=max(item.reach for item in measures))
    days = [day for day in festival_days(first.year, scope.last.year) if first <= day < scope.last]
    calendar = ibis.memtable({"day": days}, schema={"day": "date"})
    midnights = scope.pairs.select("as_of").distinct().cross_join(calendar)
    ago = midnights.as_of.delta(midnights.day, unit="day")
    counts = midnights.group_by("as_of").agg(
        **{column_name(item): midnights.count(where=within(ago, *item.span)) for item in measures}
    )
    return scope.pairs.select(PAIR, "as_of").inner_join(counts, "as_of").drop("as_of")
