"""Stores of copied sellers: the accepted rows of a few sellers, once for each copy, with ids of their own.

Amounts and times of visibility are those of the accepted rows, so a copy has exactly the features of its original.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from features.facts import TILE_KEYS
from features.ingest import OperatingStore, StoredDelivery
from features.pipeline import compute_frame
from features.schema import BY_NAME, Kind
from features.store.tiles import SOURCES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SEPARATOR: Final = ":"

Rows = dict[str, "pa.Table"]
"""Accepted rows by table."""


def compute_copies(
    store: OperatingStore, pairs: pd.DataFrame, copies: Mapping[str, Iterable[Rows]]
) -> dict[str, pd.DataFrame]:
    """Return the features of copied sellers, computed in one temporary store.

    Args:
        store: the operating data of the originals.
        pairs: `seller_id` and `as_of` of the originals.
        copies: the rows of each copy by its name, in parts; only one part is in memory at a time.

    Returns:
        Frames by the name of the copy, each in the order of `pairs`.
    """
    import pandas as pd

    requested = pd.concat(
        [pairs.assign(seller_id=[copy_rows(seller, copy) for seller in pairs["seller_id"]]) for copy in copies]
    )[["seller_id", "as_of"]].reset_index(drop=True)
    with tempfile.TemporaryDirectory(prefix="sellerscore-copies-") as folder:
        written = _write_store(Path(folder), store, copies)
        frame = compute_frame(written, requested).reindex(pd.MultiIndex.from_frame(requested))
    count = len(pairs)
    return {copy: frame.iloc[number * count : (number + 1) * count] for number, copy in enumerate(copies)}


def rows_of(store: OperatingStore, sellers: Iterable[str], last: date) -> Rows:
    """Return the accepted rows of sellers, by table, that are visible as of a midnight.

    They include the orders of other stores to which the sellers' refunds or parcels refer.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    def read(name: str, column: str, ids: Any) -> pa.Table:
        chosen = ds.field(column).isin(ids) & (ds.field("visible_from") <= pa.scalar(last))
        return _dataset(store, name).to_table(filter=chosen)

    seller_ids = pa.array(sellers)
    store_ids = read("stores", "seller_id", seller_ids)["store_id"].unique()
    rows = {name: read(name, "store_id", store_ids) for name in ("stores", *TILE_KEYS) if store.files(name)}
    rows["sellers"] = read("sellers", "seller_id", seller_ids)
    if store.files("loans"):
        rows["loans"] = read("loans", "seller_id", seller_ids)
        loan_ids = rows["loans"]["loan_id"].unique()
        rows |= {name: read(name, "loan_id", loan_ids) for name in ("instalments", "payments") if store.files(name)}
    references = [rows[name]["order_id"].to_pylist() for name in ("refunds", "fulfilments") if name in rows]
    elsewhere = set().union(*references) - {None, *rows["orders"]["order_id"].to_pylist()}
    if elsewhere:
        rows["orders"] = pa.concat_tables([rows["orders"], read("orders", "order_id", pa.array(elsewhere))])
    return rows


def _first_rows(store: OperatingStore) -> Iterator[tuple[str, pa.Table]]:
    """Yield, for each table, one of the rows that were visible first, so that the copy begins when the table does."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    for name in SOURCES:
        if store.rows(name):
            rows = _dataset(store, name)
            first = pc.min(rows.to_table(columns=["visible_from"])["visible_from"])
            yield name, rows.head(1, filter=ds.field("visible_from") == first)


def with_new_ids(rows: Rows, copy: str) -> Iterator[tuple[str, pa.Table]]:
    """Yield rows by table with the copy's name before every id; example: `last week:S-000001`."""
    import pyarrow.compute as pc

    for name, table in rows.items():
        ids = [column.name for column in BY_NAME[name].columns if column.kind is Kind.ID]
        for column in ids:
            values = pc.binary_join_element_wise(copy, table[column], _SEPARATOR)
            index = table.schema.get_field_index(column)
            table = table.set_column(index, table.schema.field(column), values)  # noqa: PLW2901 - column by column
        yield name, table


def copy_rows(seller_id: str, copy: str) -> str:
    """Return the id of a seller's copy, as in `with_new_ids`."""
    return f"{copy}{_SEPARATOR}{seller_id}"


def _write_store(folder: Path, like: OperatingStore, copies: Mapping[str, Iterable[Rows]]) -> OperatingStore:
    """Write copies as one delivery of a store, with the coverage and declarations of another store."""
    import pyarrow.parquet as pq

    delivery = StoredDelivery("copies", like.covers_through, {}, absent=tuple(sorted(like.absent)), begins=like.begins)
    copied = (with_new_ids(part, copy) for copy, parts in copies.items() for part in parts)
    counts: Counter[str] = Counter()
    writers: dict[str, pq.ParquetWriter] = {}
    with ExitStack() as stack:
        for name, table in chain(_first_rows(like), chain.from_iterable(copied)):
            if name not in writers:
                (file,) = OperatingStore(folder, (replace(delivery, rows={name: 1}),)).files(name)
                file.parent.mkdir(parents=True, exist_ok=True)
                writers[name] = stack.enter_context(pq.ParquetWriter(file, table.schema, compression="lz4"))
            writers[name].write_table(table)
            counts[name] += len(table)
    return OperatingStore(folder, (replace(delivery, rows=dict(counts)),))


def _dataset(store: OperatingStore, table: str) -> Any:
    import pyarrow.dataset as ds

    return ds.dataset([str(file) for file in store.files(table)], format="parquet")
