"""Measures of the seller himself, of the stores that he holds, of his first order, and of the calendar."""

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
"""The name under which `first_orders` stands among the tiles."""


def parts(tiles: Mapping[str, ir.Table], scope: PairScope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield a part for each source: versions of the seller, stores held, the first order, the calendar."""
    if DaysOnPlatform() in wanted:
        days = scope.pairs.as_of.delta(scope.pairs.onboarded_at.cast("date"), unit="day")
        yield scope.pairs.select(PAIR, **{column_name(DaysOnPlatform()): days})
    yield from _stores(scope, wanted)
    if DaysSinceFirst() in wanted and FIRST in tiles:
        yield _first_order(tiles[FIRST], scope)
    festivals = [item for item in wanted if isinstance(item, FestivalDays)]
    if festivals:
        yield _festivals(scope, festivals)


def _stores(scope: PairScope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    held = scope.held
    values = {
        Stores(): held.count(),
        Marketplaces(): held.marketplace.nunique(),
        OldestStore(): held.as_of.delta(held.opened_at.cast("date"), unit="day").max(),
    }
    asked = {column_name(item): value for item, value in values.items() if item in wanted}
    if asked:
        yield held.group_by(PAIR).agg(**asked)


def first_orders(tiles: ir.Table) -> ir.Table:
    """Return the day of each store's and insider's first order by visibility, where it is earlier than those before.

    Asked once for all frames: few rows are left of all tiles.
    """
    import ibis

    keys = ("store_id", "insider")
    sold = tiles.filter(tiles.orders > 0)
    # Nearly all days come to be known in their order: only those that may be a first need sorting.
    soonest = sold.group_by(*keys).agg(since=sold.visible_from.min(), first=sold.day.argmin(sold.visible_from))
    same = [sold.store_id == soonest.store_id, sold.insider.identical_to(soonest.insider)]
    early = sold.inner_join(soonest, same).filter(lambda t: (t.visible_from == t.since) | (t.day < t.first))
    shown = early.group_by(*keys, "visible_from").agg(day=early.day.min())
    before = ibis.window(group_by=keys, order_by="visible_from", preceding=(None, 1))
    known = shown.mutate(before=shown.day.min().over(before))
    return known.filter(known.before.isnull() | (known.day < known.before)).drop("before")


def _first_order(first: ir.Table, scope: PairScope) -> ir.Table:
    held = scope.held.select(PAIR, "as_of", "store_id")
    shown = held.inner_join(first, "store_id").filter(lambda t: t.visible_from <= t.as_of)
    sales = with_related_party(shown, scope).filter(lambda t: ~t.own)
    first = sales.group_by(PAIR, "as_of").agg(day=sales.day.min())
    return first.select(PAIR, **{column_name(DaysSinceFirst()): first.as_of.delta(first.day, unit="day")})


def _festivals(scope: PairScope, wanted: list[FestivalDays]) -> ir.Table:
    import ibis

    far = max(item.days + item.lag for item in wanted)
    first = scope.first - timedelta(days=far)
    days = [day for day in festival_days(first.year, scope.last.year) if first <= day < scope.last]
    calendar = ibis.memtable({"day": days}, schema={"day": "date"})
    midnights = scope.pairs.select("as_of").distinct().cross_join(calendar)
    ago = midnights.as_of.delta(midnights.day, unit="day")
    counted = midnights.group_by("as_of").agg(
        **{column_name(item): midnights.count(where=within(ago, item.days, item.lag)) for item in wanted}
    )
    return scope.pairs.select(PAIR, "as_of").inner_join(counted, "as_of").drop("as_of")
