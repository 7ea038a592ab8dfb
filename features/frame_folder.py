"""A frame of every seller as a folder of Parquet files, the same whichever engine computes it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.errors import StoreError
from features.pipeline import all_sellers, compute_frame

if TYPE_CHECKING:
    from features.intake import OperatingStore


def write_frame(store: OperatingStore, midnights: Sequence[date], out: Path, engine: str = "duckdb") -> int:
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
    from features import cluster
    from features.engines.spark import open_engine

    with open_engine() as engine:
        return cluster.write_frame(engine, store, midnights, place)


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
