"""Materialization: vectors, profiles and seller context of all sellers when data lands, and frames as Parquet folders.

On a cluster, executors read accepted Parquet and write tiles and frames as Parquet by the same definitions. The state
folder must be visible to the driver and all executors under the same name.
"""

from __future__ import annotations

import math
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from features.catalogue import CATALOGUE, Feature, digest
from features.catalogue.definition import measures_in
from features.engines import spark
from features.engines.duckdb import open_engine, read_parquet
from features.errors import StoreError
from features.executor import INDEX, compute_in_chunks, map_engine_errors, parties
from features.facts import LOAN_TABLES
from features.ingest.delivery import BASE_CURRENCY
from features.ingest.erasure import read_erased
from features.ingest.money import OLDEST_RATE
from features.measures import prepare_tables
from features.measures.scope import PAIR, scope_of
from features.pipeline import (
    compute_frame,
    covered_days,
    covered_pairs,
    feature_table,
    latest_midnight,
    latest_sellers,
)
from features.profile.compute import compute_profiles
from features.schema import FX_RATES
from features.seller_coverage import COVERED_TABLES, as_table, pair_coverage
from features.store.frame_files import write_description
from features.store.operating import open_store
from features.store.profiles import ProfileSet
from features.store.seller_context import SellerContextSet
from features.store.tiles import current_spark_tiles
from features.store.vectors import Snapshot, SnapshotRows, VectorStore

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    from ibis.backends.duckdb import Backend as DuckDbBackend
    from ibis.backends.pyspark import Backend as SparkBackend

    from features.ingest import OperatingStore

Engine = Literal["duckdb", "spark"]
Row = TypeVar("Row", bound=tuple[Any, ...])

_CONTEXT_COLUMNS: Final = ("seller_id", "country", "base_currency")

_BUCKETS: Final = 4096
"""Sellers are numbered by bucket, since one count over all of them would run on a single executor."""


SellerCounts = tuple[tuple[Snapshot, int], ...]
"""Snapshots and the number of sellers of each, the latest midnight first."""


@dataclass(frozen=True)
class SellerGroup:
    """Sellers with the same coverage: their snapshot, and their pairs (seller_id, as_of)."""

    snapshot: Snapshot
    pairs: pd.DataFrame


def materialize_vectors(store: OperatingStore, vectors: VectorStore) -> SellerCounts:
    """Compute and store the vector, profile and context of every seller; return the snapshots and their sellers.

    Each seller has a vector as of the latest midnight that is covered for the seller. What is already stored, of the
    same data and definitions, is not computed again. If another process computes vectors, wait for it, and then include
    what was ingested during the wait: the vectors that are stored last are of the latest deliveries.

    Example: after a delivery that covers orders of all stores through 2026-01-01, there is one snapshot, and every
    seller has a vector as of that midnight.
    """
    with vectors.lock():
        return _materialize_vectors(open_store(store.folder), vectors)


def _materialize_vectors(store: OperatingStore, vectors: VectorStore) -> SellerCounts:
    groups = seller_groups(store)
    snapshots = [group.snapshot for group in groups]
    stored = vectors.count_sellers(*snapshots)
    if stored is None or not sum(stored):
        stored = vectors.replace_all(_compute_snapshots(store, groups))
    return tuple(zip(snapshots, stored, strict=True))


def seller_groups(store: OperatingStore) -> list[SellerGroup]:
    """Return the sellers of whom vectors are computed now, grouped by their coverage, the latest midnight first."""
    everyone = snapshot_of(store)
    sellers = latest_sellers(store)
    if store.covers_all_stores or sellers.empty:
        return [SellerGroup(everyone, sellers[INDEX])]
    groups = []
    for _, part in sellers.groupby(["as_of", *COVERED_TABLES], dropna=False):
        ends = part.iloc[0][list(COVERED_TABLES)].dropna()
        covers = {str(name): day.date() for name, day in ends.items()}
        as_of = part["as_of"].iloc[0].date()
        groups.append(SellerGroup(replace(everyone, as_of=as_of, covers_through=covers), part[INDEX]))
    return sorted(groups, key=lambda group: group.snapshot.as_of, reverse=True)


