"""Daily totals of houses: a seller who holds the same stores as of several midnights is added up once for all of them.

What a day shows changes only when a late row of it comes to be known. So each day has versions, one from each
`visible_from` on, and a midnight sees the one that holds then; no rows are added up again for each midnight.

Measures of a seller's daily totals: what only shows once the stores and the late rows of a day are added up.
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


def of_store_sets(tiles: ir.Table, scope: PairScope, days: int) -> ir.Table:
    """Return the tile rows that any midnight sees of a house's stores, at most `days` back; `pair` is the house."""
    return scope.houses.inner_join(reachable(tiles, scope, days), "store_id")


def daily_totals(rows: ir.Table, scope: PairScope, facts: Collection[str]) -> ir.Table:
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


_LARGEST_DAY: Final = 2 * 10**16
"""20,000 million US dollars a day, in micro-USD: what is more counts as that, so that squares keep to 38 digits."""


OfDays = ActiveDays | LatestDay | MedianDay | PeakDay | PeakDays | ProductTotal | Spread


def parts(tiles: Mapping[str, ir.Table], scope: PairScope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one part with every measure of daily totals whose tables have tiles."""
    mine = [
        item for item in wanted if isinstance(item, OfDays) and all(BY_NAME[f].table in tiles for f in _facts(item))
    ]
    if mine:
        days = _daily(tiles, scope, mine)
        yield days.group_by(PAIR).agg(
            **{column_name(item): _value(item, days) for item in sorted(mine, key=column_name)}
        )


def _facts(item: OfDays) -> list[str]:
    return [name for name in (getattr(item, each, None) for each in ("fact", "other", "net")) if name]


def _reach(item: OfDays) -> int:
    return item.days + item.lag


def _daily(tiles: Mapping[str, ir.Table], scope: PairScope, wanted: list[OfDays]) -> ir.Table:
    """Return `pair`, `ago` and the seller's daily total of each fact in use."""
    import ibis

    reach: dict[str, int] = {}
    for item in wanted:
        for fact in _facts(item):
            reach[fact] = max(reach.get(fact, 0), _reach(item))
    zero = ibis.literal(0, "int64")
    several = []
    for table in TILE_KEYS:
        mine = [fact for fact in reach if BY_NAME[fact].table == table]
        if mine:
            rows = with_related_party(of_store_sets(tiles[table], scope, max(reach[fact] for fact in mine)), scope)
            values = {fact: counts(rows, fact) if fact in mine else zero for fact in sorted(reach)}
            several.append(rows.select(PAIR, "day", "visible_from", **values))
    rows = ibis.union(*several) if len(several) > 1 else several[0]
    return daily_totals(rows, scope, sorted(reach))


def _value(item: OfDays, days: ir.Table) -> ir.Value:
    import ibis

    net = getattr(item, "net", None)
    amount = days[item.fact] - days[net] if net else days[item.fact]
    inside = within(days.ago, item.days, item.lag)
    match item:
        case Spread(_, length):
            whole = exact(ibis.least(ibis.greatest(amount, -_LARGEST_DAY), _LARGEST_DAY))
            once, squares = whole.sum(where=inside), (whole * whole).sum(where=inside)
            return (squares * length - once * once).cast("float64").coalesce(0.0)
        case ProductTotal(_, other):
            product = exact(amount) * exact(days[other])
            return product.sum(where=inside).cast("float64").coalesce(0.0)
        case PeakDay():
            return amount.max(where=inside & (amount > 0)).coalesce(0)
        case PeakDays(_, count):
            ascending = amount.collect(where=inside & (amount > 0)).sort()
            return ascending[-count:].sums().coalesce(0)
        case MedianDay():
            # Spark's median takes no condition
            return ibis.ifelse(inside & (amount > 0), amount, ibis.null("int64")).median().cast("float64")
    some = inside & (amount > 0)
    return days.ago.min(where=some) if isinstance(item, LatestDay) else days.count(where=some)
