"""Measures by a further key of the tiles: countries, currencies, suppliers, and the medians of days and hours."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from features.exact import exact, total
from features.expressions import Groups, GroupSquares, HomeTotal, LargestGroup, Measure, MedianOf
from features.facts import BY_NAME
from features.measures.scope import PAIR, PairScope, column_name, visible_rows, with_related_party, within
from features.measures.windows import counts

if TYPE_CHECKING:
    import ibis.expr.types as ir

GroupMeasure = Groups | GroupSquares | HomeTotal | LargestGroup | MedianOf


def tables(tiles: Mapping[str, ir.Table], scope: PairScope, measures: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield a table for each key of each tile table, and one for each median."""
    mine = sorted((item for item in measures if isinstance(item, GroupMeasure)), key=column_name)
    for table in sorted({BY_NAME[item.fact].table for item in mine} & tiles.keys()):
        of_table = [item for item in mine if BY_NAME[item.fact].table == table]
        by_keys = scope.keep(_by_keys(tiles[table], scope, of_table))
        for key in sorted({item.key for item in of_table}):
            yield from _of_key(_by_key(by_keys, key), scope, [item for item in of_table if item.key == key])


def _by_keys(tiles: ir.Table, scope: PairScope, measures: list[GroupMeasure]) -> ir.Table:
    """Return `pair`, all keys in use, and the sum of each fact over each window in use."""
    rows = with_related_party(visible_rows(tiles, scope, max(item.reach for item in measures)), scope)
    windows = {_sum_name(item): item for item in measures}
    sums = {name: total(counts(rows, item.fact), within(rows.ago, *item.span)) for name, item in windows.items()}
    return rows.group_by(PAIR, *sorted({item.key for item in measures})).agg(**sums)


def _by_key(by_keys: ir.Table, key: str) -> ir.Table:
    sums = [name for name, kind in by_keys.schema().items() if name not in (PAIR, key) and kind.is_integer()]
    return by_keys.group_by(PAIR, key).agg(**{name: total(by_keys[name]) for name in sums})


def _sum_name(item: GroupMeasure) -> str:
    return f"{item.fact}_{item.days}_{item.lag}"


def _of_key(by_key: ir.Table, scope: PairScope, measures: list[GroupMeasure]) -> Iterator[ir.Table]:
    sums = [item for item in measures if not isinstance(item, MedianOf)]
    if sums:
        rows = by_key.inner_join(scope.pairs.select(PAIR, "country", "base_currency"), PAIR)
        yield rows.group_by(PAIR).agg(**{column_name(item): _value(item, rows) for item in sums})
    for item in measures:
        if isinstance(item, MedianOf):
            yield _lower_median(by_key, item)


def _value(item: GroupMeasure, rows: ir.Table) -> ir.Value:
    amount = rows[_sum_name(item)]
    match item:
        case Groups():
            return rows.count(where=amount > 0)
        case GroupSquares():
            return (exact(amount) * exact(amount)).sum().cast("float64")
        case HomeTotal(_, home):
            return total(amount, rows[item.key] == rows[home])
    return amount.max()


def _lower_median(by_key: ir.Table, item: MedianOf) -> ir.Table:
    """Return the smallest key that at least half of the counted rows do not exceed."""
    import ibis

    rows = by_key.select(PAIR, item.key, n=by_key[_sum_name(item)])
    rows = rows.filter(rows.n > 0)
    ordered = ibis.window(group_by=PAIR, order_by=item.key, preceding=None, following=0)
    rows = rows.mutate(up_to=rows.n.sum().over(ordered), all=rows.n.sum().over(group_by=PAIR))
    upper = rows.filter(rows.up_to * 2 >= rows["all"])
    return upper.group_by(PAIR).agg(**{column_name(item): upper[item.key].min()})
