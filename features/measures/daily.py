"""Measures of a seller's daily totals over all stores, such as the best day or the variation of daily sales.

A seller with the same stores as of several midnights is added up once for all of them. A day's total changes only when
a late row becomes visible, so each day has versions, one from each `visible_from` on, and a midnight uses the version
that is valid then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from features.exact import exact, total
from features.expressions import ActiveDays, LatestDay, Measure, MedianDay, PeakDay, PeakDays, ProductTotal, Spread
from features.facts import BY_NAME, TILE_KEYS
from features.measures.scope import PAIR, PairScope, column_name, reachable, with_related_party, within
from features.measures.windows import counts

if TYPE_CHECKING:
    import ibis.expr.types as ir

DailyMeasure = ActiveDays | LatestDay | MedianDay | PeakDay | PeakDays | ProductTotal | Spread

_LARGEST_DAY: Final = 2 * 10**16
"""20,000 million US dollars a day, in micro-USD: larger totals are cut to it, so that squares fit into 38 digits."""


def tables(tiles: Mapping[str, ir.Table], scope: PairScope, measures: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one table with every measure of daily totals whose tables have tiles."""
    mine = [
        item
        for item in measures
        if isinstance(item, DailyMeasure) and all(BY_NAME[fact].table in tiles for fact in item.facts)
    ]
    if mine:
        days = _daily_totals(_fact_rows(tiles, scope, mine), scope)
        yield days.group_by(PAIR).agg(
            **{column_name(item): _value(item, days) for item in sorted(mine, key=column_name)}
        )


def _fact_rows(tiles: Mapping[str, ir.Table], scope: PairScope, measures: list[DailyMeasure]) -> ir.Table:
    """Return `pair` (a store set), `day`, `visible_from` and the facts in use of all reachable rows."""
    import ibis

    reach: dict[str, int] = {}
    for item in measures:
        for fact in item.facts:
            reach[fact] = max(reach.get(fact, 0), item.reach)
    zero = ibis.literal(0, "int64")
    parts = []
    for table in TILE_KEYS:
        mine = [fact for fact in reach if BY_NAME[fact].table == table]
        if mine:
            rows = with_related_party(of_store_sets(tiles[table], scope, max(reach[fact] for fact in mine)), scope)
            values = {fact: counts(rows, fact) if fact in mine else zero for fact in sorted(reach)}
            parts.append(rows.select(PAIR, "day", "visible_from", **values))
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def of_store_sets(tiles: ir.Table, scope: PairScope, days: int) -> ir.Table:
    """Return the reachable tile rows of each store set, at most `days` back; `pair` names the store set."""
    return scope.store_sets.inner_join(reachable(tiles, scope, days), "store_id")


def _daily_totals(rows: ir.Table, scope: PairScope) -> ir.Table:
    """Return `pair`, `ago` and the total of each fact on each day with a visible row of the pair."""
    facts = sorted({*rows.columns} - {PAIR, "day", "visible_from"})
    sums = {fact: total(rows[fact]) for fact in facts}
    if scope.first == scope.last:  # all reachable rows are visible: a day has one version
        days = rows.group_by(store_set=rows[PAIR], day=rows.day).agg(**sums)
    else:
        # sorted by store set, as in the tiles, so that the pairs of one are added up together
        added = rows.group_by(PAIR, "day", "visible_from").agg(**sums)
        days = scope.keep(_versions(added, facts).order_by("store_set"))
    pairs = scope.pairs.select(PAIR, "as_of", "store_set")
    visible = pairs.inner_join(days, "store_set").filter(lambda t: t.day < t.as_of)
    if "until" in days.columns:
        visible = visible.filter(lambda t: (t.visible_from <= t.as_of) & (t.until.isnull() | (t.as_of < t.until)))
    ago = visible.as_of.delta(visible.day, unit="day").cast("int32")
    return visible.select(PAIR, ago=ago, **{fact: visible[fact] for fact in facts})


def _versions(added: ir.Table, facts: Collection[str]) -> ir.Table:
    """Return the totals of each day from `visible_from` until `until` (null: without end)."""
    import ibis

    day = {"group_by": (PAIR, "day"), "order_by": "visible_from"}
    so_far = ibis.window(**day, preceding=None, following=0)
    return added.select(
        "day",
        "visible_from",
        store_set=added[PAIR],
        until=added.visible_from.lead().over(**day),
        **{fact: added[fact].sum().over(so_far) for fact in facts},
    )


def _value(item: DailyMeasure, days: ir.Table) -> ir.Value:
    import ibis

    net = getattr(item, "net", None)
    amount = days[item.fact] - days[net] if net else days[item.fact]
    inside = within(days.ago, *item.span)
    positive = inside & (amount > 0)
    match item:
        case Spread(_, length):
            whole = exact(ibis.least(ibis.greatest(amount, -_LARGEST_DAY), _LARGEST_DAY))
            once, squares = whole.sum(where=inside), (whole * whole).sum(where=inside)
            return (squares * length - once * once).cast("float64").coalesce(0.0)
        case ProductTotal(_, other):
            product = exact(amount) * exact(days[other])
            return product.sum(where=inside).cast("float64").coalesce(0.0)
        case PeakDay():
            return amount.max(where=positive).coalesce(0)
        case PeakDays(_, count):
            ascending = amount.collect(where=positive).sort()
            return ascending[-count:].sums().coalesce(0)
        case MedianDay():
            # Spark's median takes no condition
            return ibis.ifelse(positive, amount, ibis.null("int64")).median().cast("float64")
    return days.ago.min(where=positive) if isinstance(item, LatestDay) else days.count(where=positive)
