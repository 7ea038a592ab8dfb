"""The tile store: daily tiles on disk, updated once per delivery and read by every feature computation.

A fold is the tiles of deliveries that were added together. Tiles are a cache of accepted rows: they are rebuilt when a
file or a definition has changed. DuckDB and Spark use the same code and separate folders, `tiles` and `tiles-spark`.

Readers hold a lock, so that no other process deletes their tiles. A reader may have opened the store before the latest
ingest: it reads the folds of its deliveries only, or computes tiles of its own if they were merged with later ones.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from features.catalogue.definition import tile_digest
from features.engines import duckdb, spark
from features.errors import StoreError
from features.facts import LOAN_TABLES, TILE_KEYS
from features.store.folders import AtomicFolder, delete_abandoned_drafts, draft_folder
from features.tiles import Rows, buyer_tiles, late_related_parties, load_stored_orders, tiles

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend as DuckDbBackend
    from ibis.backends.pyspark import Backend as SparkBackend

    from features.ingest import OperatingStore
    from features.store.operating import StoredDelivery

_MAX_FOLDS: Final = 64
"""With more folds, all are merged into one: each fold adds files that every frame opens."""

_OWN: Final = "own"
"""The folder for tiles of a reader of an earlier version of the store; they are deleted after use."""

SOURCES: Final = ("sellers", "stores", *TILE_KEYS, *LOAN_TABLES)
"""The tables from which features are computed."""


@dataclass(frozen=True)
class Fold:
    """Deliveries whose tiles were computed together.

    Attributes:
        deliveries: their ids and tables.
        folder: the name of the fold's folder.
        files: the size of each file by tile (see `_size`), to detect damaged files.
        known_since: the first midnight at which any row of a table was visible.
    """

    deliveries: tuple[str, ...]
    folder: str
    files: Mapping[str, Mapping[str, int]]
    known_since: Mapping[str, date]


@dataclass(frozen=True)
class TileSet:
    """All tiles of a store, for reading.

    Attributes:
        files: Parquet files by tile.
        known_since: the first midnight at which each table was known.
        begins: the declared day on which the platform began to record a table.
    """

    files: Mapping[str, tuple[Path, ...]]
    known_since: Mapping[str, date]
    begins: Mapping[str, date] = field(default_factory=dict)


@dataclass(frozen=True)
class _TileEngine:
    """The operations of an engine that tiles need; `errors` are those of unreadable operating data."""

    folder: str
    read: Callable[[Sequence[Path]], ir.Table]
    write: Callable[[ir.Table, Path], object]
    fetch: Callable[[ir.Table], list[dict[str, Any]]]
    workspace: Callable[[Path], AbstractContextManager[Callable[[ir.Table], ir.Table]]]
    errors: tuple[type[Exception], ...] = ()
    draft_mode: int = 0o700


def current_tiles(engine: DuckDbBackend, store: OperatingStore) -> AbstractContextManager[TileSet]:
    """Open the tiles of all deliveries of the store for reading, after computing missing ones on DuckDB.

    If another process updates the tiles, wait for it. No process deletes the files until the block ends.

    Example:
        >>> with current_tiles(engine, store) as tiles:  # doctest: +SKIP
        ...     orders = read_parquet(engine, tiles.files["orders"])

    Raises:
        StoreError: accepted rows or tiles cannot be read or written.
    """
    return _current_tiles(
        _TileEngine(
            folder="tiles",
            read=partial(duckdb.read_parquet, engine),
            # A store's rows are kept together, or DuckDB's threads restart a frame's sums every few thousand rows.
            write=lambda table, path: table.order_by("store_id", "day").to_parquet(path),
            fetch=lambda table: table.to_pyarrow().to_pylist(),
            workspace=lambda _: duckdb.workspace(engine),
            errors=(duckdb.engine_errors(),),
        ),
        store,
    )


def current_spark_tiles(engine: SparkBackend, store: OperatingStore) -> AbstractContextManager[TileSet]:
    """Open the tiles of all deliveries of the store for reading, as `current_tiles` does, on Spark.

    Raises:
        StoreError: the folder for tiles cannot be written.
    """
    return _current_tiles(
        _TileEngine(
            folder="tiles-spark",
            read=partial(spark.read_parquet, engine),
            write=partial(spark.write_parquet, engine),
            fetch=partial(spark.fetch, engine),
            workspace=partial(spark.workspace, engine),
            draft_mode=0o777,  # executors may run as another user
        ),
        store,
    )


@contextmanager
def _current_tiles(engine: _TileEngine, store: OperatingStore) -> Iterator[TileSet]:
    home = store.folder / engine.folder
    manifest = AtomicFolder(home, home)
    with manifest.reading():
        folds = _folds_of(store, _read_folds(manifest, store))
        if folds is not None:
            yield _tile_set(home, folds, store)
            return
    with ExitStack() as reading:
        with _open_draft(manifest, engine.draft_mode) as draft:
            folds = _read_folds(manifest, store)
            if _count_deliveries(folds) < len(store.deliveries):
                # unused folds that are still read are deleted with the next update
                with suppress(BlockingIOError), manifest.unread(wait=False):
                    _delete_unlisted(home, folds)
                folds = _add_fold(engine, store, folds, draft)
                content = {"definitions": tile_digest(), "folds": [asdict(fold) for fold in folds]}
                manifest.commit(draft, folds[-1].folder, content)
            reading.enter_context(manifest.reading())
        folds = _folds_of(store, folds) or reading.enter_context(_own_folds(engine, store, home / _OWN))
        yield _tile_set(home, folds, store)


def _count_deliveries(folds: Sequence[Fold]) -> int:
    return sum(len(fold.deliveries) for fold in folds)


def _folds_of(store: OperatingStore, folds: tuple[Fold, ...]) -> tuple[Fold, ...] | None:
    """Return the first folds that together are of all deliveries of the store; None if there are no such folds."""
    counts = [0, *accumulate(len(fold.deliveries) for fold in folds)]
    return folds[: counts.index(len(store.deliveries))] if len(store.deliveries) in counts else None


@contextmanager
def _own_folds(engine: _TileEngine, store: OperatingStore, home: Path) -> Iterator[tuple[Fold, ...]]:
    """Compute the tiles of a store whose later deliveries were merged with its own; delete them at the end."""
    with ExitStack() as drafts:
        with _map_write_errors(home):
            delete_abandoned_drafts(home)
            draft = drafts.enter_context(draft_folder(home, engine.draft_mode))
            (fold,) = _add_fold(engine, store, (), draft)
        yield (replace(fold, folder=f"{home.name}/{draft.name}"),)


def _read_folds(manifest: AtomicFolder, store: OperatingStore) -> tuple[Fold, ...]:
    """Return the valid folds: of the current definitions and the store's deliveries, with undamaged files.

    They may be of the first deliveries of the store only, or also of later ones than the store has.
    """
    try:
        content = manifest.read()
        folds = TypeAdapter(tuple[Fold, ...]).validate_python(content["folds"])
        definitions = content["definitions"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()  # an unreadable cache is rebuilt
    folded = [delivery for fold in folds for delivery in fold.deliveries]
    present = list(map(_delivery_key, store.deliveries))
    both = min(len(folded), len(present))
    undamaged = all(
        _size(manifest.root / fold.folder / name) == size
        for fold in folds
        for files in fold.files.values()
        for name, size in files.items()
    )
    return folds if definitions == tile_digest() and folded[:both] == present[:both] and undamaged else ()


def _size(path: Path) -> int:
    """Return the bytes of a file, or the number of files in a folder of Spark; -1 if it does not exist."""
    if path.is_dir():
        return len(list(path.iterdir()))
    return path.stat().st_size if path.exists() else -1


def _delivery_key(delivery: StoredDelivery) -> str:
    return f"{delivery.delivery_id} {','.join(sorted(delivery.rows))}"


def _add_fold(engine: _TileEngine, store: OperatingStore, folds: tuple[Fold, ...], draft: Path) -> tuple[Fold, ...]:
    """Write the tiles of deliveries without tiles into `draft` and return all folds.

    All tiles are rebuilt if a new store turns earlier buyers into related parties.
    """
    done = _count_deliveries(folds)
    old, new = store.deliveries[:done], store.deliveries[done:]
    try:
        rows = Rows(_read_tables(engine, store, new), _read_tables(engine, store, old))
        late = late_related_parties(rows)
        if len(folds) >= _MAX_FOLDS or (
            late is not None and engine.fetch(late.name("orders").as_table())[0]["orders"] > 0
        ):
            folds, new, rows = (), store.deliveries, Rows(_read_tables(engine, store, store.deliveries), {})
        with engine.workspace(draft.parent) as keep:
            fold = _write_fold(engine, load_stored_orders(Rows(rows.fresh, rows.stored, keep)), new, draft)
    except engine.errors as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"The operating data in {store.folder} cannot be read ({reason}). Restore them.") from error
    return (*folds, fold)


def _read_tables(
    engine: _TileEngine, store: OperatingStore, deliveries: Sequence[StoredDelivery]
) -> dict[str, ir.Table]:
    files = {name: store.files(name, deliveries) for name in SOURCES}
    return {name: engine.read(paths) for name, paths in files.items() if paths}


def _write_fold(engine: _TileEngine, rows: Rows, deliveries: Sequence[StoredDelivery], draft: Path) -> Fold:
    files: dict[str, dict[str, int]] = {}
    for tables in (tiles(rows), buyer_tiles(rows)):
        for name, table in tables:
            sizes = files.setdefault(name, {})
            path = draft / f"{name}.{len(sizes)}.parquet"
            engine.write(table, path)
            sizes[path.name] = _size(path)
    first_days = {
        name: engine.fetch(table.agg(day=table.visible_from.min()))[0]["day"] for name, table in rows.fresh.items()
    }
    known_since = {name: day for name, day in first_days.items() if day is not None}
    return Fold(tuple(map(_delivery_key, deliveries)), f"fold-{secrets.token_hex(8)}", files, known_since)


@contextmanager
def _open_draft(manifest: AtomicFolder, mode: int) -> Iterator[Path]:
    with _map_write_errors(manifest.root), manifest.draft(mode) as draft:
        yield draft


@contextmanager
def _map_write_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{home} cannot be written: {error.strerror or error}. Give the store free space and write permission."
        ) from error


def _delete_unlisted(home: Path, folds: Sequence[Fold]) -> None:
    listed = {fold.folder for fold in folds}
    for folder in home.glob("fold-*"):
        if folder.name not in listed:
            shutil.rmtree(folder)


def _tile_set(home: Path, folds: Sequence[Fold], store: OperatingStore) -> TileSet:
    """Return the tiles of all folds; a table that is declared absent is known since the first order."""
    files: dict[str, tuple[Path, ...]] = {}
    since: dict[str, date] = {}
    for fold in folds:
        for name, names in fold.files.items():
            files[name] = (*files.get(name, ()), *(home / fold.folder / each for each in names))
        for table, day in fold.known_since.items():
            since[table] = min(day, since.get(table, day))
    if "orders" in since:
        since |= {name: since["orders"] for name in store.absent if name in TILE_KEYS}
    return TileSet(files, since, store.begins)
