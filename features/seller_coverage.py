"""Coverage by seller: the midnights through which the data of (seller, midnight) pairs are complete.

A table is complete for a seller through the earliest midnight of the stores that the seller owns. If every delivery
covers all stores, all sellers have the coverage of the store, and nothing here is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from features.engines.duckdb import open_engine, read_parquet
from features.executor import INDEX, compute_in_chunks, map_engine_errors, parties
from features.facts import LOAN_TABLES
from features.measures.scope import PAIR
from features.store.store_coverage import STORE_TABLES, store_coverage

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from features.ingest import OperatingStore

MAX_LAG: Final = 7
"""The days that a table may end before the orders and still set the date of an online vector."""

COVERED_TABLES: Final = (*STORE_TABLES, *LOAN_TABLES)
"""The tables whose coverage can differ between sellers."""

_SINCE: Final = "since"


def pair_coverage(store: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the coverage of distinct (seller, midnight) pairs, by the stores that the seller owns as of then.

    The frame has seller_id, as_of (datetime64) and a datetime64 column per table of COVERED_TABLES: the midnight
    through which it is complete, NaT if it was not delivered. A seller who owns no store has the coverage of the whole
    store, since no day without sales can be an undelivered one.
    """
    import pandas as pd

    with map_engine_errors(store), open_engine() as engine:
        found = compute_in_chunks(
            engine,
            parties(engine, store),
            pairs,
            lambda scope: {
                "pairs": scope.pairs.select(*INDEX),
                "stores": scope.stores.select(PAIR, "store_id")
                .inner_join(scope.pairs, PAIR)
                .select(*INDEX, "store_id"),
            },
        )
    owned, known = (found[name].to_pandas(date_as_object=False) for name in ("stores", "pairs"))
    coverage = store_coverage(store)
    by_store = coverage.of_stores(owned["store_id"]).assign(**{name: owned[name] for name in INDEX})
    none = pd.Timestamp(0)  # earlier than any coverage, so that one store without a table leaves the seller without it
    by_seller = by_store.fillna(none).groupby(INDEX)[list(STORE_TABLES)].min()
    known = known.sort_values(INDEX, ignore_index=True)
    covered = by_seller.reindex(pd.MultiIndex.from_frame(known)).reset_index(drop=True)
    for table in STORE_TABLES:
        everywhere = store.covers_through.get(table)
        covered[table] = covered[table].fillna(pd.Timestamp(everywhere) if everywhere else none)
    covered = covered.mask(covered == none)
    result: pd.DataFrame = pd.concat([known, covered, coverage.of_loans(known["seller_id"])], axis=1)
    return result


def as_table(coverage: pd.DataFrame) -> pa.Table:
    """Return the frame of `pair_coverage` as a table of dates, for expressions."""
    import pyarrow as pa

    dates = [(name, pa.date32()) for name in ("as_of", *COVERED_TABLES)]
    return pa.Table.from_pandas(coverage, pa.schema([("seller_id", pa.string()), *dates]), preserve_index=False)


def latest_midnights(coverage: pd.DataFrame) -> pd.Series:
    """Return the latest midnight of each row of `pair_coverage`, NaT if no order is covered; see `latest_of`."""
    days = coverage[list(COVERED_TABLES)]
    ends = days["orders"]
    keeps_up = days.rsub(ends, axis=0).apply(lambda lag: lag.dt.days <= MAX_LAG)
    return days.where(keeps_up).min(axis=1)


def latest_of(covered: Mapping[str, date]) -> date:
    """Return the midnight through which orders and all tables that keep up with them are complete.

    Example: with orders through 9 May, refunds through 5 May and traffic through 1 April, it is 5 May.
    """
    ends = covered["orders"]
    return min(day for day in covered.values() if (ends - day).days <= MAX_LAG)


def latest_coverage(store: OperatingStore, sellers: pd.DataFrame) -> pd.DataFrame:
    """Return the coverage of sellers as of the latest midnight of each, as `pair_coverage` does.

    `sellers` are pairs as of the latest midnight of the store. Sellers without a covered order, and those who were not
    known yet as of their latest midnight, are left out.
    """
    import pandas as pd

    done, waiting = [], sellers
    while len(waiting):
        coverage = pair_coverage(store, waiting)
        latest = latest_midnights(coverage)
        behind = latest < coverage["as_of"]
        done.append(coverage[latest >= coverage["as_of"]])
        # earlier, the seller may have owned other stores
        waiting = coverage.loc[behind, ["seller_id"]].assign(as_of=latest[behind])
    if not done:
        return pair_coverage(store, sellers)
    found = pd.concat(done).sort_values("seller_id", ignore_index=True)
    return found[found["seller_id"].map(first_known(store)) <= found["as_of"]].reset_index(drop=True)


def loan_ends(store: OperatingStore, loans: pd.DataFrame) -> pd.Series | None:
    """Return, by loan_id, the midnight through which the tables of loans are complete for the seller of the loan.

    It is NaT for sellers whose loans no delivery covers. None if the coverage is the same for all sellers.
    """
    if store.covers_all_stores:
        return None
    ends = store_coverage(store).of_loans(loans["seller_id"]).min(axis=1, skipna=False)
    return ends.set_axis(loans["loan_id"])


def first_known(store: OperatingStore) -> pd.Series:
    """Return the first midnight as of which each seller is known, by seller_id."""
    with map_engine_errors(store), open_engine() as engine:
        sellers = read_parquet(engine, store.files("sellers"))
        since = sellers.group_by("seller_id").agg(**{_SINCE: sellers.visible_from.min()}).to_pyarrow()
    known: pd.Series = since.to_pandas(date_as_object=False).set_index("seller_id")[_SINCE]
    return known
