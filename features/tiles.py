"""Daily tiles: accepted rows added up by store, day and first midnight of visibility.

Tiles add up: the tiles of two deliveries are the tiles of both together. A tile of a later `visible_from` never changes
an earlier one, so that a midnight always sees the same.

Buyers are counted exactly without reading orders again. A one-time buyer, with a single order in all the data, adds up
like a fact: one buyer, one order and one square of spending. Repeat buyers are kept as rows by id. When a one-time
buyer orders again, rows of -1 remove the buyer from the one-time tiles, and the buyer becomes a repeat buyer; no result
depends on which of the two a buyer is. Orders without a buyer id (guests) are repeat-buyer rows without id and hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from features.exact import EXACT, exact, stored_total
from features.facts import FACTS, LATE_DELIVERY_HOURS, LATE_SHIPPING_HOURS, QUICK_REFUND_HOURS, TILE_KEYS, WEEKEND, Fact
from features.festivals import festival_days
from features.schema import BY_NAME

if TYPE_CHECKING:
    import ibis.expr.types as ir

ONE_TIME: Final = "lone_buyers"
REPEAT: Final = "regular_buyers"

_BASE_KEYS: Final = ("store_id", "day", "visible_from")

_WITH_RELATED_PARTY: Final = frozenset({"orders", "refunds", "fulfilments"})
"""Tables whose tiles have the key `insider` too: the buyer's id if it is the id of a store or of an owner of stores,
else null. Whether an insider is a related party of the seller depends on the midnight."""

_ORDER_COLUMNS: Final = ("order_id", "ordered_at", "buyer_id", "channel", "visible_from")
_STORED_COLUMNS: Final = (*_ORDER_COLUMNS, "store_id", "amount_micros")
_BUYER_COLUMNS: Final = (*_BASE_KEYS, "insider", "buyer_id", "hour", "amount_micros")
_LATE_HOURS: Final = {"shipped": LATE_SHIPPING_HOURS, "delivered": LATE_DELIVERY_HOURS}


@dataclass(frozen=True)
class Rows:
    """Accepted rows by table: `fresh` rows to add up now, and `stored` rows that were added up before.

    `keep` computes a table that is read several times, if the engine has a place for it.
    """

    fresh: Mapping[str, ir.Table]
    stored: Mapping[str, ir.Table]
    keep: Callable[[ir.Table], ir.Table] = lambda table: table

    def all(self, name: str) -> ir.Table | None:
        """Return fresh and stored rows of a table; None without rows."""
        parts = [rows[name] for rows in (self.fresh, self.stored) if name in rows]
        return _union(parts) if parts else None


def _union(parts: list[ir.Table]) -> ir.Table:
    import ibis

    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def load_stored_orders(rows: Rows) -> Rows:
    """Return the same rows with only those stored orders that fresh rows need, found in one scan.

    These are orders that a fresh refund or parcel names, and orders of buyers with fresh orders. `tiles` and
    `buyer_tiles` return the same for them as for all stored orders.

    Example: a day's 68,000 orders, 6,000 refunds and 26,000 parcels need 76,000 of 20 million orders.
    """
    import ibis

    if "orders" not in rows.stored:
        return rows
    orders, fresh = rows.stored["orders"], rows.fresh
    named = [fresh[name].select("order_id") for name in ("refunds", "fulfilments") if name in fresh]
    conditions = [orders.order_id.isin(_union(named).order_id)] if named else []
    if "orders" in fresh:
        conditions.append(orders.buyer_id.isin(fresh["orders"].buyer_id))
    needed = (orders.filter(ibis.or_(*conditions)) if conditions else orders.limit(0)).select(*_STORED_COLUMNS)
    return replace(rows, stored={**rows.stored, "orders": rows.keep(needed)})


def tiles(rows: Rows) -> Iterator[tuple[str, ir.Table]]:
    """Yield the tiles that fresh rows add to the stored ones, by the name of their table.

    Each has store_id, day, visible_from, `insider` (see `_WITH_RELATED_PARTY`), the further keys of its table
    (TILE_KEYS) and an int64 column per fact. A refund or fulfilment is joined with its order, whichever delivery
    contains either.
    """
    parties = rows.keep(_parties(rows))
    for name in TILE_KEYS:
        for part in _parts(name, rows, parties):
            yield name, _aggregate(name, part)


def late_related_parties(rows: Rows) -> ir.IntegerScalar | None:
    """Return the number of stored orders whose buyer becomes an insider with fresh `stores`: their tiles are wrong.

    None if that is impossible: no stored orders, or no fresh stores.
    """
    if "stores" not in rows.fresh or "orders" not in rows.stored:
        return None
    new = _parties(Rows({"stores": rows.fresh["stores"]}, {}))
    if "stores" in rows.stored:
        new = new.anti_join(_parties(Rows({"stores": rows.stored["stores"]}, {})), "insider")
    orders = rows.stored["orders"]
    count: ir.IntegerScalar = orders.semi_join(new, orders.buyer_id == new.insider).count()
    return count


def _parties(rows: Rows) -> ir.Table:
    """Return every id of a store or of an owner of stores, in the column `insider`."""
    import ibis

    stores = rows.all("stores")
    if stores is None:
        return ibis.memtable({"insider": []}, schema={"insider": "string"})
    return ibis.union(stores.select(insider="seller_id"), stores.select(insider="store_id"), distinct=True)


def _marked_orders(orders: ir.Table, parties: ir.Table) -> ir.Table:
    """Add `day` and `insider` to orders."""
    marked = orders.left_join(parties, orders.buyer_id == parties.insider)
    return marked.mutate(day=marked.ordered_at.cast("date"))


def _parts(name: str, rows: Rows, parties: ir.Table) -> Iterator[ir.Table]:
    if name in ("refunds", "fulfilments"):
        with_columns = _refunds if name == "refunds" else _fulfilments
        for joined in _with_orders(name, rows):
            yield with_columns(_marked_orders(joined, parties))
    if name not in rows.fresh:
        return
    fresh = rows.fresh[name]
    match name:
        case "orders":
            yield _orders(_marked_orders(fresh, parties))
        case "refunds":
            yield _refunds_without_order(fresh)
        case "ratings":
            # as decimals, since 4.395 stars are 4.40 and not the double just below
            stars = (fresh.stars.cast("decimal(9, 6)") * 100).round().cast("int64")
            yield fresh.mutate(star_hundredths=stars * fresh.ratings)
        case "fulfilments":
            return  # a parcel counts on the day of its order only
        case _:
            yield fresh.mutate(day=fresh[str(BY_NAME[name].event_time)].cast("date"))


def _with_orders(name: str, rows: Rows) -> Iterator[ir.Table]:
    """Yield rows of `name` joined with the orders that they name, where one of the two is fresh."""
    orders = [part["orders"].select(*_ORDER_COLUMNS) for part in (rows.fresh, rows.stored) if "orders" in part]
    if name in rows.fresh and orders:
        yield _join_orders(rows.fresh[name], _union(orders))
    if name in rows.stored and "orders" in rows.fresh:
        yield _join_orders(rows.stored[name], rows.fresh["orders"])


def _join_orders(rows: ir.Table, orders: ir.Table) -> ir.Table:
    import ibis

    named = orders.select(*_ORDER_COLUMNS).rename(order_channel="channel", order_seen="visible_from")
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

    quick = rows.refunded_at < rows.ordered_at + ibis.interval(hours=QUICK_REFUND_HOURS)
    returned = rows.reason.isin(("return", "refund"))
    return rows.mutate(
        speed=ibis.ifelse(quick & (rows.reason != "cancel"), "quick", "usual"),
        come_back=ibis.ifelse(returned, rows.order_channel, "none"),
        dated=ibis.ifelse(returned, "return", "none"),
        days_after=rows.refunded_at.cast("date").delta(rows.day, unit="day").cast("int64"),
    )


def _refunds_without_order(refunds: ir.Table) -> ir.Table:
    import ibis

    rows = refunds.filter(refunds.order_id.isnull())
    return rows.mutate(
        day=rows.refunded_at.cast("date"),
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
    late = (
        ((rows.event == event) & (rows["at"] > rows.ordered_at + ibis.interval(hours=limit)), f"{event} late")
        for event, limit in _LATE_HOURS.items()
    )
    return rows.mutate(pace=ibis.cases(*late, else_="ok"), hours=ibis.greatest(hours, 0).cast("int64"))


def _aggregate(name: str, rows: ir.Table) -> ir.Table:
    keys = (*_BASE_KEYS, *(("insider",) if name in _WITH_RELATED_PARTY else ()), *TILE_KEYS[name])
    return rows.group_by(*keys).agg(**{fact.name: _sum(fact, rows) for fact in FACTS if fact.table == name})


def _sum(fact: Fact, rows: ir.Table) -> ir.Value:
    where = None if fact.where is None else rows[fact.where[0]].isin(fact.where[1])
    return rows.count(where=where) if fact.adds is None else stored_total(rows[fact.adds], where)


def buyer_tiles(rows: Rows) -> Iterator[tuple[str, ir.Table]]:
    """Yield the buyer tiles that fresh orders add to the stored ones: ONE_TIME, then REPEAT.

    ONE_TIME has `buyers`, `squares` (of micro-USD, EXACT) and `largest` (micro-USD) by store, day and visibility.
    REPEAT has `orders` and `spent` by store, day, visibility, insider, buyer and hour of the day (UTC). Orders of
    insiders are always in REPEAT, since they may be no sales.
    """
    if "orders" not in rows.fresh:
        return
    parties = rows.keep(_parties(rows))
    orders = _buyer_orders(rows.fresh["orders"], parties)
    fresh, guests = orders.filter(orders.buyer_id.notnull()), orders.filter(orders.buyer_id.isnull())
    earlier = _earlier_orders(rows, fresh, parties)
    known = fresh if earlier is None else _union([fresh, earlier])
    returning = rows.keep(known.group_by("buyer_id").having(known.count() > 1).agg())
    once = fresh.anti_join(returning, "buyer_id")
    yield ONE_TIME, _one_time(once.filter(once.insider.isnull()), 1)
    repeat = [fresh.semi_join(returning, "buyer_id"), once.filter(once.insider.notnull()), guests]
    if earlier is not None:
        former = rows.keep(_former_one_time(earlier))
        yield ONE_TIME, _one_time(former, -1)
        repeat.append(former)
    yield REPEAT, _repeat(_union(repeat))


def _buyer_orders(orders: ir.Table, parties: ir.Table) -> ir.Table:
    import ibis

    marked = _marked_orders(orders, parties)
    hour = ibis.ifelse(marked.buyer_id.isnull(), ibis.null("int8"), marked.ordered_at.hour().cast("int8"))
    return marked.mutate(hour=hour).select(*_BUYER_COLUMNS)


def _earlier_orders(rows: Rows, fresh: ir.Table, parties: ir.Table) -> ir.Table | None:
    """Return the stored orders of buyers with fresh orders; None if nothing is stored."""
    if "orders" not in rows.stored:
        return None
    return rows.keep(_buyer_orders(rows.stored["orders"].semi_join(fresh, "buyer_id"), parties))


def _former_one_time(earlier: ir.Table) -> ir.Table:
    once = earlier.group_by("buyer_id").having(earlier.count() == 1).agg()
    return earlier.filter(earlier.insider.isnull()).semi_join(once, "buyer_id")


def _one_time(rows: ir.Table, sign: int) -> ir.Table:
    # `largest` is not removed with the buyer: the repeat-buyer rows have at least the same spending wherever it counts
    amount = exact(rows.amount_micros)
    return rows.group_by(*_BASE_KEYS).agg(
        buyers=(rows.count() * sign).cast("int64"),
        squares=((amount * amount).sum() * sign).cast(EXACT),
        largest=rows.amount_micros.max() if sign > 0 else rows.amount_micros.max() * 0,
    )


def _repeat(rows: ir.Table) -> ir.Table:
    return rows.group_by(*_BASE_KEYS, "insider", "buyer_id", "hour").agg(
        orders=rows.count().cast("int64"), spent=stored_total(rows.amount_micros)
    )
