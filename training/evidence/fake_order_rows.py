"""Fake orders as accepted rows: placed, paid back, and dressed up with visits, parcels and ratings, as a mix says.

Nothing is drawn at random: places and times are spread evenly, so that a gain is the mix's and not luck's.

A store of copies: the accepted rows of a few sellers, once for each name of a copy, with ids of its own.

Rows are those that intake accepted, amounts and times of visibility included, so that a copy's features are those of
its original, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from features.facts import TILE_KEYS
from features.ingest import OperatingStore, StoredDelivery
from features.schema import BY_NAME, Kind
from features.store.tiles import SOURCES
from training.evidence.fake_order_strategies import BUDGET_SHARE, SalesPattern, Strategy

if TYPE_CHECKING:
    import pyarrow as pa


_DAY: Final = np.timedelta64(1, "D")


_HOUR: Final = np.timedelta64(1, "h")


_OPENS: Final = 8


_OPEN_HOURS: Final = 12
"""Orders come from 8:00, an hour apart, so that one account's are no rush and all are known before the day ends."""


_SHIPPED_AFTER: Final = 3 * _HOUR


_DELIVERED_AFTER: Final = 8 * _DAY


_STARS: Final = 5.0


_ROUNDING: Final = 1e-9


Columns = dict[str, Any]
"""Arrays by column name."""


@dataclass(frozen=True)
class FakeOrders:
    """Fake orders of many sellers, a value an order.

    `like` is the place of the true order that it resembles in all but buyer, time and amount; `shown` has its visits,
    visitors and carts, shape (orders, 3).
    """

    order_id: NDArray[Any]
    buyer_id: NDArray[Any]
    at: NDArray[np.datetime64]
    micros: NDArray[np.int64]
    like: NDArray[np.int64]
    shown: NDArray[np.int64]
    refunded: NDArray[np.bool_]

    @property
    def day(self) -> NDArray[np.datetime64]:
        """The day of each order."""
        days: NDArray[np.datetime64] = self.at.astype("datetime64[D]")
        return days


def budget(seller: SalesPattern) -> int:
    """Return the face value of a seller's fake orders, micro-USD."""
    return int(seller.monthly * BUDGET_SHARE)