def _compute_snapshots(store: OperatingStore, groups: Sequence[SellerGroup]) -> list[SnapshotRows]:
    """Return the vectors, profiles and contexts of all sellers. Profiles are computed in this order."""
    import pandas as pd

    computed = compute_frame(store, pd.concat([group.pairs for group in groups]))
    if len(groups) > 1:
        order = pd.concat([group.pairs.sort_values("seller_id") for group in groups])
        computed = computed.reindex(pd.MultiIndex.from_frame(order))
    profiles = compute_profiles(store, computed)
    stored_profiles = iter(profiles.profiles)
    # sellers may have been erased during the computation; a later erasure waits for the lock
    erased = read_erased(store.folder)

    def without_erased(rows: Iterable[Row]) -> Iterator[Row]:
        return (row for row in rows if not erased.holds("seller_id", row[0]))

    snapshots, begin = [], 0
    for group in groups:
        end = begin + len(group.pairs)
        part = computed.iloc[begin:end]
        context = compute_context(store, part.index.to_frame(index=False), group.snapshot.as_of)
        snapshots.append(
            SnapshotRows(
                group.snapshot,
                without_erased(rows_of(part)),
                ProfileSet(profiles.definitions, without_erased(islice(stored_profiles, len(part)))),
                SellerContextSet(context.usd_per_unit, without_erased(context.sellers)),
            )
        )
        begin = end
    return snapshots


def snapshot_of(store: OperatingStore) -> Snapshot:
    """Return the snapshot of vectors that are computed now from this store, if all sellers have the same coverage."""
    return Snapshot(latest_midnight(store), store.version, digest(CATALOGUE), covered_days(store))


def rows_of(computed: pd.DataFrame) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    """Yield seller_id and values of each row of a frame, NaN as None."""
    for (seller_id, _), values in zip(computed.index, computed.to_numpy().tolist(), strict=True):
        yield seller_id, tuple(None if math.isnan(value) else value for value in values)


def compute_context(store: OperatingStore, pairs: pd.DataFrame, as_of: date) -> SellerContextSet:
    """Return country and base currency of the pairs' sellers, by the version known at `as_of`, and exchange rates."""
    with map_engine_errors(store), open_engine() as engine:
        sellers = compute_in_chunks(
            engine, parties(engine, store), pairs, lambda scope: {"sellers": scope.pairs.select(*_CONTEXT_COLUMNS)}
        )["sellers"]
        rates = _rates(engine, store, as_of)
    return SellerContextSet(rates, zip(*(sellers[name].to_pylist() for name in _CONTEXT_COLUMNS), strict=True))


def _rates(engine: DuckDbBackend, store: OperatingStore, as_of: date) -> dict[str, float]:
    """Return US dollars for a unit of each currency, at the rate that applies to a sale of the day before.

    That is the latest rate before T that is known at T and not older than ingest allows. A currency without one has the
    constant rate of the latest delivery that declares it.
    """
    constants = [each.constant_rate for each in store.deliveries if each.constant_rate is not None]
    rates = {each.currency: each.usd_per_unit for each in constants}
    if files := store.files(FX_RATES.name):
        fx = read_parquet(engine, files)
        oldest = as_of - timedelta(days=1) - OLDEST_RATE
        known = fx.filter(fx.visible_from <= as_of, fx.day >= oldest)
        latest = known.group_by("currency").agg(rate=known.usd_per_unit.argmax(known.day)).to_pyarrow()
        rates |= dict(zip(latest["currency"].to_pylist(), latest["rate"].to_pylist(), strict=True))
    return {**rates, BASE_CURRENCY: 1.0}


