"""The embedded engine: Ibis on DuckDB. The only module that imports DuckDB."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


@contextmanager
def open_engine(threads: int | None = None, memory_limit: str = "4GB") -> Iterator[Backend]:
    """Open an in-memory Ibis backend that spills to a temporary folder; both are removed at the end of the block.

    Times are UTC regardless of the machine. Results that must not depend on `threads` are integers.

    Example:
        >>> with open_engine(threads=1) as engine:
        ...     engine.read_parquet("orders.parquet").count().to_pyarrow().as_py()  # doctest: +SKIP
        541909
    """
    import ibis

    with tempfile.TemporaryDirectory(prefix="sellerscore-") as spill:
        settings: dict[str, object] = {
            "temp_directory": spill,
            "memory_limit": memory_limit,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
        }
        if threads is not None:
            settings["threads"] = threads
        backend = ibis.duckdb.connect(**settings)
        backend.raw_sql("SET TimeZone = 'UTC'")
        if backend.raw_sql("SELECT current_setting('enable_progress_bar')").fetchall() == [(True,)]:
            # our commands have their own; in some notebooks the setting cannot be changed
            backend.raw_sql("SET enable_progress_bar = false")
        try:
            yield backend
        finally:
            backend.disconnect()


def read_parquet(engine: Backend, paths: Sequence[Path]) -> ir.Table:
    """Return the rows of Parquet files with one schema. The engine would read wildcards in their names."""
    return engine.read_parquet([glob.escape(str(path)) for path in paths])


@contextmanager
def workspace(engine: Backend) -> Iterator[Callable[[ir.Table], ir.Table]]:
    """Yield a function that computes a table now and returns it for repeated reading; the block drops all at its end.

    Ibis' own `cache` drops tables when Python frees them, with SQL that this version of DuckDB does not parse.
    """
    import ibis

    names: list[str] = []

    def keep(table: ir.Table) -> ir.Table:
        names.append(ibis.util.gen_name("kept"))
        return engine.create_table(names[-1], table, temp=True)

    try:
        yield keep
    finally:
        for name in names:
            engine.raw_sql(f'DROP TABLE "{name}"')


def confine(engine: Backend, files: Sequence[str], folders: Sequence[str]) -> None:
    """Restrict the engine to reading `files` and to reading and writing in `folders`, until it is closed.

    Both are compared as text with the paths in a query, wildcards included.
    """

    def listed(paths: Sequence[str]) -> str:
        return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"

    spill = engine.raw_sql("SELECT current_setting('temp_directory')").fetchone()[0]
    engine.raw_sql(f"SET allowed_paths = {listed(files)}")
    engine.raw_sql(f"SET allowed_directories = {listed([*folders, spill])}")
    engine.raw_sql("SET enable_external_access = false")
    engine.raw_sql("SET lock_configuration = true")


def statements(engine: Backend, sql: str) -> list[tuple[str, str]]:
    """Return the kind (such as SELECT or CREATE) and the text of each statement in `sql`."""
    return [(each.type.name, each.query) for each in engine.con.extract_statements(sql)]


def engine_errors() -> type[Exception]:
    """Return the base class of the engine's errors, for an `except` clause."""
    import duckdb

    base: type[Exception] = duckdb.Error
    return base


def out_of_memory() -> type[Exception]:
    """Return the class of the engine's out-of-memory errors."""
    import duckdb

    error: type[Exception] = duckdb.OutOfMemoryException
    return error
