"""Who sees what: the pairs asked for, the stores that each holds, and the tile rows that each may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from features.expressions import Measure

if TYPE_CHECKING:
    import ibis.expr.types as ir

PAIR: Final = "pair"
"""The number of a pair: one seller as of one midnight."""


@dataclass(frozen=True)
class PairScope:
    """The pairs asked for, as tables.

    Attributes:
        pairs: pair, seller_id, as_of, the seller's `country`, `base_currency` and `onboarded_at` as of then, and
            `house`: the first of his pairs that holds the same stores.
        held: pair, as_of, store_id, marketplace and opened_at of each store that the pair holds as of then.
        houses: pair and store_id of each store that a house holds.
        own: pair and `insider`, each id that is the seller's own account as of then.
        first: the earliest as_of.
        last: the latest as_of.
        keep: computes a table that is small, or asked more than once, where the engine has a place for it.
    """

    pairs: ir.Table
    held: ir.Table
    houses: ir.Table
    own: ir.Table
    first: date
    last: date
    keep: Callable[[ir.Table], ir.Table]


def scope_of(
    pairs: ir.Table,
    sellers: ir.Table,
    stores: ir.Table,
    span: tuple[date, date],
    keep: Callable[[ir.Table], ir.Table],
) -> PairScope:
    """Find out who holds which store as of then.

    Args:
        pairs: pair, seller_id, as_of; a pair once.
        sellers: accepted versions of sellers.
        stores: accepted versions of stores.
        span: the earliest and the latest as_of of the pairs.
        keep: see Scope.
    """
    import ibis

    held = keep(_stores_held(pairs, stores))
    described = keep(_with_store_set(_described(pairs, sellers), held))
    first = described.select("house").distinct()
    houses = held.semi_join(first, held[PAIR] == first.house).select(PAIR, "store_id")
    own = ibis.union(pairs.select(PAIR, insider="seller_id"), held.select(PAIR, insider="store_id"), distinct=True)
    return PairScope(described, held, keep(houses), keep(own), *span, keep)


def _described(pairs: ir.Table, sellers: ir.Table) -> ir.Table:
    known = pairs.inner_join(sellers, "seller_id").filter(lambda t: t.visible_from <= t.as_of)
    columns = ("country", "base_currency", "onboarded_at")
    latest = known.group_by(PAIR).agg(**{name: known[name].argmax(known.known_at) for name in columns})
    return pairs.left_join(latest, PAIR).drop(f"{PAIR}_right")


def _stores_held(pairs: ir.Table, stores: ir.Table) -> ir.Table:
    # A store is the seller's whom its latest version known by as_of names.
    ever = stores.select("store_id", "seller_id").distinct().inner_join(pairs, "seller_id")
    versions = stores.select("store_id", "known_at", "visible_from", "marketplace", "opened_at", owner="seller_id")
    known = ever.inner_join(versions, "store_id").filter(lambda t: t.visible_from <= t.as_of)
    columns = ("owner", "marketplace", "opened_at")
    latest = known.group_by(PAIR, "seller_id", "as_of", "store_id").agg(
        **{name: known[name].argmax(known.known_at) for name in columns}
    )
    mine = latest.filter(latest.owner == latest.seller_id)
    return mine.select(PAIR, "as_of", "store_id", "marketplace", "opened_at")


def _with_store_set(pairs: ir.Table, held: ir.Table) -> ir.Table:
    import ibis

    stores = held.group_by(PAIR).agg(stores=held.store_id.collect().sort())
    known = pairs.left_join(stores, PAIR).drop(f"{PAIR}_right")
    same = ibis.window(group_by=("seller_id", "stores"))
    return known.mutate(house=known[PAIR].min().over(same)).drop("stores")


def reachable(tiles: ir.Table, scope: PairScope, days: int) -> ir.Table:
    """Return the tile rows that any midnight of the scope may see, at most `days` back."""
    near = (tiles.day < scope.last, tiles.day >= scope.first - timedelta(days=days))
    return tiles.filter(tiles.visible_from <= scope.last, *near)


def visible_rows(tiles: ir.Table, scope: PairScope, days: int) -> ir.Table:
    """Return the tile rows that each pair sees of its stores, at most `days` back.

    They have `pair`, and `ago`: 1 for the day before as_of. This is where the time rule is applied to tiles.
    """
    joined = scope.held.select(PAIR, "as_of", "store_id").inner_join(reachable(tiles, scope, days), "store_id")
    ago = joined.as_of.delta(joined.day, unit="day").cast("int32")
    within = joined.mutate(ago=ago).filter(joined.visible_from <= joined.as_of)
    return within.filter(within.ago >= 1, within.ago <= days)


def with_related_party(rows: ir.Table, scope: PairScope) -> ir.Table:
    """Append `own`: whether the row is of orders that the seller placed with himself."""
    if "insider" not in rows.columns:
        import ibis

        return rows.mutate(own=ibis.literal(False))
    own = scope.own.select(own_pair=PAIR, own_insider="insider")
    joined = rows.left_join(own, [rows[PAIR] == own.own_pair, rows.insider == own.own_insider])
    return joined.mutate(own=joined.own_pair.notnull()).drop("own_pair", "own_insider")


def column_name(measure: Measure) -> str:
    """Return the column name of a measure: its tag and its settings.

    Example:
        >>> column(Total("gross", 90, 30))
        'total(fact=gross, days=90, lag=30, net=None)'
    """
    settings = (f"{field.name}={getattr(measure, field.name)}" for field in fields(measure))
    return f"{measure.tag}({', '.join(settings)})"


def within(ago: ir.IntegerValue, days: int, lag: int) -> ir.BooleanValue:
    """Return whether a day so long ago lies in the window [T - lag - days, T - lag).

    Example: 30 days ago is outside `within(ago, 90, 30)`, 31 and 120 are inside.
    """
    return (ago > lag) & (ago <= lag + days)