def materialize_frame(store: OperatingStore, midnights: Sequence[date], out: Path, engine: Engine = "duckdb") -> int:
    """Write the features of every seller known and covered as of each midnight; return the number of rows.

    The folder has Parquet files with seller_id, as_of, and a double per feature in catalogue order, null if missing;
    rows have no order. `_frame.json` describes the frame. The folder appears under its name when it is complete.

    `engine` is `duckdb`, or `spark` on the configured cluster.

    Raises:
        StoreError: `out` exists or cannot be created, or the operating data cannot be read.
        EngineError: Spark cannot be started.
    """
    days = sorted(set(midnights))
    with _new_folder(out) as folder:
        if engine == "duckdb":
            rows = _write_duckdb_frame(store, days, folder)
        else:
            with spark.open_engine() as session:
                rows = write_spark_frame(session, store, days, folder)
        write_description(
            folder, store.version, digest(CATALOGUE), covered_days(store) if store.covers_all_stores else None
        )
        return rows


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary path for a folder, which is renamed to `out` at the end."""
    if out.exists():
        raise StoreError(f"{out} is there already; name a folder that is not.")
    temporary = out.with_name(f".{out.name}-{secrets.token_hex(8)}")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise StoreError(f"{out} cannot be made: {error.strerror}; name a folder that can be.") from error
    try:
        yield temporary / "frame"
        (temporary / "frame").rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_duckdb_frame(store: OperatingStore, midnights: Sequence[date], folder: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    computed = compute_frame(store, covered_pairs(store, midnights)).reset_index()
    kinds = {"seller_id": pa.string(), "as_of": pa.date32()}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in computed.columns])
    folder.mkdir()
    pq.write_table(pa.Table.from_pandas(computed, schema, preserve_index=False), folder / "part-0.parquet")
    return len(computed)


def write_spark_frame(
    engine: SparkBackend,
    store: OperatingStore,
    midnights: Sequence[date],
    out: Path,
    catalogue: Sequence[Feature] = CATALOGUE,
) -> int:
    """Write a frame as `materialize_frame` does, by the executors of a Spark session; return the number of rows.

    Only that number and the first midnight of each table reach the driver. Every executor must see the store and `out`.

    Raises:
        StoreError: the operating data cannot be read, or `out` cannot be written.
    """
    try:
        with (
            current_spark_tiles(engine, store) as current,
            spark.workspace(engine, store.folder / "tiles-spark") as keep,
        ):
            files = {**current.files, **{name: store.files(name) for name in LOAN_TABLES if store.files(name)}}
            tiles = {name: spark.read_parquet(engine, paths) for name, paths in files.items()}
            sellers, stores = (spark.read_parquet(engine, store.files(name)) for name in ("sellers", "stores"))
            covered = _write_coverage(engine, store, midnights, out.with_name("coverage.parquet"))
            known = _pairs(sellers, midnights)
            pairs = keep(known if covered is None else known.semi_join(covered, INDEX))
            span = (min(midnights), max(midnights))
            prepared = prepare_tables(tiles, measures_in(catalogue), span)
            tiles |= {name: keep(table) for name, table in prepared.items()}
            scope = scope_of(pairs, sellers, stores, span, keep)
            table = feature_table(tiles, scope, current.known_since, catalogue, current.begins, coverage=covered)
            written = spark.write_parquet(engine, table, out)
        return int(spark.fetch(engine, written.agg(rows=written.count()))[0]["rows"])
    except spark.engine_errors() as error:
        raise StoreError(f"No frame of {store.folder} could be written to {out}: {spark.reason_of(error)}") from error


def _write_coverage(
    engine: SparkBackend, store: OperatingStore, midnights: Sequence[date], file: Path
) -> ir.Table | None:
    """Write the coverage of the pairs of a frame for Spark, if it differs between sellers, and return it."""
    import pyarrow.parquet as pq

    if store.covers_all_stores:
        return None
    pq.write_table(as_table(pair_coverage(store, covered_pairs(store, midnights))), file)
    return spark.read_parquet(engine, [file])


def _pairs(sellers: ir.Table, midnights: Sequence[date]) -> ir.Table:
    """Return pair, seller_id and as_of of each seller known by each midnight."""
    import ibis

    known = sellers.group_by("seller_id").agg(since=sellers.visible_from.min())
    bucketed = known.mutate(bucket=(known.seller_id.hash() % _BUCKETS + _BUCKETS) % _BUCKETS)
    position = ibis.row_number().over(group_by="bucket", order_by="seller_id")
    numbered = bucketed.mutate(number=position * _BUCKETS + bucketed.bucket)
    parts = [
        numbered.filter(numbered.since <= day).select(
            "seller_id",
            as_of=ibis.literal(day),
            **{PAIR: (numbered.number * len(midnights) + order).cast("int64")},
        )
        for order, day in enumerate(midnights)
    ]
    pairs = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return pairs.select(PAIR, "seller_id", "as_of")
