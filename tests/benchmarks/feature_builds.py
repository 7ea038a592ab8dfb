"""Tasks of the features benchmark, each in a separate process on two cores: scan, build, baseline, reads."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from features.ingest import OperatingStore

_CORES: Final = 2
_SCANS: Final = 3
P = ParamSpec("P")
R = TypeVar("R")


class Runner(Protocol):
    """Runs a task with its arguments and returns its result."""

    def __call__(self, task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...


def run_in_new_process(task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a task in a new process on two cores, so that earlier tasks affect neither its time nor its memory."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=_on_two_cores) as pool:
        return pool.submit(task, *args, **kwargs).result()


def _on_two_cores() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])


@dataclass(frozen=True)
class Job:
    """A build: the store, an optional delivery to ingest first, and the midnights of the frame (none: no frame).

    `out` names a Parquet file for the frame; writing it is not timed. With `fold`, tiles are computed.
    """

    store: Path
    delivery: Path | None = None
    midnights: tuple[date, ...] = ()
    out: Path | None = None
    fold: bool = True


@dataclass(frozen=True)
class Built:
    """Wall seconds by stage (`intake`, `tiles`, `frames`), peak memory of the process, and the orders in the store."""

    seconds: dict[str, float]
    peak_gib: float
    orders: int

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def build(job: Job) -> Built:
    """Run a job: ingest, fold tiles, compute the frame of all sellers."""
    from features.engines.duckdb import open_engine
    from features.ingest import ingest, open_store
    from features.pipeline import compute_frame
    from features.store.tiles import current_tiles

    clock = _Clock()
    if job.delivery is not None:
        with clock.stage("intake"):
            ingest(job.delivery, job.store)
    store = open_store(job.store)
    if job.fold:
        with clock.stage("tiles"), open_engine() as engine, current_tiles(engine, store):
            pass
    computed = None
    if job.midnights:
        with clock.stage("frames"):
            computed = compute_frame(store, _pairs(store, job.midnights))
    peak = peak_gib()
    if computed is not None and job.out is not None:
        computed.to_parquet(job.out)
    return Built(clock.seconds, peak, store.rows("orders"))


def _pairs(store: OperatingStore, midnights: tuple[date, ...]) -> pd.DataFrame:
    """Return every seller of the last midnight, as of all midnights."""
    import pandas as pd

    from features.pipeline import all_sellers

    sellers = all_sellers(store, midnights[-1])
    return pd.concat([sellers.assign(as_of=day) for day in midnights])


def peak_gib() -> float:
    """Return the peak memory of this process; on Linux without the memory of its parent."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss starts at the parent's peak on Linux
        marks = (line.split() for line in status.read_text(encoding="ascii").splitlines())
        return next(int(fields[1]) for fields in marks if fields[0] == "VmHWM:") * 1024 / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30


def scan_seconds(delivery: Path) -> float:
    """Return the seconds in which DuckDB hashes every contract column of a delivery: the best of three."""
    import duckdb

    from features.schema import TABLES

    seconds = []
    with duckdb.connect(config={"threads": _CORES}) as connection:
        for _ in range(_SCANS):
            start = time.perf_counter()
            for table in TABLES:
                hashes = ", ".join(f'bit_xor(hash("{column}"))' for column in table.column_names)
                connection.read_parquet(str(delivery / f"{table.name}.parquet")).aggregate(hashes).fetchall()
            seconds.append(time.perf_counter() - start)
    return min(seconds)


def baseline(store: Path, midnights: tuple[date, ...], out: Path) -> Built:
    """Compute the same frame with pandas from the same accepted files."""
    from features.facts import LOAN_TABLES
    from features.ingest import open_store
    from tests.benchmarks.pandas_baseline import frames
    from tests.benchmarks.pandas_baseline.seller_view import SUMMED

    accepted = open_store(store)
    files = {table: accepted.files(table) for table in ("sellers", "stores", *SUMMED, *LOAN_TABLES)}
    clock = _Clock()
    with clock.stage("pandas"):
        computed = frames(files, midnights)
    peak = peak_gib()
    computed.to_parquet(out)
    return Built(clock.seconds, peak, accepted.rows("orders"))


def read_p99_ms(store: Path, frame: Path, reads: int) -> float:
    """Return the 99th percentile of the time to read a random seller's stored vector, as the API does."""
    import pandas as pd

    from features.ingest import open_store
    from features.materialize import rows_of, snapshot_of
    from features.store.vectors import VectorStore

    computed = pd.read_parquet(frame)
    latest = computed[computed.index.get_level_values("as_of") == computed.index.get_level_values("as_of").max()]
    vectors = VectorStore(frame.with_name("vectors.db"))
    vectors.replace(snapshot_of(open_store(store)), rows_of(latest))
    sellers = random.Random(0).choices(latest.index.get_level_values("seller_id").tolist(), k=reads)  # noqa: S311 - no secret
    seconds = []
    for seller in sellers:
        start = time.perf_counter()
        vectors.latest(seller)
        seconds.append(time.perf_counter() - start)
    return float(pd.Series(seconds).quantile(0.99) * 1000)