def place_orders(seller: SalesPattern, mix: Strategy) -> FakeOrders:
    """Spend a seller's budget as a mix says, to the last micro-dollar."""
    spent = budget(seller)
    count = mix.count(spent, seller.usual)
    number = np.arange(count)
    account = number % mix.accounts if mix.accounts else number
    stranger = np.array([f"F-{seller.seller_id}-{each}" for each in account], dtype=object)
    micros = np.full(count, spent // count)
    micros[0] += spent - micros.sum()
    return FakeOrders(
        order_id=np.array([f"F-{seller.seller_id}-{each}" for each in number], dtype=object),
        buyer_id=np.where(_every(count, mix.own), seller.account, stranger),
        at=_times(seller.as_of, _ago(seller, mix, count)),
        micros=micros,
        like=seller.like[number % len(seller.like)],
        shown=np.tile(np.maximum(np.round(seller.shown), 1).astype(np.int64), (count, 1)),
        refunded=_every(count, mix.refunded),
    )


def _ago(seller: SalesPattern, mix: Strategy, count: int) -> NDArray[np.int64]:
    """Return for each order how many days before the midnight it is placed."""
    window = np.arange(mix.ended + 1, mix.ended + mix.days + 1)
    quiet = np.setdiff1d(window, seller.busy) if mix.quiet else window
    days = quiet if len(quiet) else window
    return days[((np.arange(count) + 0.5) * len(days) / count).astype(np.int64)]


def _times(as_of: np.datetime64, ago: NDArray[np.int64]) -> NDArray[np.datetime64]:
    hour = _OPENS + np.arange(len(ago)) % _OPEN_HOURS
    times: NDArray[np.datetime64] = np.asarray(as_of.astype("datetime64[us]") - (ago * _DAY - hour * _HOUR))
    return times


def _every(count: int, share: float) -> NDArray[np.bool_]:
    """Return True for a share of the orders, evenly among them: of 4 and a half, the second and the fourth."""
    chosen: NDArray[np.bool_] = np.diff(np.floor(np.arange(count + 1) * share + _ROUNDING)) > 0
    return chosen


def generate_rows(sellers: Sequence[SalesPattern], mix: Strategy, rows: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the rows that a mix adds for some sellers, by table and in the form of the true ones.

    A table that the true rows lack stays absent: nobody can fake in what the platform does not deliver. A visit or a
    rating is a row of its own beside the store's others of that day, since tiles add them up.
    """
    placed = [place_orders(seller, mix) for seller in sellers]
    fakes = FakeOrders(
        **{name: np.concatenate([getattr(each, name) for each in placed]) for name in FakeOrders.__annotations__}
    )
    orders = _order_rows(fakes, mix, rows["orders"])
    made = {"orders": orders}
    if fakes.refunded.any():
        made["refunds"] = _refunds(fakes, mix, orders)
    makers = {"traffic": _traffic, "fulfilments": _fulfilments, "ratings": _ratings}
    made |= {name: makers[name](fakes, orders) for name in mix.beside}
    return {name: _table(columns, rows[name]) for name, columns in made.items() if name in rows}


def _order_rows(fakes: FakeOrders, mix: Strategy, true: pa.Table) -> Columns:
    alike = true.take(fakes.like)
    columns: Columns = {name: alike[name].to_numpy() for name in alike.column_names}
    amount = columns["amount"] * fakes.micros / np.maximum(columns["amount_micros"], 1)
    return {
        **columns,
        "order_id": fakes.order_id,
        "buyer_id": fakes.buyer_id,
        "ordered_at": fakes.at,
        "known_at": fakes.at,
        "amount": np.maximum(np.round(amount, 2), 0.01),
        "amount_micros": fakes.micros,
        "channel": columns["channel"] if mix.channel is None else np.full(len(amount), mix.channel, dtype=object),
        "visible_from": fakes.day + _DAY,
    }


def _refunds(fakes: FakeOrders, mix: Strategy, orders: Columns) -> Columns:
    back = fakes.refunded
    at = fakes.at[back] + mix.refund_after * _DAY
    return {
        **{name: orders[name][back] for name in ("order_id", "store_id", "amount", "currency", "amount_micros")},
        "refund_id": fakes.order_id[back],
        "refunded_at": at,
        "known_at": at,
        "reason": np.full(len(at), "refund", dtype=object),
        "visible_from": at.astype("datetime64[D]") + _DAY,
    }


def _traffic(fakes: FakeOrders, orders: Columns) -> Columns:
    nothing = np.zeros(len(fakes.at), dtype=np.int64)
    return {
        **_of_day(fakes, orders),
        "channel": np.full(len(nothing), "search", dtype=object),
        **{name: fakes.shown[:, n] for n, name in enumerate(("visits", "visitors", "add_to_carts"))},
        "ad_spend": nothing.astype(np.float64),
        "currency": orders["currency"],
        "amount_micros": nothing,
    }


def _ratings(fakes: FakeOrders, orders: Columns) -> Columns:
    ones = np.ones(len(fakes.at), dtype=np.int64)
    return {**_of_day(fakes, orders), "ratings": ones, "stars": ones * _STARS}


def _of_day(fakes: FakeOrders, orders: Columns) -> Columns:
    """What a day's report has in common: it stands at the order's day and is known when that is over."""
    over = fakes.day + _DAY
    return {
        "store_id": orders["store_id"],
        "day": fakes.day,
        "known_at": over.astype("datetime64[us]"),
        "visible_from": over,
    }


def _fulfilments(fakes: FakeOrders, orders: Columns) -> Columns:
    at = np.concatenate([fakes.at + _SHIPPED_AFTER, fakes.at + _DELIVERED_AFTER])
    return {
        **{name: np.tile(orders[name], 2) for name in ("order_id", "store_id")},
        "event": np.repeat(np.array(["shipped", "delivered"], dtype=object), len(fakes.at)),
        "at": at,
        "known_at": at,
        "visible_from": at.astype("datetime64[D]") + _DAY,
    }


def _table(columns: Columns, true: pa.Table) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: columns[name] for name in true.column_names}).cast(true.schema)


_SEPARATOR: Final = ":"


NamedRows = Iterable[tuple[str, "pa.Table"]]
"""Rows with the name of their table; a table may come in many parts."""


def rows_of(store: OperatingStore, sellers: Iterable[str], last: date) -> dict[str, pa.Table]:
    """Return the accepted rows of sellers, by table, that are visible as of a midnight.

    An order that their refunds or parcels name is among them, whoever's store it came to.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    def read(name: str, column: str, among: Any) -> pa.Table:
        chosen = ds.field(column).isin(among) & (ds.field("visible_from") <= pa.scalar(last))
        return _dataset(store, name).to_table(filter=chosen)

    who = pa.array(sellers)
    held = read("stores", "seller_id", who)["store_id"].unique()
    of_stores = ("stores", *TILE_KEYS)
    rows = {name: read(name, "store_id", held) for name in of_stores if store.files(name)}
    rows["sellers"] = read("sellers", "seller_id", who)
    if store.files("loans"):
        rows["loans"] = read("loans", "seller_id", who)
        lent = rows["loans"]["loan_id"].unique()
        rows |= {name: read(name, "loan_id", lent) for name in ("instalments", "payments") if store.files(name)}
    elsewhere = _with_names(rows).difference(rows["orders"]["order_id"].to_pylist())
    if elsewhere:
        rows["orders"] = pa.concat_tables([rows["orders"], read("orders", "order_id", pa.array(elsewhere))])
    return rows


def _with_names(rows: Mapping[str, pa.Table]) -> set[str | None]:
    """Return the orders that refunds and parcels name."""
    named = [rows[name]["order_id"].to_pylist() for name in ("refunds", "fulfilments") if name in rows]
    return set().union(*named) - {None}


def first_rows(store: OperatingStore) -> Iterator[tuple[str, pa.Table]]:
    """Yield, for each table, a row of those that were visible first: before it, nobody had delivered the table."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    for name in SOURCES:
        if store.rows(name):
            every = _dataset(store, name)
            first = pc.min(every.to_table(columns=["visible_from"])["visible_from"])
            yield name, every.head(1, filter=ds.field("visible_from") == first)


def with_new_ids(rows: Mapping[str, pa.Table], copy: str) -> Iterator[tuple[str, pa.Table]]:
    """Yield rows by table with every id made the copy's own; example: `last week:S-000001`."""
    import pyarrow.compute as pc

    for name, table in rows.items():
        ids = [column.name for column in BY_NAME[name].columns if column.kind is Kind.ID]
        mine = {each: pc.binary_join_element_wise(copy, table[each], _SEPARATOR) for each in ids}
        for each, values in mine.items():
            place = table.schema.get_field_index(each)
            table = table.set_column(place, table.schema.field(each), values)  # noqa: PLW2901 - replaced bit by bit
        yield name, table


def copy_rows(seller_id: str, copy: str) -> str:
    """Return the id of a seller's copy, as `renamed` makes it."""
    return f"{copy}{_SEPARATOR}{seller_id}"


def write_store(folder: Path, like: OperatingStore, deliveries: Mapping[str, NamedRows]) -> OperatingStore:
    """Write accepted rows as a store in `folder`, part by part, so that only one is held at a time.

    Args:
        folder: a new folder that nobody else reads.
        like: the store whose coverage and declarations the new one has.
        deliveries: rows by the name of the delivery that they are to be in.
    """
    empty = StoredDelivery("", like.covers_through, {}, absent=tuple(sorted(like.absent)), begins=like.begins)
    written = [_write_table(folder, replace(empty, delivery_id=name), parts) for name, parts in deliveries.items()]
    return OperatingStore(folder, tuple(written))


def _write_table(folder: Path, delivery: StoredDelivery, parts: NamedRows) -> StoredDelivery:
    import pyarrow.parquet as pq

    counts: dict[str, int] = {}
    writers: dict[str, pq.ParquetWriter] = {}
    with ExitStack() as stack:
        for name, table in parts:
            if name not in writers:
                place = _table_file(folder, delivery, name)
                writers[name] = stack.enter_context(pq.ParquetWriter(place, table.schema, compression="lz4"))
            writers[name].write_table(table)
            counts[name] = counts.get(name, 0) + len(table)
    return replace(delivery, rows=counts)


def _table_file(folder: Path, delivery: StoredDelivery, table: str) -> Path:
    """Return where the store of this one delivery and table looks for the file, in a folder that is there."""
    one = replace(delivery, rows={table: 1})
    (place,) = OperatingStore(folder, (one,)).files(table)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _dataset(store: OperatingStore, table: str) -> Any:
    import pyarrow.dataset as ds

    return ds.dataset([str(file) for file in store.files(table)], format="parquet")
