"""The pipeline: accepted operating data and (seller, midnight) pairs in, feature frame out.

    accepted rows -> daily tiles -> day totals of each pair -> measures -> features

Every step is an Ibis expression, so that one definition runs on every engine; only `frame` and `vectors` execute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

from features.catalogue import CATALOGUE, Feature
from features.catalogue.definition import tables_of
from features.engines.duckdb import engine_errors, open_engine
from features.errors import StoreError
from features.evaluate import value_of
from features.expressions import (
    DaysOnPlatform,
    DaysSinceFirst,
    DaysSinceLast,
    Measure,
    Stores,
    measures_of,
)
from features.measures import (
    PAIR,
    Scope,
    buyer_measures,
    column,
    day_totals,
    first_days,
    held_stores,
    longest_window,
    window_measures,
)
from features.tiles import daily_tiles

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

    from features.intake import OperatingStore


def feature_table(
    tables: Mapping[str, ir.Table],
    pairs: ir.Table,
    known_since: Mapping[str, date],
    catalogue: Sequence[Feature] = CATALOGUE,
) -> ir.Table:
    """Return the expression of a frame: one row per pair, a double per feature in catalogue order, null if missing.

    Args:
        tables: accepted rows by table name.
        pairs: distinct rows of `seller_id` (string) and `as_of` (date, the midnight that begins it).
        known_since: the first midnight at which any row of a table was visible; as of earlier ones, and for tables
            not named, what rests on the table is missing.
        catalogue: the features to compute.
    """
    wanted = sorted(frozenset().union(*(measures_of(feature.expression) for feature in catalogue)), key=column)
    scope = Scope(pairs, held_stores(tables["stores"], pairs))
    tiles = daily_tiles(tables)
    measured = pairs
    for part in (
        window_measures(day_totals(tiles, scope, longest_window(wanted)), wanted),
        buyer_measures(tables, scope, wanted),
        first_days(tiles, scope),
        _tenure(tables["sellers"], pairs),
        _store_count(scope.held),
    ):
        joined = measured.left_join(part, list(PAIR))
        measured = joined.drop(*(f"{name}_right" for name in PAIR))
    known = measured.select(*PAIR, **{column(item): _known(item, measured, known_since) for item in wanted})
    return known.select(
        *PAIR, **{feature.name: value_of(feature.expression, known).cast("float64") for feature in catalogue}
    )


def frame(
    store: OperatingStore, pairs: pd.DataFrame, catalogue: Sequence[Feature] = CATALOGUE, threads: int | None = None
) -> pd.DataFrame:
    """Compute features for (seller, midnight) pairs.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of` (dates or timestamps at midnight); doubles are computed once.
        catalogue: the features to compute.
        threads: how many the engine may use; the values do not depend on it.

    Returns:
        A frame of float64 columns in catalogue order, NaN where missing, indexed and sorted by (seller_id, as_of).
    """
    import ibis
    import pyarrow as pa

    asked = pa.table(
        {
            "seller_id": pa.array(pairs["seller_id"].astype(object), pa.string()),
            "as_of": pa.array(pairs["as_of"].dt.date if hasattr(pairs["as_of"], "dt") else pairs["as_of"], pa.date32()),
        }
    )
    with _reading(store), open_engine(threads) as engine:
        tables = {name: engine.read_parquet([str(file) for file in files]) for name, files in _files(store).items()}
        since = _known_since(tables)
        result = feature_table(tables, ibis.memtable(asked).distinct(), since, catalogue).to_pyarrow()
    computed = result.to_pandas(date_as_object=False)
    indexed: pd.DataFrame = computed.set_index(list(PAIR)).sort_index().astype("float64")
    return indexed


def all_sellers(store: OperatingStore, as_of: date) -> pd.DataFrame:
    """Return the pairs of every seller whom the platform knew as of a midnight, for `frame`."""
    with _reading(store), open_engine() as engine:
        sellers = engine.read_parquet([str(file) for file in store.files("sellers")])
        known = sellers.filter(sellers.visible_from <= as_of).select("seller_id").distinct().to_pyarrow()
    pairs: pd.DataFrame = known.to_pandas().assign(as_of=as_of)
    return pairs


def accepted_rows(store: OperatingStore, table: str) -> pd.DataFrame:
    """Return all accepted rows of a table, for what is small enough to hold, such as loans.

    Raises:
        StoreError: a stored file is missing or damaged.
    """
    with _reading(store), open_engine() as engine:
        rows = engine.read_parquet([str(file) for file in store.files(table)]).to_pyarrow()
    held: pd.DataFrame = rows.to_pandas(date_as_object=False)
    return held


def latest_midnight(store: OperatingStore) -> date:
    """Return the latest midnight up to which any table of the catalogue was delivered: the date of an online vector."""
    used = frozenset().union(*(feature.tables for feature in CATALOGUE))
    covered = [day for name, day in store.covers_through.items() if name in used]
    if not covered:
        raise StoreError("The store covers no day of any table that features need; ingest orders first.")
    return max(covered)


@contextmanager
def _reading(store: OperatingStore) -> Iterator[None]:
    try:
        yield
    except engine_errors() as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"The operating data in {store.folder} cannot be read ({reason}); restore them.") from error


def _files(store: OperatingStore) -> dict[str, Sequence[object]]:
    used = frozenset({"sellers", "stores"}).union(*(feature.tables for feature in CATALOGUE))
    return {name: files for name in sorted(used) if (files := store.files(name))}


def _known_since(tables: Mapping[str, ir.Table]) -> dict[str, date]:
    first = {name: table.visible_from.min().to_pyarrow().as_py() for name, table in tables.items()}
    return {name: day for name, day in first.items() if day is not None}


def _tenure(sellers: ir.Table, pairs: ir.Table) -> ir.Table:
    # the latest version of the seller known by as_of says since when
    known = pairs.inner_join(sellers, "seller_id").filter(lambda t: t.visible_from <= t.as_of)
    latest = known.group_by(*PAIR).agg(onboarded_at=known.onboarded_at.argmax(known.known_at))
    days = latest.as_of.delta(latest.onboarded_at.cast("date"), unit="day")
    return latest.select(*PAIR, **{column(DaysOnPlatform()): days})


def _store_count(held: ir.Table) -> ir.Table:
    return held.group_by(*PAIR).agg(**{column(Stores()): held.count()})


def _known(measure: Measure, measured: ir.Table, known_since: Mapping[str, date]) -> ir.Value:
    """Return the measure, zero where nothing was seen, missing where its tables were not delivered by then."""
    import ibis

    value = measured[column(measure)]
    if not isinstance(measure, DaysSinceFirst | DaysSinceLast | DaysOnPlatform):
        value = value.fill_null(0)
    for table in sorted(tables_of(measure)):
        if table not in known_since:
            return ibis.null("float64")
        value = ibis.ifelse(measured.as_of >= known_since[table], value, ibis.null(value.type()))
    return value.cast("float64")
