"""Daily tiles: operating rows added up to store x day x first midnight of visibility, once and for every purpose.

Tiles add up: those of two deliveries are the tiles of both together. A tile of a later `visible_from` never changes
one of an earlier, so what a midnight could see stays what it saw.

Buyers, counted exactly without scanning orders anew: most come once and add up like any fact, few are kept by id.

Whoever has ordered once in all the data is `lone`: he is one buyer, one order and one square of spending on his day,
whatever the window. `regular` buyers are kept as rows. Which of the two a buyer is changes no result, for both say
the same of him: a lone buyer who comes back is taken out of the lone by rows of -1 and kept as a regular from then on.

Orders without a buyer id (guests) are regular rows without a buyer and without an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from features.exact import EXACT, exact, stored_total
from features.facts import FACTS, LATE_DELIVERY_HOURS, LATE_SHIPPING_HOURS, QUICK_REFUND_HOURS, TILE_KEYS, WEEKEND, Fact
from features.festivals import festival_days

if TYPE_CHECKING:
    import ibis.expr.types as ir


BASE_KEYS: Final = ("store_id", "day", "visible_from")


OF_ORDERS: Final = frozenset({"orders", "refunds", "fulfilments"})
"""Tables whose tiles have the key `insider` too: the buyer's id where it is that of a store or of a holder of stores,
else null. Whether an insider is one of the seller's own accounts is known only as of T."""


_COLUMN_NAMES: Final = ("order_id", "ordered_at", "buyer_id", "channel", "visible_from")
"""Of an order, what a refund or parcel that names it must know."""


_STORED_COLUMNS: Final = (*_COLUMN_NAMES, "store_id", "amount_micros")
"""Of a stored order, what fresh rows may ask for."""


@dataclass(frozen=True)
class Rows:
    """Accepted rows by table, as intake leaves them: `fresh` ones to add up now, and `stored`, added up before.

    `keep` computes a table that is asked more than once, where the engine has a place for it.
    """

    fresh: Mapping[str, ir.Table]
    stored: Mapping[str, ir.Table]
    keep: Callable[[ir.Table], ir.Table] = lambda table: table

    def all(self, name: str) -> ir.Table | None:
        """Return fresh and stored rows of a table; None where there are none."""
        import ibis

        parts = [rows[name] for rows in (self.fresh, self.stored) if name in rows]
        return (ibis.union(*parts) if len(parts) > 1 else parts[0]) if parts else None


def load_stored_orders(rows: Rows) -> Rows:
    """Return the same rows, of the stored orders only those that fresh rows ask for, found in one look at all of them.

    That is orders that a fresh refund or parcel names, and those of buyers who have ordered again: `tiles` and
    `buyer_tiles` make of these what they would make of all.

    Example: a day's 68,000 orders, 6,000 refunds and 26,000 parcels ask for 76,000 of 20 million orders.
    """
    import ibis

    if "orders" not in rows.stored:
        return rows
    orders, fresh = rows.stored["orders"], rows.fresh
    named = [fresh[name].select("order_id") for name in ("refunds", "fulfilments") if name in fresh]
    asked = (
        [orders.order_id.isin(ibis.union(*named).order_id if len(named) > 1 else named[0].order_id)] if named else []
    )
    if "orders" in fresh:
        asked.append(orders.buyer_id.isin(fresh["orders"].buyer_id))
    wanted = (orders.filter(ibis.or_(*asked)) if asked else orders.limit(0)).select(*_STORED_COLUMNS)
    return replace(rows, stored={**rows.stored, "orders": rows.keep(wanted)})


def tiles(rows: Rows) -> Iterator[tuple[str, ir.Table]]:
    """Yield the tiles that fresh rows add to those of the stored ones, by the name of their table.

    Each has store_id, day, visible_from, `insider` (see OF_ORDERS), the further keys of its table (TILE_KEYS) and an
    int64 column per fact. A row of refunds or fulfilments meets its order in whichever delivery either came.
    """
    parties = rows.keep(_parties(rows))
    for name in TILE_KEYS:
        for part in _parts(name, rows, parties):
            yield name, part


