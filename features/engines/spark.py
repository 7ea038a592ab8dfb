"""The cluster engine: Ibis on PySpark. The only module that imports PySpark.

Executors read and write Parquet; rows reach the driver only through `fetch`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from features.errors import EngineError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends.pyspark import Backend
    from pyspark.sql import DataFrame, SparkSession

MASTER: Final = "SELLERSCORE_SPARK_MASTER"
"""The environment variable with the Spark master URL."""

_SETTINGS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # a sum that does not fit is an error, never null
    "spark.sql.autoBroadcastJoinThreshold": "64m",  # the ids of millions of stores, so that orders are not shuffled
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
_LOCAL: Final = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "4g",
}
"""Further settings if executors are threads of the driver; a cluster has its own configuration."""

_OLDEST_JAVA: Final = 17


def master() -> str:
    """Return the Spark master: from the environment, else all cores of this machine.

    Example: with `SELLERSCORE_SPARK_MASTER=yarn`, `yarn`; without, `local[*]`.
    """
    return os.environ.get(MASTER) or "local[*]"


@contextmanager
def open_engine(cluster: str | None = None) -> Iterator[Backend]:
    """Open an Ibis backend on a Spark session of the cluster; the session ends with the block.

    An existing session, such as a notebook's, is used unchanged and left open.

    Args:
        cluster: a Spark master URL, `master()` if None; memory and cores come from Spark's configuration.

    Raises:
        EngineError: PySpark or Java is not installed, or the session cannot be started.
    """
    with warnings.catch_warnings():
        # a general warning about pandas 3; only a few plain values pass through pandas here
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        session, started = _session(cluster or master())
        import ibis

        try:
            yield ibis.pyspark.connect(session)
        finally:
            if started:
                session.stop()


def _session(cluster: str) -> tuple[SparkSession, bool]:
    """Return a session, and whether it is a new one."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise EngineError(
            "PySpark is not installed; install sellerscore with its extra `spark`, or use --engine duckdb."
        ) from error
    active = SparkSession.getActiveSession()
    if active is not None:
        return active, False
    expect_java()
    builder = SparkSession.builder.master(cluster).appName("sellerscore")
    try:
        with _silence():
            return builder.config(map=_settings(cluster)).getOrCreate(), True
    except engine_errors() as error:
        raise EngineError(
            f"Spark cannot start on {cluster} ({reason_of(error)}); {MASTER} takes a master that runs and can be "
            "reached, such as local[*], yarn or spark://host:7077."
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Hide what Java writes to the error stream while it starts: traces that the error message summarizes."""
    stderr = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _settings(cluster: str) -> dict[str, str]:
    if not cluster.startswith("local"):
        return _SETTINGS
    return {**_SETTINGS, **_LOCAL, "spark.sql.shuffle.partitions": str(_threads(cluster))}


def _threads(cluster: str) -> int:
    inside = cluster.removeprefix("local").strip("[]").partition(",")[0]
    return int(inside) if inside.isdigit() else (os.cpu_count() or 1) if inside else 1


def expect_java() -> None:
    """Check that Java 17 or later is installed.

    Raises:
        EngineError: it is not.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if java is None:
        raise EngineError(
            "Spark needs Java 17 or later, and none was found; install one or set JAVA_HOME, or use --engine duckdb."
        )
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = output.partition('version "')[2].partition('"')[0]
    if int(version.split(".")[0] or 0) < _OLDEST_JAVA:
        raise EngineError(
            f"Spark needs Java 17 or later, and {java} is {version or 'of unknown version'}; "
            "set JAVA_HOME to a newer one, or use --engine duckdb."
        )


def read_parquet(engine: Backend, paths: Sequence[Path]) -> ir.Table:
    """Return the rows of Parquet files or folders with one schema. The method of Ibis takes one path only."""
    return _named(engine, engine._session.read.parquet(*map(str, paths)))


def write_parquet(engine: Backend, table: ir.Table, folder: Path) -> ir.Table:
    """Compute a table into a new folder of Parquet files and return the table of these files.

    The schema is known, so that Spark need not read it from the files as with the method of Ibis.
    """
    engine._run_pre_execute_hooks(table)
    rows = engine._session.sql(engine.compile(table))
    rows.write.parquet(str(folder))
    return _named(engine, engine._session.read.schema(rows.schema).parquet(str(folder)))


def _named(engine: Backend, rows: DataFrame) -> ir.Table:
    import ibis

    name = ibis.util.gen_name("parquet")
    rows.createOrReplaceTempView(name)
    return engine.table(name)


def map_arrow(
    engine: Backend,
    table: ir.Table,
    function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    schema: pa.Schema,
    folder: Path,
) -> None:
    """Apply a function to batches of a table on the executors, and write its results to a new folder of Parquet files.

    The executors need this program and its libraries.

    Args:
        engine: a Spark session.
        table: the input.
        function: from the batches of a partition to batches of results.
        schema: the columns of the results.
        folder: the new folder.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    context = engine._session.sparkContext
    if context.master.startswith("local"):
        context.pythonExec = sys.executable  # otherwise Spark starts the `python3` of the path
    rows = engine._session.sql(engine.compile(table))
    rows.mapInArrow(function, from_arrow_schema(schema)).write.parquet(str(folder))


def fetch(engine: Backend, table: ir.Table) -> list[dict[str, Any]]:
    """Return the rows of a small table to the driver. The method of Ibis uses a keyword that pandas 3 deprecates."""
    return [row.asDict() for row in engine._session.sql(engine.compile(table)).collect()]


@contextmanager
def workspace(engine: Backend, folder: Path) -> Iterator[Callable[[ir.Table], ir.Table]]:
    """Yield a function that computes a table now, into a subfolder of `folder`, and returns it for repeated reading.

    The tables are written, not cached, so that they survive the loss of an executor and query plans stay short. The
    block deletes them at its end.
    """
    import ibis

    scratch = folder / f".scratch-{secrets.token_hex(8)}"

    def keep(table: ir.Table) -> ir.Table:
        return write_parquet(engine, table, scratch / ibis.util.gen_name("kept"))

    try:
        yield keep
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def engine_errors() -> tuple[type[Exception], ...]:
    """Return the base classes of the engine's errors, for an `except` clause."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError


def reason_of(error: Exception) -> str:
    """Return the message of an engine error in one line; for errors of a Java call or a Python worker, its message."""
    lines = [line.removeprefix(": ") for line in str(error).strip().splitlines()] or [type(error).__name__]
    if lines[0].startswith("An exception was thrown from the Python worker"):
        return lines[-1].partition(": ")[2] or lines[-1]  # without the class of the error
    return lines[1] if lines[0].startswith("An error occurred while calling") and len(lines) > 1 else lines[0]
