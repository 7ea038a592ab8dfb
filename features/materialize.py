"""Sellers' circumstances and exchange rates as of one midnight, from accepted rows, under the one time rule.

Vectors, pictures and circumstances of sellers as of the latest covered midnight, made when data lands.

Frames on a cluster: every seller whom the platform knew as of each midnight, written as Parquet by executors.

The flow on a cluster: accepted Parquet in, tiles and frames as Parquet out, by the same definitions.

The state folder must be one that the driver and all executors see under the same name.

A frame of every seller as a folder of Parquet files, the same whichever engine computes it.
"""

from __future__ import annotations

import math
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from features.catalogue import CATALOGUE, Feature, digest
from features.catalogue.definition import measures_in
from features.engines.duckdb import open_engine
from features.engines.spark import engine_errors, fetch, read_parquet, reason_of, workspace, write_parquet
from features.errors import StoreError
from features.executor import compute_in_chunks, map_engine_errors, parties
from features.facts import LOAN_TABLES
from features.ingest.delivery import BASE_CURRENCY
from features.ingest.erasure import read_erased
from features.ingest.money import OLDEST_RATE
from features.measures import prepared
from features.measures.scope import PAIR, scope_of
from features.pipeline import all_sellers, compute_frame, covered_days, feature_table, latest_midnight
from features.profile.compute import compute_profiles
from features.schema import FX_RATES
from features.store.profiles import ProfileSet
from features.store.seller_context import SellerContextSet
from features.store.tiles import current_spark_tiles
from features.store.vectors import Snapshot, VectorStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import ibis.expr.types as ir
    import pandas as pd
    from ibis.backends.duckdb import Backend as DuckDbBackend
    from ibis.backends.pyspark import Backend as SparkBackend

    from features.ingest import OperatingStore

__all__ = ["_write_frame_on_spark", "current_spark_tiles"]


_CONTEXT_COLUMNS: Final = ("seller_id", "country", "base_currency")


def compute_context(store: OperatingStore, pairs: pd.DataFrame, as_of: date) -> SellerContextSet:
    """Return what is known of sellers as of a midnight: of each the latest version known by then.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of`, all as of the same midnight.
        as_of: that midnight.
    """
    with map_engine_errors(store), open_engine() as engine:
        found = compute_in_chunks(
            engine, parties(engine, store), pairs, lambda scope: {"sellers": scope.pairs.select(*_CONTEXT_COLUMNS)}
        )["sellers"]
        rates = _rates(engine, store, as_of)
    return SellerContextSet(rates, zip(*(found[name].to_pylist() for name in _CONTEXT_COLUMNS), strict=True))


def _rates(engine: DuckDbBackend, store: OperatingStore, as_of: date) -> dict[str, float]:
    """Return US dollars for a unit of each currency: the rate that a sale of the day before would be converted at.

    That is the rate of the latest day before T that is known at T and no older than intake takes. Where `fx_rates`
    have none, the constant rate of the latest delivery that names the currency stands in.
    """
    constants = [each.constant_rate for each in store.deliveries if each.constant_rate is not None]
    rates = {each.currency: each.usd_per_unit for each in constants}
    if files := store.files(FX_RATES.name):
        fx = engine.read_parquet([str(file) for file in files])
        oldest = as_of - timedelta(days=1) - OLDEST_RATE
        known = fx.filter(fx.visible_from <= as_of, fx.day >= oldest)
        latest = known.group_by("currency").agg(rate=known.usd_per_unit.argmax(known.day)).to_pyarrow()
        rates |= dict(zip(latest["currency"].to_pylist(), latest["rate"].to_pylist(), strict=True))
    return {**rates, BASE_CURRENCY: 1.0}


Row = TypeVar("Row", bound=tuple[Any, ...])


def materialize_vectors(store: OperatingStore, vectors: VectorStore) -> tuple[Snapshot, int]:
    """Compute and store what a request reads of all sellers; return what their vectors share and how many there are.

    What is stored already, of the same data and definitions, is not computed again.

    Example: after a delivery that covers orders through 2026-01-01, every seller has a vector as of that midnight.
    """
    snapshot = snapshot_of(store)
    if held := vectors.count_sellers(snapshot, complete=True):
        return snapshot, held
    computed = compute_frame(store, all_sellers(store, snapshot.as_of))
    pictures = compute_profiles(store, computed)
    known = compute_context(store, computed.index.to_frame(index=False), snapshot.as_of)
    erased = read_erased(store.folder)

    def kept(rows: Iterable[Row]) -> Iterator[Row]:
        # who was erased while it was computed gets nothing
        return (row for row in rows if not erased.holds("seller_id", row[0]))

    return snapshot, vectors.replace(
        snapshot,
        kept(rows_of(computed)),
        ProfileSet(pictures.definitions, kept(pictures.profiles)),
        SellerContextSet(known.usd_per_unit, kept(known.sellers)),
    )


def snapshot_of(store: OperatingStore) -> Snapshot:
    """Return what all vectors share that are computed now from this store."""
    return Snapshot(latest_midnight(store), store.version, digest(CATALOGUE), covered_days(store))