def late_related_parties(rows: Rows) -> ir.IntegerScalar | None:
    """Return the number of stored orders whose buyer only fresh `stores` show to be an insider: their tiles are wrong.

    None where that cannot be: no stored orders, or no fresh stores.
    """
    if "stores" not in rows.fresh or "orders" not in rows.stored:
        return None
    new = _parties(Rows({"stores": rows.fresh["stores"]}, {}))
    if "stores" in rows.stored:
        new = new.anti_join(_parties(Rows({"stores": rows.stored["stores"]}, {})), "insider")
    orders = rows.stored["orders"]
    count: ir.IntegerScalar = orders.semi_join(new, orders.buyer_id == new.insider).count()
    return count


def marked_orders(orders: ir.Table, parties: ir.Table) -> ir.Table:
    """Return orders with `day` and `insider`."""
    marked = orders.left_join(parties, orders.buyer_id == parties.insider)
    return marked.mutate(day=marked.ordered_at.cast("date"))


def parties_of(rows: Rows) -> ir.Table:
    """Return every id that a store or a holder of stores ever bore, in the column `insider`."""
    return rows.keep(_parties(rows))


def _parties(rows: Rows) -> ir.Table:
    import ibis

    stores = rows.all("stores")
    if stores is None:
        return ibis.memtable({"insider": []}, schema={"insider": "string"})
    return ibis.union(stores.select(insider="seller_id"), stores.select(insider="store_id"), distinct=True)


def _parts(name: str, rows: Rows, parties: ir.Table) -> Iterator[ir.Table]:
    if name in ("refunds", "fulfilments"):
        described = _refunds if name == "refunds" else _fulfilments
        for joined in _with_orders(name, rows):
            yield _aggregate(name, described(marked_orders(joined, parties)))
    if name not in rows.fresh:
        return
    fresh = rows.fresh[name]
    match name:
        case "orders":
            yield _aggregate(name, _orders(marked_orders(fresh, parties)))
        case "refunds":
            yield _aggregate(name, _loose_refunds(fresh))
        case "ratings":
            # As decimals, for 4.395 stars are 4.40 and not the double just below.
            stars = (fresh.stars.cast("decimal(9, 6)") * 100).round().cast("int64")
            yield _aggregate(name, fresh.mutate(star_hundredths=stars * fresh.ratings))
        case "purchases":
            yield _aggregate(name, fresh.mutate(day=fresh.purchased_at.cast("date")))
        case "traffic":
            yield _aggregate(name, fresh)


def _with_orders(name: str, rows: Rows) -> Iterator[ir.Table]:
    """Yield rows of `name` beside the orders that they name, where one of the two is fresh."""
    import ibis

    orders = [of["orders"].select(*_COLUMN_NAMES) for of in (rows.fresh, rows.stored) if "orders" in of]
    if name in rows.fresh and orders:
        yield _joined_tables(rows.fresh[name], ibis.union(*orders) if len(orders) > 1 else orders[0])
    if name in rows.stored and "orders" in rows.fresh:
        yield _joined_tables(rows.stored[name], rows.fresh["orders"])


def _joined_tables(rows: ir.Table, orders: ir.Table) -> ir.Table:
    # Both must be visible before either counts.
    import ibis

    named = orders.select(*_COLUMN_NAMES).rename(order_channel="channel", order_seen="visible_from")
    joined = rows.inner_join(named, "order_id")
    return joined.mutate(visible_from=ibis.greatest(joined.visible_from, joined.order_seen))


def _orders(rows: ir.Table) -> ir.Table:
    import ibis

    weekend = rows.day.day_of_week.index().isin(WEEKEND)
    return rows.mutate(
        season=ibis.ifelse(rows.day.isin(festival_days()), "festival", "plain"),
        weekpart=ibis.ifelse(weekend, "weekend", "week"),
    )


def _refunds(rows: ir.Table) -> ir.Table:
    import ibis

    soon = rows.refunded_at < rows.ordered_at + ibis.interval(hours=QUICK_REFUND_HOURS)
    returned = rows.reason.isin(("return", "refund"))
    return rows.mutate(
        speed=ibis.ifelse(soon & (rows.reason != "cancel"), "quick", "usual"),
        come_back=ibis.ifelse(returned, rows.order_channel, "none"),
        dated=ibis.ifelse(returned, "return", "none"),
        days_after=rows.refunded_at.cast("date").delta(rows.day, unit="day").cast("int64"),
    )


