"""The pipeline: accepted operating data and (seller, midnight) pairs in, feature frame out.

    accepted rows -> daily tiles -> measures of each pair -> features

Every step is an Ibis expression, so that one definition runs on every engine; `passes` executes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from features.catalogue import CATALOGUE, Feature
from features.catalogue.definition import measures_in, parties_of, tables_of
from features.coverage import requested_pairs, require_covered
from features.engines.duckdb import open_engine
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
from features.measures import measured_parts
from features.measures.scope import PAIR, PairScope, column_name
from features.measures.windows import plain

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.ingest import OperatingStore

WAITED_FOR: Final = 7
"""By how many days a table may end before the orders and still set the date of an online vector."""

_MAY_BE_MISSING: Final = (
    DaysOnPlatform | DaysSinceFirst | DaysSinceLast | LatestDay | MedianDay | MedianOf | OldestStore
)
"""Measures of which nothing seen is no zero."""

_LATEST: Final = DaysSinceFirst | DaysSinceLast | LatestDay
"""Measures that a window without its oldest days leaves right."""


def feature_table(
    tiles: Mapping[str, ir.Table],
    scope: PairScope,
    known_since: Mapping[str, date],
    catalogue: Sequence[Feature] = CATALOGUE,
    begins: Mapping[str, date] = MappingProxyType({}),
) -> ir.Table:
    """Return the expression of a frame: one row per pair, a double per feature in catalogue order, null if missing.

    Args:
        tiles: tiles by name, and what is `prepared`; those of a table that was never delivered are absent.
        scope: the pairs asked for, and what each holds as of then.
        known_since: the first midnight at which any row of a table was visible; as of earlier ones, and for tables
            not named, what rests on the table is missing.
        catalogue: the features to compute.
        begins: the day on which the platform began to record a table; a window that reaches back before it is
            missing, for its first days would read as days on which nothing happened.
    """
    wanted = sorted(measures_in(catalogue), key=column_name)
    measured = scope.pairs.select(PAIR, *INDEX)
    for number, part in enumerate(measured_parts(tiles, scope, wanted)):
        # names that differ let Ibis make one flat join of all parts, not a query within a query for each
        measured = measured.left_join(scope.keep(part), PAIR, rname=f"{{name}}_{number}")

    def late(item: Measure) -> dict[str, date]:
        days = {table: max(day, _whole_from(item, table, begins)) for table, day in known_since.items()}
        return {table: day for table, day in days.items() if day > scope.first}

    known = measured.select(
        *INDEX, **{column_name(item): _known(item, measured, {*known_since}, late(item)) for item in wanted}
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
        pairs: columns `seller_id` and `as_of` (dates, timestamps at midnight or ISO dates), in any order; a pair may
            occur more than once.
        catalogue: the features to compute.
        threads: how many the engine may use; the values do not depend on it.

    Returns:
        A frame of float64 columns in catalogue order, NaN where missing, indexed by (seller_id, as_of). Its rows are
        those of `pairs`, in the same order, including duplicates.

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

    Sellers who are unknown and dates that are not covered have missing values.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of` (dates or timestamps at midnight); doubles are computed once.
        catalogue: the features to compute.
        threads: how many the engine may use; the values do not depend on it.

    Returns:
        A frame of float64 columns in catalogue order, NaN where missing, indexed and sorted by (seller_id, as_of).
    """

    def expressions(sources: Sources, scope: PairScope) -> dict[str, ir.Table]:
        return {"frame": feature_table(sources.tables, scope, sources.known_since, catalogue, sources.begins)}

    return index_by_pair(compute_for_pairs(store, pairs, expressions, measures_in(catalogue), threads)["frame"]).astype(
        "float64"
    )


def all_sellers(store: OperatingStore, as_of: date) -> pd.DataFrame:
    """Return the pairs of every seller whom the platform knew as of a midnight, for `frame`."""
    with map_engine_errors(store), open_engine() as engine:
        sellers = engine.read_parquet([str(file) for file in store.files("sellers")])
        known = sellers.filter(sellers.visible_from <= as_of).select("seller_id").distinct().to_pyarrow()
    pairs: pd.DataFrame = known.to_pandas().assign(as_of=as_of)
    return pairs


def described(store: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of each seller as of each midnight that is no feature: for reports by segment.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of`, as for `frame`.

    Returns:
        Columns `country`, and `marketplace`, that of the oldest store held; missing where nothing was known. Indexed
        and sorted by (seller_id, as_of).
    """
    with map_engine_errors(store), open_engine() as engine:
        found = compute_in_chunks(
            engine, parties(engine, store), pairs, lambda scope: {"described": _descriptions(scope)}
        )
    return index_by_pair(found["described"])


def _descriptions(scope: PairScope) -> ir.Table:
    held = scope.held.group_by(PAIR).agg(marketplace=scope.held.marketplace.argmin(scope.held.opened_at))
    return scope.pairs.left_join(held, PAIR).select(*INDEX, "country", "marketplace")


def accepted_rows(store: OperatingStore, table: str) -> pd.DataFrame:
    """Return all accepted rows of a table, for what is small enough to hold, such as loans.

    Raises:
        StoreError: a stored file is missing or damaged.
    """
    with map_engine_errors(store), open_engine() as engine:
        rows = engine.read_parquet([str(file) for file in store.files(table)]).to_pyarrow()
    held: pd.DataFrame = rows.to_pandas(date_as_object=False)
    return held


def latest_midnight(store: OperatingStore) -> date:
    """Return the date of an online vector: the midnight through which orders and what keeps up with them are delivered.

    A table that ends at most `WAITED_FOR` days before the orders is waited for: as of a later day, its undelivered
    days would read as days on which nothing happened. One that ends earlier is not: it counts as missing.

    Raises:
        StoreError: no day of orders is covered.
    """
    covered = covered_days(store)
    if "orders" not in covered:
        raise StoreError("The store covers no day of orders, on which every feature rests; ingest orders first.")
    ends = covered["orders"]
    return min(day for day in covered.values() if (ends - day).days <= WAITED_FOR)


def covered_days(store: OperatingStore) -> dict[str, date]:
    """Return the midnight through which each table of the catalogue was delivered; those never delivered are absent."""
    used = frozenset().union(*(feature.tables for feature in CATALOGUE))
    return {name: day for name, day in store.covers_through.items() if name in used}


def _known(measure: Measure, measured: ir.Table, tables: set[str], late: Mapping[str, date]) -> ir.Value:
    """Return the measure, zero where nothing was seen, missing where its tables were not delivered, or not by then."""
    import ibis

    used = tables_of(measure) | parties_of(measure)
    if not tables >= used:
        return ibis.null("float64")
    value = _shown(measure, measured)
    for table in sorted(used & late.keys()):
        value = ibis.ifelse(measured.as_of >= late[table], value, ibis.null(value.type()))
    return value.cast("float64")


def _whole_from(measure: Measure, table: str, begins: Mapping[str, date]) -> date:
    """Return the first midnight whose window of a measure holds no day before the platform recorded the table."""
    if table not in begins or isinstance(measure, _LATEST):
        return date.min
    reach = sum(getattr(measure, name, 0) for name in ("days", "lag", "before"))
    return begins[table] + timedelta(days=reach)


def _shown(measure: Measure, measured: ir.Table) -> ir.NumericValue:
    if isinstance(measure, _MAY_BE_MISSING):
        return measured[column_name(measure)]
    if isinstance(measure, Total | AgeTotal) and measure.net:
        of, less = (measured[column_name(item)].coalesce(0) for item in plain(measure))
        return of - less
    return measured[column_name(measure)].coalesce(0)
