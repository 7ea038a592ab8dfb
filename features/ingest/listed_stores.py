"""The stores of which a delivery has rows, and the check that a delivery does not silence all other stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ibis
import pyarrow as pa

from features.engines.duckdb import read_parquet
from features.errors import DeliveryError
from features.ingest.delivery import TERMS_FILE, Delivery
from features.ingest.sources import cast_column, literal, trim
from features.schema import BY_NAME, ORDERS
from features.store.operating import OperatingStore
from features.store.store_coverage import store_coverage

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from features.ingest.sources import Source

_LEAST: Final = 2
"""Minimum number of stores with recent orders, if the delivery has no row of any store: one store may have no sale."""


@dataclass(frozen=True)
class DeliveredRows:
    """The rows of a delivery: the files of its usable tables, and the accepted files of a table, with those before."""

    engine: Backend
    sources: Mapping[str, Source]
    files: Callable[[str], Sequence[Path]]

    def stores(self) -> ir.Table:
        """Return the `store_id` of each accepted store of which the delivery has a row, duplicates included."""
        return self._known("store_id", "stores", [name for name in self.sources if "store_id" in _columns(name)])

    def sellers(self) -> ir.Table:
        """Return the `seller_id` of each accepted seller whom the delivery names in `sellers` or by a loan."""
        named = self._known("seller_id", "sellers", [name for name in ("sellers", "loans") if name in self.sources])
        by_loan = [name for name in ("instalments", "payments") if name in self.sources]
        if not by_loan or not self.files("loans"):
            return named
        loans = self._known("loan_id", "loans", by_loan)
        borrowers = read_parquet(self.engine, self.files("loans")).semi_join(loans, "loan_id").select("seller_id")
        return named.union(borrowers, distinct=True)

    def _known(self, column: str, table: str, delivered: Sequence[str]) -> ir.Table:
        """Return the distinct values of a column in delivered tables that an accepted row of `table` has, too."""
        kind = BY_NAME[table].column(column).kind
        raw = [self.engine.read_parquet(literal(self.sources[name].path)) for name in delivered]
        parts = [rows.select(**{column: cast_column(trim(rows[column]), kind)}) for rows in raw]
        known = read_parquet(self.engine, self.files(table)).select(column).distinct()
        return known.semi_join(reduce(ibis.union, parts), column) if parts else known.filter(ibis.literal(False))

    def write_listed(self, path: Path) -> None:
        """Write the stores and sellers of the delivery, see `OperatingStore.listed_file`."""
        none = ibis.null("string")
        stores, sellers = self.stores().mutate(seller_id=none), self.sellers().mutate(store_id=none)
        rows = stores.union(sellers.select("store_id", "seller_id")).order_by("store_id", "seller_id")
        rows.to_parquet(path, compression="zstd")


def _columns(table: str) -> tuple[str, ...]:
    return BY_NAME[table].column_names


def expect_rows_of_others(rows: DeliveredRows, store: OperatingStore, delivery: Delivery, through: date) -> None:
    """Raise DeliveryError if coverage for all stores would make most recent sellers look as if they stopped selling.

    It would if it moves the coverage of orders forward, and the delivery has no row of most of the stores that had
    orders in an equally long period before.

    Args:
        rows: the rows of the delivery.
        store: the store before the delivery.
        delivery: a delivery that does not state `covers_stores`.
        through: the midnight through which its orders are complete.
    """
    moves = not store.covers_all_stores or through > store.covers_through.get(ORDERS.name, through)
    if not moves or not store.files(ORDERS.name):
        return
    sold = rows.engine.create_table(ibis.util.gen_name("sold"), _sold_before(rows.engine, store, through))
    named = rows.engine.create_table(ibis.util.gen_name("named"), rows.stores())
    counts = (sold, sold.semi_join(named, "store_id"), named)
    active, delivered, others = (int(table.count().to_pyarrow().as_py()) for table in counts)
    if 2 * delivered >= active or (active < _LEAST and not others):
        return
    days, end = sold.agg(days=sold.days.max(), end=sold.ends.max()).to_pyarrow().to_pylist()[0].values()
    period = f"{days:,} day{'s' if days > 1 else ''}"
    raise DeliveryError(
        f"{delivery.folder} makes orders complete through {through}, but it has rows of only {delivered:,} of the "
        f"{active:,} stores with orders in the {period} before {end}. If it holds for all stores, the other "
        f"{active - delivered:,} count as stores without sales since {end}. Nothing was ingested. In {TERMS_FILE}, set "
        'covers_stores to "listed" if the delivery is complete only for the stores of which it has a row, or to "all" '
        "if the others really sold nothing."
    )


def _sold_before(engine: Backend, store: OperatingStore, through: date) -> ir.Table:
    """Return the stores with orders in the period before the end of their orders that is as long as the new one.

    The columns are store_id, `ends` (the end of the store's orders, before `through`) and `days` (from there).
    """
    ends = _ends_of_orders(engine, store)
    ends = ends.filter(ends.ends < through)
    days = ibis.literal(through).delta(ends.ends, unit="day")
    stores = engine.create_table(ibis.util.gen_name("ends"), ends.mutate(days=days))
    begin = stores.agg(begin=(stores.ends - stores.days.as_interval("D")).min().cast("date"))
    orders = read_parquet(engine, store.files(ORDERS.name))
    recent = orders.filter(orders.ordered_at >= begin.begin.as_scalar())
    joined = recent.select("store_id", day=recent.ordered_at.date()).distinct().inner_join(stores, "store_id")
    ago = joined.ends.delta(joined.day, unit="day")
    return joined.filter(ago >= 1, ago <= joined.days).select("store_id", "ends", "days").distinct()


def _ends_of_orders(engine: Backend, store: OperatingStore) -> ir.Table:
    """Return store_id and `ends`: the midnight through which the store's orders are complete, null if none is.

    Stores that no delivery with `all` ever named are left out: such a delivery does not cover them.
    """
    if store.covers_all_stores:
        stores = read_parquet(engine, store.files("stores")).select("store_id").distinct()
        return stores.mutate(ends=ibis.literal(store.covers_through.get(ORDERS.name), "date"))
    import pandas as pd

    coverage = store_coverage(store)
    ids = pd.Series(sorted(coverage.shared_stores), dtype="str")
    ends = coverage.of_stores(ids)[ORDERS.name]
    schema = pa.schema([("store_id", pa.string()), ("ends", pa.date32())])
    return ibis.memtable(pa.table({"store_id": ids.to_numpy(), "ends": ends.to_numpy()}, schema))
