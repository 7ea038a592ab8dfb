"""Coverage by store: the midnight through which each table is complete for a store, or for the loans of a seller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import StoreError
from features.facts import LOAN_TABLES, TILE_KEYS
from features.schema import BY_NAME

if TYPE_CHECKING:
    import pandas as pd
    from pandas._libs.tslibs.nattype import NaTType

    from features.store.operating import OperatingStore, StoredDelivery

STORE_TABLES: Final = tuple(TILE_KEYS)
"""The tables that are covered by store. The tables of loans have no stores and are covered by seller."""

_DELIVERY: Final = "delivery"


@dataclass(frozen=True)
class StoreCoverage:
    """The coverage of each store and, for the tables of loans, of each seller.

    Attributes:
        shared: the midnights through which the tables are complete, by deliveries that cover `all`. They hold for the
            stores and sellers that at least one such delivery named.
        stores: the same for each store that a `listed` delivery names, `shared` included if it holds: a column per
            table, NaT if it was not delivered, indexed by store_id.
        sellers: the same for the tables of loans, indexed by seller_id.
        shared_stores: the ids of the stores for which `shared` holds.
    """

    shared: Mapping[str, date]
    stores: pd.DataFrame
    sellers: pd.DataFrame
    shared_stores: frozenset[str]

    def of_stores(self, store_ids: pd.Series) -> pd.DataFrame:
        """Return the coverage of stores, a row for each id with the index of `store_ids`."""
        return self._find(self.stores, store_ids)

    def of_loans(self, seller_ids: pd.Series) -> pd.DataFrame:
        """Return the coverage of the tables of loans of sellers, a row for each id with the index of `seller_ids`."""
        return self._find(self.sellers, seller_ids)

    def _find(self, listed: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
        found = listed.reindex(ids.to_numpy()).set_axis(ids.index)
        # an id that no `listed` delivery names was named by one that covers `all`
        others = ~ids.isin(listed.index)
        for table in found.columns:
            found.loc[others, table] = _timestamp(self.shared.get(table))
        return found


def store_coverage(store: OperatingStore) -> StoreCoverage:
    """Return the coverage of each store.

    Raises:
        StoreError: the list of the stores of a delivery cannot be read.
    """
    shared = store.all_stores_through
    listed = [each for each in store.deliveries if each.covers_stores == "listed"]
    named = _read_listed(store, listed)
    stores, sellers = (_named_by_all(store, table) for table in ("stores", "sellers"))
    return StoreCoverage(
        shared,
        _latest(named, "store_id", listed, STORE_TABLES, _Shared(shared, stores)),
        _latest(named, "seller_id", listed, LOAN_TABLES, _Shared(shared, sellers)),
        stores,
    )


@dataclass(frozen=True)
class _Shared:
    """The coverage by deliveries that cover `all`, and the ids for which it holds."""

    days: Mapping[str, date]
    ids: frozenset[str]


def _read_listed(store: OperatingStore, listed: Sequence[StoredDelivery]) -> pd.DataFrame:
    """Return the stores and sellers of each `listed` delivery, and the delivery's number."""
    schema = pa.schema([("store_id", pa.string()), ("seller_id", pa.string()), (_DELIVERY, pa.int32())])
    parts = [schema.empty_table()]
    for number, delivery in enumerate(listed):
        rows = _read(store.listed_file(delivery), ["store_id", "seller_id"])
        parts.append(rows.append_column(_DELIVERY, pa.array([number] * len(rows), pa.int32())).cast(schema))
    found: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return found


def _named_by_all(store: OperatingStore, table: str) -> frozenset[str]:
    """Return the ids of the stores or sellers that at least one delivery with `all` names.

    They are in its rows of `table`, or in its list if a `listed` delivery may have delivered these rows first.
    """
    column = BY_NAME[table].key[0]
    deliveries = [each for each in store.deliveries if each.covers_stores == "all"]
    lists = [path for path in map(store.listed_file, deliveries) if path.exists()]
    parts = [_read(path, [column])[column] for path in (*store.files(table, deliveries), *lists)]
    return frozenset(value for part in parts for value in part.unique().to_pylist() if value is not None)


def _read(path: Path, columns: list[str]) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} cannot be read. Restore it from a backup.") from error


def _latest(
    named: pd.DataFrame, column: str, listed: Sequence[StoredDelivery], tables: Sequence[str], shared: _Shared
) -> pd.DataFrame:
    """Return the latest midnight of each table over the deliveries that name an id, and over `shared`."""
    import pandas as pd

    days = pd.DataFrame(
        {name: [_timestamp(each.covers_through.get(name)) for each in listed] for name in tables},
        dtype="datetime64[s]",
    )
    rows = named[[column, _DELIVERY]].dropna().join(days, on=_DELIVERY)
    latest = rows.groupby(column)[list(tables)].max()
    others = ~latest.index.isin(shared.ids)
    for name in tables:
        if name in shared.days:
            day = pd.Timestamp(shared.days[name])
            latest[name] = latest[name].where((latest[name] >= day) | others, day)
    return latest


def _timestamp(day: date | None) -> pd.Timestamp | NaTType:
    import pandas as pd

    return pd.Timestamp(day) if day is not None else pd.NaT
