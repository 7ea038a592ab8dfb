"""The requested pairs, the stores of each as of its midnight, and the tile rows that each may use."""

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
    """The requested pairs, as tables.

    Attributes:
        pairs: pair, seller_id, as_of, the seller's `country`, `base_currency` and earliest `onboarded_at` as of then,
            and `store_set`: the first pair of the seller with the same stores.
        stores: pair, as_of, store_id, marketplace and opened_at of each store that the pair's seller owns as of then.
        store_sets: pair and store_id of each store of a store set.
        own_accounts: pair and `insider`, each id of a related party: the seller or a store of the seller.
        first: the earliest as_of.
        last: the latest as_of.
        keep: computes a table now, if the engine has a place for it; for small tables and those read several times.
    """

    pairs: ir.Table
    stores: ir.Table
    store_sets: ir.Table
    own_accounts: ir.Table
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
    """Return the scope of distinct pairs (pair, seller_id, as_of): their sellers' attributes and stores as of then.

    `sellers` and `stores` are accepted versions, `span` is the earliest and the latest `as_of`.
    """
    import ibis

    owned = keep(_owned_stores(pairs, stores))
    described = keep(_with_store_set(_with_attributes(pairs, sellers), owned))
    first = described.select("store_set").distinct()
    sets = owned.semi_join(first, owned[PAIR] == first.store_set).select(PAIR, "store_id")
    own = ibis.union(pairs.select(PAIR, insider="seller_id"), owned.select(PAIR, insider="store_id"), distinct=True)
    return PairScope(described, owned, keep(sets), keep(own), *span, keep)


def _with_attributes(pairs: ir.Table, sellers: ir.Table) -> ir.Table:
    known = pairs.inner_join(sellers, "seller_id").filter(lambda t: t.visible_from <= t.as_of)
    attributes = {name: known[name].argmax(known.known_at) for name in ("country", "base_currency")}
    # exports of several stores state different days; a store that is added later does not make the seller younger
    described = known.group_by(PAIR).agg(**attributes, onboarded_at=known.onboarded_at.min())
    return pairs.left_join(described, PAIR).drop(f"{PAIR}_right")


def _owned_stores(pairs: ir.Table, stores: ir.Table) -> ir.Table:
    # the latest version known by as_of names the owner of a store
    candidates = stores.select("store_id", "seller_id").distinct().inner_join(pairs, "seller_id")
    versions = stores.select("store_id", "known_at", "visible_from", "marketplace", "opened_at", owner="seller_id")
    known = candidates.inner_join(versions, "store_id").filter(lambda t: t.visible_from <= t.as_of)
    columns = ("owner", "marketplace", "opened_at")
    latest = known.group_by(PAIR, "seller_id", "as_of", "store_id").agg(
        **{name: known[name].argmax(known.known_at) for name in columns}
    )
    owned = latest.filter(latest.owner == latest.seller_id)
    return owned.select(PAIR, "as_of", "store_id", "marketplace", "opened_at")


def _with_store_set(pairs: ir.Table, owned: ir.Table) -> ir.Table:
    import ibis

    stores = owned.group_by(PAIR).agg(stores=owned.store_id.collect().sort())
    known = pairs.left_join(stores, PAIR).drop(f"{PAIR}_right")
    same = ibis.window(group_by=("seller_id", "stores"))
    return known.mutate(store_set=known[PAIR].min().over(same)).drop("stores")


def reachable(tiles: ir.Table, scope: PairScope, days: int) -> ir.Table:
    """Return the tile rows that any midnight of the scope may use, at most `days` back."""
    near = (tiles.day < scope.last, tiles.day >= scope.first - timedelta(days=days))
    return tiles.filter(tiles.visible_from <= scope.last, *near)


def visible_rows(tiles: ir.Table, scope: PairScope, days: int) -> ir.Table:
    """Return the tile rows of each pair's stores that are visible as of then, at most `days` back.

    This applies the time rule to tiles. The rows have `pair`, and `ago`: 1 for the day before as_of.
    """
    joined = scope.stores.select(PAIR, "as_of", "store_id").inner_join(reachable(tiles, scope, days), "store_id")
    ago = joined.as_of.delta(joined.day, unit="day").cast("int32")
    visible = joined.mutate(ago=ago).filter(joined.visible_from <= joined.as_of)
    return visible.filter(visible.ago >= 1, visible.ago <= days)


def with_related_party(rows: ir.Table, scope: PairScope) -> ir.Table:
    """Add `own`: whether the row is of related-party orders, which are no sales."""
    if "insider" not in rows.columns:
        import ibis

        return rows.mutate(own=ibis.literal(False))
    own = scope.own_accounts.select(own_pair=PAIR, own_insider="insider")
    joined = rows.left_join(own, [rows[PAIR] == own.own_pair, rows.insider == own.own_insider])
    return joined.mutate(own=joined.own_pair.notnull()).drop("own_pair", "own_insider")


def column_name(measure: Measure) -> str:
    """Return the column name of a measure: its tag and its settings.

    Example:
        >>> column_name(Total("gross", 90, 30))
        'total(fact=gross, days=90, lag=30, net=None)'
    """
    settings = (f"{field.name}={getattr(measure, field.name)}" for field in fields(measure))
    return f"{measure.tag}({', '.join(settings)})"


def within(ago: ir.IntegerValue, days: int, lag: int) -> ir.BooleanValue:
    """Return whether a day `ago` days before T lies in the window [T - lag - days, T - lag).

    Example: 30 days ago is outside `within(ago, 90, 30)`; 31 and 120 are inside.
    """
    return (ago > lag) & (ago <= lag + days)
