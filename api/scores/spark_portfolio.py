"""The scores of a frame on Spark: executors assess its rows with the same function as one machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from api.errors import OutputError
from api.scores.portfolio import assess_block, schema_of
from features.engines import spark
from features.store.frame_files import KEYS, FrameFiles, to_block
from features.store.vectors import Snapshot
from scoring import Bundle

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.backends.pyspark import Backend


@contextmanager
def spark_tables(
    engine: Backend, bundle: Bundle, frame: FrameFiles, requested_on: date, out: Path
) -> Iterator[Iterator[pa.Table]]:
    """Assess a frame on a Spark session, and yield the tables for `write_tables`.

    The executors write to a temporary folder beside `out`, which must be visible to them, as must the frame. The block
    deletes it at its end. The driver reads it in batches.

    Raises:
        OutputError: Spark cannot assess the frame or write the results.
    """
    folder = out.absolute().with_name(f".{out.name}.{os.getpid()}.spark")
    assess = partial(_assess_batches, bundle, frame.snapshot, frame.names, requested_on)
    try:
        rows = spark.read_parquet(engine, frame.files).select(KEYS[0], *frame.names)
        spark.map_arrow(engine, rows, assess, schema_of(bundle), folder)
        yield _tables(folder)
    except spark.engine_errors() as error:
        raise OutputError(f"Spark could not score the frame: {spark.reason_of(error)}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _assess_batches(
    bundle: Bundle, snapshot: Snapshot, names: tuple[str, ...], requested_on: date, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from assess_block(bundle, to_block(snapshot, names, batch), requested_on).to_batches()


def _tables(folder: Path) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield pa.Table.from_batches([batch])
