"""Daily totals of houses: a seller who holds the same stores as of several midnights is added up once for all of them.

What a day shows changes only when a late row of it comes to be known. So each day has versions, one from each
`visible_from` on, and a midnight sees the one that holds then; no rows are added up again for each midnight.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from features.exact import total
from features.measures.scope import PAIR, Scope, reachable

if TYPE_CHECKING:
    import ibis.expr.types as ir


def of_houses(tiles: ir.Table, scope: Scope, days: int) -> ir.Table:
    """Return the tile rows that any midnight sees of a house's stores, at most `days` back; `pair` is the house."""
    return scope.houses.inner_join(reachable(tiles, scope, days), "store_id")


def daily_totals(rows: ir.Table, scope: Scope, facts: Collection[str]) -> ir.Table:
    """Return `pair`, `ago` and the total of each fact on each day that the pair sees something of.

    Args:
        rows: `pair` (the house), `day`, `visible_from` and the facts, whole numbers.
        scope: the pairs asked for.
        facts: the columns to add up.
    """
    if scope.first == scope.last:  # all that can be reached is visible: no day has a second version
        days = rows.group_by(house=rows[PAIR], day=rows.day).agg(**_totals(rows, facts))
    else:
        # A house's days together, as in the tiles: its pairs are then added up together, whatever lists they gather.
        added = rows.group_by(PAIR, "day", "visible_from").agg(**_totals(rows, facts))
        days = scope.keep(_versions(added, facts).order_by("house"))
    pairs = scope.pairs.select(PAIR, "as_of", "house")
    seen = pairs.inner_join(days, "house").filter(lambda t: t.day < t.as_of)
    if "until" in days.columns:
        seen = seen.filter(lambda t: (t.visible_from <= t.as_of) & (t.until.isnull() | (t.as_of < t.until)))
    return seen.select(PAIR, ago=seen.as_of.delta(seen.day, unit="day").cast("int32"), **{f: seen[f] for f in facts})


def _totals(rows: ir.Table, facts: Collection[str]) -> dict[str, ir.IntegerScalar]:
    return {fact: total(rows[fact]) for fact in sorted(facts)}


def _versions(added: ir.Table, facts: Collection[str]) -> ir.Table:
    """Return what each day shows from `visible_from` on, until `until` (null: for good): all that was added by then."""
    import ibis

    day = {"group_by": (PAIR, "day"), "order_by": "visible_from"}
    so_far = ibis.window(**day, preceding=None, following=0)
    return added.select(
        "day",
        "visible_from",
        house=added[PAIR],
        until=added.visible_from.lead().over(**day),
        **{fact: added[fact].sum().over(so_far) for fact in sorted(facts)},
    )