def _loose_refunds(refunds: ir.Table) -> ir.Table:
    import ibis

    loose = refunds.filter(refunds.order_id.isnull())
    return loose.mutate(
        day=loose.refunded_at.cast("date"),
        insider=ibis.null("string"),
        speed=ibis.literal("usual"),
        come_back=ibis.literal("none"),
        dated=ibis.literal("none"),
        days_after=ibis.literal(0, "int64"),
    )


def _fulfilments(rows: ir.Table) -> ir.Table:
    import ibis

    seconds = rows["at"].truncate("s").epoch_seconds() - rows.ordered_at.truncate("s").epoch_seconds()
    hours = seconds.cast("int64") // 3600
    after = {event: _later(rows, limit) for event, limit in _LIMITS.items()}
    pace = ibis.cases(*((((rows.event == event) & late), f"{event} late") for event, late in after.items()), else_="ok")
    return rows.mutate(pace=pace, hours=ibis.greatest(hours, 0).cast("int64"))


_LIMITS: Final = {"shipped": LATE_SHIPPING_HOURS, "delivered": LATE_DELIVERY_HOURS}


def _later(rows: ir.Table, hours: int) -> ir.BooleanValue:
    import ibis

    return rows["at"] > rows.ordered_at + ibis.interval(hours=hours)


def _aggregate(name: str, rows: ir.Table) -> ir.Table:
    keys = (*BASE_KEYS, *(("insider",) if name in OF_ORDERS else ()), *TILE_KEYS[name])
    return rows.group_by(*keys).agg(**{fact.name: _sum(fact, rows) for fact in FACTS if fact.table == name})


def _sum(fact: Fact, rows: ir.Table) -> ir.Value:
    where = None if fact.where is None else rows[fact.where[0]].isin(fact.where[1])
    if fact.adds is None:
        return rows.count(where=where)
    return stored_total(rows[fact.adds], where)


ONE_TIME: Final = "lone_buyers"


REPEAT: Final = "regular_buyers"


_BUYER_COLUMNS: Final = (*BASE_KEYS, "insider", "buyer_id", "hour", "amount_micros")


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
    everyone = _narrow(rows.fresh["orders"], parties)
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
        yield ONE_TIME, _one_time(part, sign)
    yield REPEAT, _repeat(ibis.union(*regular))


def _narrow(orders: ir.Table, parties: ir.Table) -> ir.Table:
    import ibis

    marked = marked_orders(orders, parties)
    hour = ibis.ifelse(marked.buyer_id.isnull(), ibis.null("int8"), marked.ordered_at.hour().cast("int8"))
    return marked.mutate(hour=hour).select(*_BUYER_COLUMNS)


def _stored_orders_of(rows: Rows, fresh: ir.Table, parties: ir.Table) -> ir.Table | None:
    """Return the stored orders of buyers who have ordered again; None where nothing is stored."""
    if "orders" not in rows.stored:
        return None
    return rows.keep(_narrow(rows.stored["orders"].semi_join(fresh, "buyer_id"), parties))


def _lone_before(again: ir.Table) -> ir.Table:
    once = again.group_by("buyer_id").having(again.count() == 1).agg()
    return again.filter(again.insider.isnull()).semi_join(once, "buyer_id")


def _one_time(rows: ir.Table, sign: int) -> ir.Table:
    # `largest` need not be taken back: the buyer whom it was taken from has spent at least as much wherever he counts.
    amount = exact(rows.amount_micros)
    return rows.group_by(*BASE_KEYS).agg(
        buyers=(rows.count() * sign).cast("int64"),
        squares=((amount * amount).sum() * sign).cast(EXACT),
        largest=rows.amount_micros.max() if sign > 0 else rows.amount_micros.max() * 0,
    )


def _repeat(rows: ir.Table) -> ir.Table:
    return rows.group_by(*BASE_KEYS, "insider", "buyer_id", "hour").agg(
        orders=rows.count().cast("int64"), spent=stored_total(rows.amount_micros)
    )
