"""Tiles added up by seller and step: the facts of each table, the days that it tells of, and distinct buyers.

One row a seller and step, so that twelve steps cost one look at a year of tiles, and little of it in Python. What each
midnight sees is `features.measures.scope`'s to say, as for every feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from features.buyers import LONE, REGULAR
from features.exact import total, whole
from features.facts import TILE_KEYS
from features.measures.scope import PAIR, Scope, seen, with_own
from features.measures.windows import counts
from features.picture.series import BUYERS, EARLIER, NEW_AFTER, STEP_DAYS, STEPS, SUMS, table_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

STEP: Final = "step"
DAYS: Final = "days"
"""Days of a step with at least one row, own-store orders too; refunds and parcels count on their order's day."""

TABLES: Final = tuple(TILE_KEYS)
_BUYERS: Final = "distinct_buyers"
_EVER: Final = 36_500
"""Days back that are more than any platform's history."""


def step_tables(tables: Mapping[str, ir.Table], scope: Scope) -> Iterator[tuple[str, ir.Table]]:
    """Yield tables of seller_id, `step` (0 the oldest) and whole numbers; a step without rows is absent."""
    for name in TABLES:
        if name in tables:
            yield name, _named(_of_table(name, tables[name], scope), scope)
    if REGULAR in tables:
        yield _BUYERS, _named(_of_buyers(tables, scope), scope)


def first_and_last(tables: Mapping[str, ir.Table], scope: Scope) -> Iterator[tuple[str, ir.Table]]:
    """Yield, by table, seller_id and how many days ago the seller's first and last day with a row were."""
    for name in TABLES:
        if name in tables:
            rows = seen(tables[name], scope, _EVER)
            ends = rows.group_by(PAIR).agg(first_ago=rows.ago.max(), last_ago=rows.ago.min())
            yield f"{name}_ends", _named(ends, scope)


def _named(rows: ir.Table, scope: Scope) -> ir.Table:
    pairs = scope.pairs.select(PAIR, "seller_id")
    return rows.inner_join(pairs, PAIR).drop(PAIR)


def _step(rows: ir.Table) -> ir.IntegerValue:
    step: ir.IntegerValue = STEPS - 1 - ((rows.ago - 1) // STEP_DAYS)
    return step.cast("int64")


def _of_table(name: str, tiles: ir.Table, scope: Scope) -> ir.Table:
    rows = with_own(seen(tiles, scope, STEPS * STEP_DAYS), scope)
    sums = {each: whole(total(counts(rows, each))) for each in SUMS if table_of(each) == name and each in rows.columns}
    return rows.group_by(PAIR, **{STEP: _step(rows)}).agg(**{DAYS: rows.ago.nunique()}, **sums)


def _of_buyers(tables: Mapping[str, ir.Table], scope: Scope) -> ir.Table:
    """Return distinct buyers by step: those who came once add up, of the others each is looked at."""
    import ibis

    far = (STEPS + NEW_AFTER) * STEP_DAYS
    once = seen(tables[LONE], scope, STEPS * STEP_DAYS)
    lone = once.group_by(PAIR, **{STEP: _step(once)}).agg(
        **{BUYERS: whole(total(once.buyers)), EARLIER: ibis.literal(0, "int64")}
    )
    rows = with_own(seen(tables[REGULAR], scope, far), scope).filter(lambda t: ~t.own)
    by_step = rows.group_by(PAIR, "buyer_id", **{STEP: _step(rows)}).agg(orders=total(rows.orders))
    came = by_step.filter(by_step.orders > 0)
    of_one = ibis.window(group_by=(PAIR, "buyer_id"), order_by=STEP)
    since = came.mutate(before=came[STEP] - came[STEP].lag().over(of_one)).filter(lambda t: t[STEP] >= 0)
    regular = since.group_by(PAIR, STEP).agg(
        **{BUYERS: since.count().cast("int64"), EARLIER: since.count(where=since.before <= NEW_AFTER).cast("int64")}
    )
    both = ibis.union(lone, regular.select(*lone.columns))
    return both.group_by(PAIR, STEP).agg(**{name: whole(both[name].sum()) for name in (BUYERS, EARLIER)})
