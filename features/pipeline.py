"""The feature pipeline: from accepted operating data and (seller, midnight) pairs to a feature frame.

    accepted rows -> daily tiles -> measures of each pair -> features

Every step is an Ibis expression, so that one definition runs on every engine; `executor` runs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from features.catalogue import CATALOGUE, Feature
from features.catalogue.definition import measures_in, parties_of, tables_of
from features.coverage import requested_pairs, require_covered
from features.engines.duckdb import open_engine, read_parquet
from features.errors import StoreError
from features.executor import (
    INDEX,
    Sources,
    compute_for_pairs,
    compute_in_chunks,
    index_by_pair,
    map_engine_errors,
    parties,
    value_of,
)
from features.expressions import (
    AgeTotal,
    DaysOnPlatform,
    DaysSinceFirst,
    DaysSinceLast,
    LatestDay,
    Measure,
    MedianDay,
    MedianOf,
    OldestStore,
    Total,
)
from features.measures import measure_tables
from features.measures.scope import PAIR, PairScope, column_name
from features.measures.windows import plain
from features.seller_coverage import (
    COVERED_TABLES,
    as_table,
    latest_coverage,
    latest_midnights,
    latest_of,
    pair_coverage,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.ingest import OperatingStore

_MAY_BE_MISSING: Final = (
    DaysOnPlatform | DaysSinceFirst | DaysSinceLast | LatestDay | MedianDay | MedianOf | OldestStore
)
"""Measures that are missing, not zero, without visible rows."""

_LATEST: Final = DaysSinceFirst | DaysSinceLast | LatestDay
"""Measures that stay correct if the oldest days of their window were not recorded."""


def feature_table(
    tiles: Mapping[str, ir.Table],
    scope: PairScope,
    known_since: Mapping[str, date],
    catalogue: Sequence[Feature] = CATALOGUE,
    begins: Mapping[str, date] = MappingProxyType({}),
    *,
    coverage: ir.Table | None = None,
) -> ir.Table:
    """Return the expression of a frame: one row per pair, a double per feature in catalogue order, null if missing.

    Args:
        tiles: tiles by name, and the tables of `prepare_tables`; tables that were never delivered are absent.
        scope: the requested pairs.
        known_since: the first midnight at which any row of a table was visible. As of earlier midnights, and for tables
            that are not named, measures of the table are missing.
        catalogue: the features to compute.
        begins: the day on which the platform began to record a table. A window that starts before it is missing, since
            its first days would count as days without events.
        coverage: seller_id, as_of and the midnight through which each table is complete for the seller, if it differs
            between sellers. Measures of a table that ends before as_of are missing.
    """
    measures = sorted(measures_in(catalogue), key=column_name)
    measured = scope.pairs.select(PAIR, *INDEX)
    if coverage is not None:
        ends = coverage.rename({_covered(name): name for name in COVERED_TABLES})
        measured = measured.left_join(ends, INDEX, rname="{name}_covered").drop(*(f"{name}_covered" for name in INDEX))
    for number, table in enumerate(measure_tables(tiles, scope, measures)):
        # distinct names let Ibis make one flat join instead of nested queries
        measured = measured.left_join(scope.keep(table), PAIR, rname=f"{{name}}_{number}")

    def late(item: Measure) -> dict[str, date]:
        days = {table: max(day, _complete_from(item, table, begins)) for table, day in known_since.items()}
        return {table: day for table, day in days.items() if day > scope.first}

    known = measured.select(
        *INDEX, **{column_name(item): _known(item, measured, {*known_since}, late(item)) for item in measures}
    )
    return known.select(
        *INDEX, **{feature.name: value_of(feature.expression, known).cast("float64") for feature in catalogue}
    )


def frame(
    store: OperatingStore, pairs: pd.DataFrame, catalogue: Sequence[Feature] = CATALOGUE, threads: int | None = None
) -> pd.DataFrame:
    """Return the features of (seller, midnight) pairs, row by row as requested.

    Example: `frame(store, pd.DataFrame({"seller_id": ["S-000001"], "as_of": ["2026-01-01"]}))` has one row, indexed by
    `("S-000001", 2026-01-01)`, and a column for each feature.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of` (dates, timestamps at midnight or ISO dates), in any order, with
            duplicates.
        catalogue: the features to compute.
        threads: number of threads of the engine; the values do not depend on it.

    Returns:
        A frame of float64 columns in catalogue order, NaN if missing, indexed by (seller_id, as_of), with one row for
        each row of `pairs`, in the same order.

    Raises:
        CatalogueError: the pairs lack a column or a value, or an `as_of` is not a midnight in UTC.
        StoreError: the store does not cover a date, or has no such seller as of a date.
    """
    import pandas as pd

    requested = requested_pairs(pairs)
    require_covered(store, requested, latest_midnight(store))
    computed = compute_frame(store, requested, catalogue, threads)
    return computed.reindex(pd.MultiIndex.from_frame(requested))


def compute_frame(
    store: OperatingStore, pairs: pd.DataFrame, catalogue: Sequence[Feature] = CATALOGUE, threads: int | None = None
) -> pd.DataFrame:
    """Compute features for distinct (seller, midnight) pairs, without the checks of `frame`.

    The values of unknown sellers and of dates that are not covered are missing. If coverage differs between sellers, so
    are those of tables that end before the date for the seller.

    Dates may be timestamps at midnight. The frame is indexed and sorted by (seller_id, as_of).
    """
    import ibis

    coverage = None if store.covers_all_stores else pair_coverage(store, pairs)

    def expressions(sources: Sources, scope: PairScope) -> dict[str, ir.Table]:
        covered = None if coverage is None else scope.keep(ibis.memtable(as_table(coverage)))
        table = feature_table(sources.tables, scope, sources.known_since, catalogue, sources.begins, coverage=covered)
        return {"frame": table}

    computed = compute_for_pairs(store, pairs, expressions, measures_in(catalogue), threads)
    return index_by_pair(computed["frame"]).astype("float64")


def all_sellers(store: OperatingStore, as_of: date) -> pd.DataFrame:
    """Return the pairs of every seller known as of a midnight, for `frame`."""
    with map_engine_errors(store), open_engine() as engine:
        sellers = read_parquet(engine, store.files("sellers"))
        known = sellers.filter(sellers.visible_from <= as_of).select("seller_id").distinct().to_pyarrow()
    pairs: pd.DataFrame = known.to_pandas().assign(as_of=as_of)
    return pairs


def latest_sellers(store: OperatingStore) -> pd.DataFrame:
    """Return every seller as of the latest midnight that is covered for the seller, as pairs for `frame`.

    If the coverage differs between sellers, the columns of `pair_coverage` follow, and sellers without a covered order
    are left out.
    """
    sellers = all_sellers(store, latest_midnight(store))
    return sellers if store.covers_all_stores else latest_coverage(store, sellers)


def sellers_by_end(store: OperatingStore) -> dict[date, int]:
    """Return the number of sellers by the latest midnight that is covered for them, the latest first.

    Example: `{date(2026, 3, 1): 40, date(2026, 2, 20): 2}` if the data of two sellers end earlier.
    """
    import pandas as pd

    counts = pd.to_datetime(latest_sellers(store)["as_of"]).value_counts().sort_index(ascending=False)
    return {day.date(): int(count) for day, count in zip(pd.DatetimeIndex(counts.index), counts, strict=True)}


def covered_pairs(store: OperatingStore, midnights: Sequence[date]) -> pd.DataFrame:
    """Return the pairs of every seller known as of each midnight, without those after the data of the seller end."""
    import pandas as pd

    pairs = pd.concat([all_sellers(store, day) for day in midnights])
    if store.covers_all_stores:
        return pairs
    coverage = pair_coverage(store, pairs)
    return coverage.loc[latest_midnights(coverage) >= coverage["as_of"], INDEX].reset_index(drop=True)


def seller_segments(store: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the attributes by which reports segment pairs, indexed and sorted by (seller_id, as_of).

    They are `country` and `marketplace` (of the oldest store), missing if unknown.
    """
    with map_engine_errors(store), open_engine() as engine:
        computed = compute_in_chunks(engine, parties(engine, store), pairs, lambda scope: {"all": _segments(scope)})
    return index_by_pair(computed["all"])


def _segments(scope: PairScope) -> ir.Table:
    stores = scope.stores
    oldest = stores.group_by(PAIR).agg(marketplace=stores.marketplace.argmin(stores.opened_at))
    return scope.pairs.left_join(oldest, PAIR).select(*INDEX, "country", "marketplace")


def accepted_rows(store: OperatingStore, table: str) -> pd.DataFrame:
    """Return all accepted rows of a table that fits into memory, such as loans.

    Raises:
        StoreError: a stored file is missing or damaged.
    """
    with map_engine_errors(store), open_engine() as engine:
        rows = read_parquet(engine, store.files(table)).to_pyarrow()
    frame: pd.DataFrame = rows.to_pandas(date_as_object=False)
    return frame


def latest_midnight(store: OperatingStore) -> date:
    """Return the date of an online vector: the midnight through which orders and all tables that keep up are delivered.

    A table keeps up if it ends at most 7 days before the orders: after its end, undelivered days would count as days
    without events. A table that ends earlier counts as missing instead.

    If coverage differs between sellers, this is the end of the newest orders, see `latest_sellers` for each seller.

    Raises:
        StoreError: no day of orders is covered.
    """
    covered = covered_days(store)
    if "orders" not in covered:
        raise StoreError("The store covers no day of orders, which every feature needs; ingest orders first.")
    return latest_of(covered) if store.covers_all_stores else covered["orders"]


def covered_days(store: OperatingStore) -> dict[str, date]:
    """Return the midnight through which each table of the catalogue was delivered; others are absent."""
    used = frozenset().union(*(feature.tables for feature in CATALOGUE))
    return {name: day for name, day in store.covers_through.items() if name in used}


def _known(measure: Measure, measured: ir.Table, tables: set[str], late: Mapping[str, date]) -> ir.Value:
    """Return the measure: zero without visible rows, missing if its tables were not delivered by then."""
    import ibis

    used = tables_of(measure) | parties_of(measure)
    if not tables >= used:
        return ibis.null("float64")
    value = _visible_value(measure, measured)
    for table in sorted(table for table in used if _covered(table) in measured.columns):
        complete = measured[_covered(table)].cast("date") >= measured.as_of
        value = ibis.ifelse(complete, value, ibis.null(value.type()))
    for table in sorted(used & late.keys()):
        value = ibis.ifelse(measured.as_of >= late[table], value, ibis.null(value.type()))
    return value.cast("float64")


def _covered(table: str) -> str:
    return f"covered({table})"


def _complete_from(measure: Measure, table: str, begins: Mapping[str, date]) -> date:
    """Return the first midnight at which the window of a measure includes only recorded days of the table."""
    if table not in begins or isinstance(measure, _LATEST):
        return date.min
    return begins[table] + timedelta(days=measure.reach)


def _visible_value(measure: Measure, measured: ir.Table) -> ir.NumericValue:
    if isinstance(measure, _MAY_BE_MISSING):
        return measured[column_name(measure)]
    if isinstance(measure, Total | AgeTotal) and measure.net:
        gross, net = (measured[column_name(item)].coalesce(0) for item in plain(measure))
        return gross - net
    return measured[column_name(measure)].coalesce(0)
