"""Buyers, counted exactly without scanning orders anew: most come once and add up like any fact, few are kept by id.

Whoever has ordered once in all the data is `lone`: he is one buyer, one order and one square of spending on his day,
whatever the window. `regular` buyers are kept as rows. Which of the two a buyer is changes no result, for both say
the same of him: a lone buyer who comes back is taken out of the lone by rows of -1 and kept as a regular from then on.

Orders without a buyer id (guests) are regular rows without a buyer and without an hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from features.exact import EXACT, exact, stored_total
from features.tiles import BASE_KEYS, Rows, marked_orders, parties_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

LONE: Final = "lone_buyers"
REGULAR: Final = "regular_buyers"

_COLUMNS: Final = (*BASE_KEYS, "insider", "buyer_id", "hour", "amount_micros")


def buyer_tiles(rows: Rows) -> Iterator[tuple[str, ir.Table]]:
    """Yield the tiles of buyers that fresh orders add to those of the stored ones: LONE, then REGULAR.

    LONE has `buyers`, `squares` (of micro-USD, EXACT) and `largest` (micro-USD) by store, day and visibility; REGULAR
    has `orders` and `spent` by store, day, visibility, insider, buyer and hour of the day (UTC). Orders of insiders
    are always REGULAR, since they may be no sales.
    """
    import ibis

    if "orders" not in rows.fresh:
        return
    parties = parties_of(rows)
    everyone = _slim(rows.fresh["orders"], parties)
    fresh, guests = everyone.filter(everyone.buyer_id.notnull()), everyone.filter(everyone.buyer_id.isnull())
    again = _stored_orders_of(rows, fresh, parties)
    both = fresh if again is None else ibis.union(fresh, again)
    counts = both.group_by("buyer_id")
    returning = rows.keep(counts.having(both.count() > 1).agg())
    outside = fresh.filter(fresh.insider.isnull())
    lone = [(outside.anti_join(returning, "buyer_id"), 1)]
    regular = [fresh.semi_join(returning, "buyer_id"), fresh.filter(fresh.insider.notnull())]
    regular[1] = regular[1].anti_join(returning, "buyer_id")
    regular.append(guests)
    if again is not None:
        awakened = rows.keep(_lone_before(again))
        lone.append((awakened, -1))
        regular.append(awakened)
    for part, sign in lone:
        yield LONE, _lone(part, sign)
    yield REGULAR, _regular(ibis.union(*regular))


def _slim(orders: ir.Table, parties: ir.Table) -> ir.Table:
    import ibis

    marked = marked_orders(orders, parties)
    hour = ibis.ifelse(marked.buyer_id.isnull(), ibis.null("int8"), marked.ordered_at.hour().cast("int8"))
    return marked.mutate(hour=hour).select(*_COLUMNS)


def _stored_orders_of(rows: Rows, fresh: ir.Table, parties: ir.Table) -> ir.Table | None:
    """Return the stored orders of buyers who have ordered again; None where nothing is stored."""
    if "orders" not in rows.stored:
        return None
    return rows.keep(_slim(rows.stored["orders"].semi_join(fresh, "buyer_id"), parties))


def _lone_before(again: ir.Table) -> ir.Table:
    once = again.group_by("buyer_id").having(again.count() == 1).agg()
    return again.filter(again.insider.isnull()).semi_join(once, "buyer_id")


def _lone(rows: ir.Table, sign: int) -> ir.Table:
    # `largest` need not be taken back: the buyer whom it was taken from has spent at least as much wherever he counts.
    amount = exact(rows.amount_micros)
    return rows.group_by(*BASE_KEYS).agg(
        buyers=(rows.count() * sign).cast("int64"),
        squares=((amount * amount).sum() * sign).cast(EXACT),
        largest=rows.amount_micros.max() if sign > 0 else rows.amount_micros.max() * 0,
    )


def _regular(rows: ir.Table) -> ir.Table:
    return rows.group_by(*BASE_KEYS, "insider", "buyer_id", "hour").agg(
        orders=rows.count().cast("int64"), spent=stored_total(rows.amount_micros)
    )
