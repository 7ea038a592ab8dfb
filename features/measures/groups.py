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

OfGroups = Groups | GroupSquares | HomeTotal | LargestGroup | MedianOf


def parts(tiles: Mapping[str, ir.Table], scope: PairScope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield a part for each key of each table, and one for each median."""
    mine = sorted((item for item in wanted if isinstance(item, OfGroups)), key=column_name)
    for table in sorted({BY_NAME[item.fact].table for item in mine} & tiles.keys()):
        those = [item for item in mine if BY_NAME[item.fact].table == table]
        grouped = scope.keep(_grouped(tiles[table], scope, those))
        for key in sorted({item.key for item in those}):
            yield from _of_key(_regrouped(grouped, key), scope, [item for item in those if item.key == key])


def _grouped(tiles: ir.Table, scope: PairScope, wanted: list[OfGroups]) -> ir.Table:
    """Return `pair`, all keys in use, and the sum of each fact over each window in use."""
    rows = with_related_party(visible_rows(tiles, scope, max(item.days + item.lag for item in wanted)), scope)
    windows = {_window(item): item for item in wanted}
    sums = {
        name: total(counts(rows, item.fact), within(rows.ago, item.days, item.lag)) for name, item in windows.items()
    }
    return rows.group_by(PAIR, *sorted({item.key for item in wanted})).agg(**sums)


def _regrouped(grouped: ir.Table, key: str) -> ir.Table:
    sums = [name for name, kind in grouped.schema().items() if name != PAIR and kind.is_integer()]
    return grouped.group_by(PAIR, key).agg(**{name: total(grouped[name]) for name in sums if name != key})


def _window(item: OfGroups) -> str:
    return f"{item.fact}_{item.days}_{item.lag}"


def _of_key(grouped: ir.Table, scope: PairScope, wanted: list[OfGroups]) -> Iterator[ir.Table]:
    medians = [item for item in wanted if isinstance(item, MedianOf)]
    others = [item for item in wanted if not isinstance(item, MedianOf)]
    if others:
        rows = grouped.inner_join(scope.pairs.select(PAIR, "country", "base_currency"), PAIR)
        yield rows.group_by(PAIR).agg(**{column_name(item): _value(item, rows) for item in others})
    for item in medians:
        yield _median(grouped, item)


def _value(item: OfGroups, rows: ir.Table) -> ir.Value:
    amount = rows[_window(item)]
    match item:
        case Groups():
            return rows.count(where=amount > 0)
        case GroupSquares():
            square = exact(amount) * exact(amount)
            return square.sum().cast("float64")
        case HomeTotal(_, home):
            return total(amount, rows[item.key] == rows[home])
    return amount.max()


def _median(grouped: ir.Table, item: MedianOf) -> ir.Table:
    """The smallest key that at least half of the rows counted do not exceed."""
    import ibis

    rows = grouped.select(PAIR, item.key, n=grouped[_window(item)])
    rows = rows.filter(rows.n > 0)
    ordered = ibis.window(group_by=PAIR, order_by=item.key, preceding=None, following=0)
    rows = rows.mutate(up_to=rows.n.sum().over(ordered), all=rows.n.sum().over(group_by=PAIR))
    upper = rows.filter(rows.up_to * 2 >= rows["all"])
    return upper.group_by(PAIR).agg(**{column_name(item): upper[item.key].min()})
