"""Daily tiles: operating rows added up to store x day x first midnight of visibility, once and for every purpose.

A tile of a later `visible_from` never changes one of an earlier, so what a midnight could see stays what it saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from features.facts import FACTS, QUICK_REFUND_HOURS, Fact

if TYPE_CHECKING:
    import ibis.expr.types as ir

_KEY = ("store_id", "day", "visible_from", "insider")
_EVENT_DAY = {"traffic": "day", "purchases": "purchased_at"}


def daily_tiles(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Add accepted rows up to tiles.

    Args:
        tables: accepted rows by table name, `stores` and `orders` among them; absent tables are zero
            in every tile, and made missing later by whoever knows from when on they were delivered.

    Returns:
        One row per store_id, day, visible_from and insider (the buyer's id where it is that of a store or its
        owner, else null), with one integer column per fact.
    """
    import ibis

    rows = {"orders": marked_orders(tables)}
    if "refunds" in tables:
        rows["refunds"] = _refund_rows(tables["refunds"], rows["orders"])
    for name, event_day in _EVENT_DAY.items():
        if name in tables:
            table = tables[name]
            rows[name] = table.mutate(day=table[event_day].cast("date"), insider=ibis.null("string"))
    return (
        ibis.union(*(_added_up(name, table) for name, table in rows.items()))
        if len(rows) > 1
        else _added_up("orders", rows["orders"])
    )


def marked_orders(tables: Mapping[str, ir.Table]) -> ir.Table:
    """Return orders with `day`, and `insider`: the buyer's id where any store or its owner ever bore it, else null.

    Insiders may come from rows that a midnight does not see yet, so null-or-not says nothing by itself: only whether
    the id is one of the seller's own as of then. Whoever holds a store then is named by a row visible then.
    """
    import ibis

    orders, stores = tables["orders"], tables["stores"]
    parties = ibis.union(stores.select(insider="seller_id"), stores.select(insider="store_id"), distinct=True)
    return orders.left_join(parties, orders.buyer_id == parties.insider).mutate(day=orders.ordered_at.cast("date"))


def _refund_rows(refunds: ir.Table, orders: ir.Table) -> ir.Table:
    # A refund belongs to its order's day, and counts once both are visible; where it names none, to its own day.
    import ibis

    named = refunds.filter(refunds.order_id.notnull())
    undone = orders.select("order_id", "ordered_at", "insider", order_day="day", order_visible_from="visible_from")
    joined = named.inner_join(undone, "order_id")
    at_once = (joined.reason != "cancel") & (
        joined.refunded_at < joined.ordered_at + ibis.interval(hours=QUICK_REFUND_HOURS)
    )
    columns = ("store_id", "amount_micros", "reason")
    of_orders = joined.select(
        *columns,
        day=joined.order_day,
        visible_from=ibis.greatest(joined.visible_from, joined.order_visible_from),
        insider=joined.insider,
        speed=ibis.ifelse(at_once, "quick", "usual"),
    )
    loose = refunds.filter(refunds.order_id.isnull())
    of_none = loose.select(
        *columns,
        day=loose.refunded_at.cast("date"),
        visible_from=loose.visible_from,
        insider=ibis.null("string"),
        speed=ibis.literal("usual"),
    )
    return ibis.union(of_orders, of_none)


def _added_up(table_name: str, rows: ir.Table) -> ir.Table:
    import ibis

    own = [fact for fact in FACTS if fact.table == table_name]
    tiles = rows.group_by(*_KEY).agg(**{fact.name: _sum(fact, rows) for fact in own})
    zero = ibis.literal(0, "int64")
    return tiles.select(*_KEY, **{fact.name: tiles[fact.name].cast("int64") if fact in own else zero for fact in FACTS})


def _sum(fact: Fact, rows: ir.Table) -> ir.Value:
    import ibis

    where = None if fact.where is None else rows[fact.where[0]].isin(fact.where[1])
    if fact.adds is None:
        return rows.count(where=where)
    return ibis.coalesce(rows[fact.adds].sum(where=where), 0)
