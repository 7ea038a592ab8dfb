"""Growth of the build time on Spark: `python -m tests.benchmarks.spark_slopes [SELLERSxORDERS ...]`, for docs/scale.md.

ORDERS is the mean per seller. Processor seconds of the whole Java process are printed next to wall time, because other
load on the machine hardly changes them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.dataset as ds

from features.engines.spark import open_engine
from features.ingest import OperatingStore, ingest, open_store
from features.materialize import write_spark_frame
from features.store.tiles import current_spark_tiles
from training.simulation import SimulationConfig, simulate

if TYPE_CHECKING:
    from ibis.backends.pyspark import Backend

DAYS = 500
START = date(2022, 1, 1)
END = START + timedelta(days=DAYS)
MONTHLY = [END - timedelta(days=30 * month) for month in range(13)]


def main() -> None:
    """Print one line per size and step: all tiles, 13 monthly frames, one frame. The first size warms up Java."""
    sizes = sys.argv[1:] or ["700x1000", "1400x1000"]
    print("      size     orders    rows in  tile rows    MB in MB tiles  step        seconds processor  rows out")
    with tempfile.TemporaryDirectory() as folder, open_engine("local[2]") as engine:
        for size in ("300x1000", *sizes):
            _measure(engine, size, _store(Path(folder) / size, size))


def _store(folder: Path, size: str) -> OperatingStore:
    sellers, orders = map(int, size.split("x"))
    simulate(SimulationConfig(sellers, DAYS, 7, START, orders), folder / "delivery")
    ingest(folder / "delivery", folder / "operating")
    return open_store(folder / "operating")


def _count_tiles(engine: Backend, store: OperatingStore) -> int:
    with current_spark_tiles(engine, store) as tiles:
        return len(tiles.files)


def _measure(engine: Backend, size: str, store: OperatingStore) -> None:
    orders, rows = store.deliveries[0].rows["orders"], sum(store.deliveries[0].rows.values())
    accepted = store.folder / "deliveries"
    tiles = store.folder / "tiles-spark"
    for name, step in (
        ("tiles", lambda: _count_tiles(engine, store)),
        ("13 frames", lambda: write_spark_frame(engine, store, MONTHLY, store.folder / "monthly")),
        ("1 frame", lambda: write_spark_frame(engine, store, MONTHLY[:1], store.folder / "latest")),
    ):
        seconds, processor, out = _timed(engine, step)
        sizes = f"{orders:>10,} {rows:>10,} {_rows(tiles):>10,} {_megabytes(accepted):>8.1f} {_megabytes(tiles):>8.1f}"
        print(f"{size:>10} {sizes}  {name:<10} {seconds:>8.1f} {processor:>9.1f} {out:>9,}", flush=True)


def _timed(engine: Backend, step: Callable[[], int]) -> tuple[float, float, int]:
    before, started = _processor_seconds(engine), time.perf_counter()
    out = step()
    return time.perf_counter() - started, _processor_seconds(engine) - before, out


def _processor_seconds(engine: Backend) -> float:
    process = engine._session.sparkContext._jvm.java.lang.ProcessHandle.current()
    return float(process.info().totalCpuDuration().get().toNanos()) / 1e9


def _rows(folder: Path) -> int:
    files = [str(path) for path in folder.rglob("*.parquet") if path.is_file()]
    return sum(ds.dataset(file, format="parquet").count_rows() for file in files)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
