"""A store of copies: the accepted rows of a few sellers, once for each name of a copy, with ids of its own.

Rows are those that intake accepted, amounts and times of visibility included, so that a copy's features are those of
its original, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from features.facts import TILE_KEYS
from features.ingest import OperatingStore, StoredDelivery
from features.schema import BY_NAME, Kind
from features.store.tiles import SOURCES

if TYPE_CHECKING:
    import pyarrow as pa

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
    elsewhere = _named(rows).difference(rows["orders"]["order_id"].to_pylist())
    if elsewhere:
        rows["orders"] = pa.concat_tables([rows["orders"], read("orders", "order_id", pa.array(elsewhere))])
    return rows


def _named(rows: Mapping[str, pa.Table]) -> set[str | None]:
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


def renamed(rows: Mapping[str, pa.Table], copy: str) -> Iterator[tuple[str, pa.Table]]:
    """Yield rows by table with every id made the copy's own; example: `last week:S-000001`."""
    import pyarrow.compute as pc

    for name, table in rows.items():
        ids = [column.name for column in BY_NAME[name].columns if column.kind is Kind.ID]
        mine = {each: pc.binary_join_element_wise(copy, table[each], _SEPARATOR) for each in ids}
        for each, values in mine.items():
            place = table.schema.get_field_index(each)
            table = table.set_column(place, table.schema.field(each), values)  # noqa: PLW2901 - replaced bit by bit
        yield name, table


def copied(seller_id: str, copy: str) -> str:
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
    written = [_write(folder, replace(empty, delivery_id=name), parts) for name, parts in deliveries.items()]
    return OperatingStore(folder, tuple(written))


def _write(folder: Path, delivery: StoredDelivery, parts: NamedRows) -> StoredDelivery:
    import pyarrow.parquet as pq

    counts: dict[str, int] = {}
    writers: dict[str, pq.ParquetWriter] = {}
    with ExitStack() as stack:
        for name, table in parts:
            if name not in writers:
                place = _file(folder, delivery, name)
                writers[name] = stack.enter_context(pq.ParquetWriter(place, table.schema, compression="lz4"))
            writers[name].write_table(table)
            counts[name] = counts.get(name, 0) + len(table)
    return replace(delivery, rows=counts)


def _file(folder: Path, delivery: StoredDelivery, table: str) -> Path:
    """Return where the store of this one delivery and table looks for the file, in a folder that is there."""
    one = replace(delivery, rows={table: 1})
    (place,) = OperatingStore(folder, (one,)).files(table)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _dataset(store: OperatingStore, table: str) -> Any:
    import pyarrow.dataset as ds

    return ds.dataset([str(file) for file in store.files(table)], format="parquet")
