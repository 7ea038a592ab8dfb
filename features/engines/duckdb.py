"""The embedded engine: Ibis on DuckDB. The only module that names DuckDB."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


@contextmanager
def open_engine(threads: int | None = None, memory_limit: str = "4GB") -> Iterator[Backend]:
    """Open an in-memory Ibis backend that spills to a temporary folder; both are gone when the block ends.

    Times are UTC whatever the machine says. Results that must not depend on `threads` are integers.

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
            # our commands show their own; some notebooks have none and may not even turn it off
            backend.raw_sql("SET enable_progress_bar = false")
        try:
            yield backend
        finally:
            backend.disconnect()


@contextmanager
def workspace(engine: Backend) -> Iterator[Callable[[ir.Table], ir.Table]]:
    """Yield a function that computes a table now and returns it to be read again; all are dropped when the block ends.

    Ibis' own `cache` would drop them whenever Python frees them, in words that this engine no longer parses.
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
    """Let the engine read `files`, read and write in `folders`, and touch nothing else until it is closed.

    Both are compared as text with what a query names, wildcards included.
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
    """Return the base of all errors that the engine raises, to be named in an `except` clause."""
    import duckdb

    base: type[Exception] = duckdb.Error
    return base


def out_of_memory() -> type[Exception]:
    """Return the error that the engine raises where what it may use of memory does not suffice."""
    import duckdb

    error: type[Exception] = duckdb.OutOfMemoryException
    return error