def rows_of(computed: pd.DataFrame) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    """Yield seller_id and values of each row of a frame, NaN as None."""
    for (seller_id, _), values in zip(computed.index, computed.to_numpy().tolist(), strict=True):
        yield seller_id, tuple(None if math.isnan(value) else value for value in values)


_BUCKETS: Final = 4096
"""Sellers are numbered bucket by bucket, for one count over all of them would pass through one executor."""


def _write_frame_on_spark(
    engine: SparkBackend,
    store: OperatingStore,
    midnights: Sequence[date],
    out: Path,
    catalogue: Sequence[Feature] = CATALOGUE,
) -> int:
    """Write the features of every seller known as of each midnight into the folder `out`; return the number of rows.

    Columns are seller_id, as_of, and a double per feature in catalogue order, null where missing; rows have no order.
    What reaches the driver is that number, and the first midnight of each table.

    Args:
        engine: a backend of `features.engines.spark`.
        store: accepted operating data, in a folder that every executor sees.
        midnights: as of when, each once, at least one.
        out: the folder to make, which every executor sees too.
        catalogue: the features to compute.

    Raises:
        StoreError: the operating data cannot be read, or `out` cannot be written.
    """
    try:
        found = current_spark_tiles(engine, store)
        tiles = {name: read_parquet(engine, files) for name, files in found.files.items()}
        tiles |= {name: read_parquet(engine, store.files(name)) for name in LOAN_TABLES if store.files(name)}
        sellers, stores = (read_parquet(engine, store.files(name)) for name in ("sellers", "stores"))
        with workspace(engine, store.folder / "tiles-spark") as keep:
            pairs = keep(_pairs(sellers, midnights))
            span = (min(midnights), max(midnights))
            tiles |= {name: keep(table) for name, table in prepared(tiles, measures_in(catalogue), span).items()}
            scope = scope_of(pairs, sellers, stores, span, keep)
            table = feature_table(tiles, scope, found.known_since, catalogue, found.begins)
            written = write_parquet(engine, table, out)
        return int(fetch(engine, written.agg(rows=written.count()))[0]["rows"])
    except engine_errors() as error:
        raise StoreError(f"No frame of {store.folder} could be written to {out}: {reason_of(error)}") from error


def _pairs(sellers: ir.Table, midnights: Sequence[date]) -> ir.Table:
    """Return pair, seller_id and as_of of each seller known by each midnight."""
    import ibis

    known = sellers.group_by("seller_id").agg(since=sellers.visible_from.min())
    bucketed = known.mutate(bucket=(known.seller_id.hash() % _BUCKETS + _BUCKETS) % _BUCKETS)
    place = ibis.row_number().over(group_by="bucket", order_by="seller_id")
    numbered = bucketed.mutate(number=place * _BUCKETS + bucketed.bucket)
    several = [
        numbered.filter(numbered.since <= day).select(
            "seller_id",
            as_of=ibis.literal(day),
            **{PAIR: (numbered.number * len(midnights) + order).cast("int64")},
        )
        for order, day in enumerate(midnights)
    ]
    pairs = ibis.union(*several) if len(several) > 1 else several[0]
    return pairs.select(PAIR, "seller_id", "as_of")


def materialize_frame(store: OperatingStore, midnights: Sequence[date], out: Path, engine: str = "duckdb") -> int:
    """Write the features of every seller known as of each midnight; return the number of rows.

    The folder has Parquet files with seller_id, as_of, and a double per feature in catalogue order, null where missing;
    rows have no order. It gets its name when it is whole.

    Args:
        store: accepted operating data.
        midnights: as of when, at least one.
        out: the folder to make.
        engine: `duckdb`, or `spark` on the cluster that is configured.

    Raises:
        StoreError: `out` is there already or cannot be made, or the operating data cannot be read.
        EngineError: Spark cannot be started.
    """
    with _new_folder(out) as place:
        return _WRITERS[engine](store, sorted(set(midnights)), place)


def _by_duckdb(store: OperatingStore, midnights: Sequence[date], place: Path) -> int:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    computed = compute_frame(store, pd.concat([all_sellers(store, day) for day in midnights])).reset_index()
    kinds = {"seller_id": pa.string(), "as_of": pa.date32()}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in computed.columns])
    place.mkdir()
    pq.write_table(pa.Table.from_pandas(computed, schema, preserve_index=False), place / "part-0.parquet")
    return len(computed)


def _by_spark(store: OperatingStore, midnights: Sequence[date], place: Path) -> int:
    # moved
    from features.engines.spark import open_engine

    with open_engine() as engine:
        return _write_frame_on_spark(engine, store, midnights, place)


_WRITERS: Final[Mapping[str, Callable[[OperatingStore, Sequence[date], Path], int]]] = {
    "duckdb": _by_duckdb,
    "spark": _by_spark,
}


ENGINES: Final = tuple(_WRITERS)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a path beside `out` to make a folder at, which then takes the place of `out`."""
    if out.exists():
        raise StoreError(f"{out} is there already; name a folder that is not.")
    beside = out.with_name(f".{out.name}-{secrets.token_hex(8)}")
    try:
        beside.mkdir(parents=True)
    except OSError as error:
        raise StoreError(f"{out} cannot be made: {error.strerror}; name a folder that can be.") from error
    try:
        yield beside / "frame"
        (beside / "frame").rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
