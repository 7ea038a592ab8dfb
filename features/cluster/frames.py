"""Frames on a cluster: every seller whom the platform knew as of each midnight, written as Parquet by executors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.catalogue import CATALOGUE, Feature
from features.catalogue.definition import measures_in
from features.cluster.folds import current_tiles
from features.engines.spark import engine_errors, fetch, read_parquet, reason_of, workspace, write_parquet
from features.errors import StoreError
from features.facts import LOAN_TABLES
from features.measures import prepared
from features.measures.scope import PAIR, scope_of
from features.pipeline import feature_table

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.pyspark import Backend

    from features.intake import OperatingStore

_BUCKETS: Final = 4096
"""Sellers are numbered bucket by bucket, for one count over all of them would pass through one executor."""


def write_frame(
    engine: Backend,
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
        found = current_tiles(engine, store)
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
