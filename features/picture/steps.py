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

FIRST, LAST, ENDS = "first_ago", "last_ago", "_ends"
"""Days since the first and the last day with a row; what the names of these tables end with."""

TABLES: Final = tuple(TILE_KEYS)
_EVER: Final = 36_500
"""Days back that are more than any platform's history."""


def step_tables(tables: Mapping[str, ir.Table], scope: Scope) -> Iterator[tuple[str, ir.Table]]:
    """Yield tables of seller_id, `step` (0 the oldest) and whole numbers; a step without rows is absent."""
    for name in TABLES:
        if name in tables:
            yield name, _named(_of_table(name, tables[name], scope), scope)
    if LONE in tables:
        yield LONE, _named(_lone(tables[LONE], scope), scope)


def regular_buyers(tables: Mapping[str, ir.Table], scope: Scope) -> Iterator[tuple[str, ir.Table]]:
    """Yield seller_id and the columns `of_step` of buyers who came more than once, if any table tells of buyers."""
    if REGULAR in tables:
        yield REGULAR, _named(_regular(tables[REGULAR], scope), scope)


def first_and_last(tables: Mapping[str, ir.Table], scope: Scope) -> Iterator[tuple[str, ir.Table]]:
    """Yield, by table, seller_id and how many days ago the seller's first and last day with a row were."""
    for name in TABLES:
        if name in tables:
            rows = seen(tables[name], scope, _EVER)
            ends = rows.group_by(PAIR).agg(**{FIRST: rows.ago.max(), LAST: rows.ago.min()})
            yield f"{name}{ENDS}", _named(ends, scope)


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


def _lone(tiles: ir.Table, scope: Scope) -> ir.Table:
    """Return the buyers who came once, who add up like any fact; none of them had come before."""
    rows = seen(tiles, scope, STEPS * STEP_DAYS)
    return rows.group_by(PAIR, **{STEP: _step(rows)}).agg(**{BUYERS: whole(total(rows.buyers))})


def _regular(tiles: ir.Table, scope: Scope) -> ir.Table:
    """Return, in a column a step, buyers who came more than once: those who came, and those who had come before.

    A buyer is a number with a bit for each step in which he came, so he is looked at once for all steps.
    """
    import ibis

    rows = with_own(seen(tiles, scope, (STEPS + NEW_AFTER) * STEP_DAYS), scope).filter(
        lambda t: ~t.own & t.buyer_id.notnull()
    )
    bit = ibis.literal(1, "int64") << (_step(rows) + NEW_AFTER)
    buyers = rows.group_by(PAIR, "buyer_id").agg(came=bit.bit_or())
    counts = {}
    for step in range(STEPS):
        now, before = (1 << NEW_AFTER) << step, ((1 << NEW_AFTER) - 1) << step
        came = (buyers.came & now) != 0
        counts[of_step(BUYERS, step)] = buyers.count(where=came)
        counts[of_step(EARLIER, step)] = buyers.count(where=came & ((buyers.came & before) != 0))
    return buyers.group_by(PAIR).agg(**counts)


def of_step(name: str, step: int) -> str:
    """Return the column of a sum that stands in a column a step."""
    return f"{name}_{step}"
