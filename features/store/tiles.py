"""Tiles on disk: folded in once a delivery, read by every frame; a cache of accepted rows, to be had anew any time.

`tiles/` in the store's folder holds a folder a fold, and a manifest that alone says which of them count: replacing it
is the one moment of commit. What a killed fold left behind is cleared away by the next.

Tiles of a cluster: a fold adds up some deliveries, once, into a folder of Parquet that every frame reads.

A fold's name tells the definitions and all deliveries up to its last, so a name that is there is right, whoever made
it. Renaming a finished folder is the moment of commit: two writers of one fold make the same, and one of them wins.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.catalogue.definition import tile_digest
from features.engines import spark
from features.engines.duckdb import engine_errors, workspace
from features.engines.spark import fetch, read_parquet, write_parquet
from features.errors import StoreError
from features.facts import LOAN_TABLES, TILE_KEYS
from features.store.folders import replace_text, sync_file
from features.tiles import Rows, buyer_tiles, late_related_parties, load_stored_orders, tiles

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend as DuckDbBackend
    from ibis.backends.pyspark import Backend as SparkBackend

    from features.ingest import OperatingStore
    from features.store.operating import StoredDelivery


_MANIFEST: Final = "manifest.json"


_MOST_FOLDS: Final = 64
"""Folds beyond which all are built into one: each is a few files to open for every frame."""


SOURCES: Final = ("sellers", "stores", *TILE_KEYS, *LOAN_TABLES)
"""The tables that features are made of."""


@dataclass(frozen=True)
class Fold:
    """Deliveries added up together: their ids and tables, the folder, its files by tile, and since when it is known.

    `files` holds each file's length too, in bytes, so that one cut short is noticed. `known_since` is the first
    midnight at which any row of a table was visible, as ISO text, by table.
    """

    deliveries: tuple[str, ...]
    folder: str
    files: Mapping[str, Mapping[str, int]]
    known_since: Mapping[str, str]


@dataclass(frozen=True)
class TileSet:
    """All tiles of a store, to read: files by tile name, and the first midnight at which each table was known.

    `begins` is the day on which the platform began to record a table, for tables of which it was declared.
    """

    files: Mapping[str, tuple[Path, ...]]
    known_since: Mapping[str, date]
    begins: Mapping[str, date] = field(default_factory=dict)


def current_tiles(engine: DuckDbBackend, store: OperatingStore) -> TileSet:
    """Return the tiles of all deliveries of the store, after folding in those that were not yet.

    A second process that folds waits for the first, then finds its work done. Tiles of other definitions, or of
    deliveries that the store no longer begins with, are built anew.

    Raises:
        StoreError: accepted rows or tiles cannot be read or written.
    """
    home = store.folder / "tiles"
    folds = _folds(home, store)
    if _fold_new_deliveries(folds) < len(store.deliveries):
        with _writing(home) as incoming:
            folds = _folds(home, store)
            _clear_leftovers(home, folds, incoming)
            if _fold_new_deliveries(folds) < len(store.deliveries):
                folds = _add(engine, store, folds, incoming)
                _commit(home, folds, incoming)
    return with_declarations(_tile_set(home, folds), store)


def with_declarations(found: TileSet, store: OperatingStore) -> TileSet:
    """Return the tiles with what deliveries declare: a table that is absent is known since the first order."""
    since = dict(found.known_since)
    if "orders" in since:
        since |= {name: since["orders"] for name in store.absent if name in TILE_KEYS}
    return TileSet(found.files, since, store.begins)


def _fold_new_deliveries(folds: Sequence[Fold]) -> int:
    return sum(len(fold.deliveries) for fold in folds)


def _folds(home: Path, store: OperatingStore) -> tuple[Fold, ...]:
    """Return the folds that still hold: of these definitions, of the store's first deliveries, with whole files."""
    try:
        content = json.loads((home / _MANIFEST).read_text(encoding="utf-8"))
        folds = tuple(map(_from_entry, content["folds"]))
        definitions = content["definitions"]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()  # a cache that cannot be read is built anew
    folded = [delivery for fold in folds for delivery in fold.deliveries]
    present = list(map(_folder_name, store.deliveries))
    whole = all(
        _length(home / fold.folder / name) == length
        for fold in folds
        for files in fold.files.values()
        for name, length in files.items()
    )
    return folds if definitions == tile_digest() and folded == present[: len(folded)] and whole else ()


def _length(path: Path) -> int | None:
    """Return how many bytes a file has, None where there is none."""
    return path.stat().st_size if path.is_file() else None


def _folder_name(delivery: StoredDelivery) -> str:
    return f"{delivery.delivery_id} {','.join(sorted(delivery.rows))}"


def _from_entry(entry: dict[str, object]) -> Fold:
    deliveries, files, since = entry["deliveries"], entry["files"], entry["known_since"]
    if not (isinstance(deliveries, list) and isinstance(files, dict) and isinstance(since, dict)):
        raise TypeError("a fold has a list of deliveries, files by name and midnights by table")
    named = {name: {str(file): int(length) for file, length in those.items()} for name, those in files.items()}
    return Fold(tuple(map(str, deliveries)), str(entry["folder"]), named, since)


def _add(engine: DuckDbBackend, store: OperatingStore, folds: tuple[Fold, ...], incoming: Path) -> tuple[Fold, ...]:
    """Write the tiles of the deliveries that are not folded yet into `incoming`; return all folds that then count."""
    done = _fold_new_deliveries(folds)
    old, new = store.deliveries[:done], store.deliveries[done:]
    try:
        rows = Rows(_tables(engine, store, new), _tables(engine, store, old))
        late = late_related_parties(rows)
        if len(folds) >= _MOST_FOLDS or (late is not None and late.to_pyarrow().as_py()):
            folds, new, rows = (), store.deliveries, Rows(_tables(engine, store, store.deliveries), {})
        with workspace(engine) as keep:
            fold = _write(load_stored_orders(Rows(rows.fresh, rows.stored, keep)), new, incoming)
    except engine_errors() as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"The operating data in {store.folder} cannot be read ({reason}); restore them.") from error
    return (*folds, fold)


def _tables(engine: DuckDbBackend, store: OperatingStore, deliveries: Sequence[StoredDelivery]) -> dict[str, ir.Table]:
    found = {name: store.files(name, deliveries) for name in SOURCES}
    return {name: engine.read_parquet([str(file) for file in files]) for name, files in found.items() if files}


def _write(rows: Rows, deliveries: Sequence[StoredDelivery], incoming: Path) -> Fold:
    files: dict[str, dict[str, int]] = {}
    for made in (tiles(rows), buyer_tiles(rows)):
        for name, table in made:
            those = files.setdefault(name, {})
            path = incoming / f"{name}.{len(those)}.parquet"
            # A store's rows together, or DuckDB's threads begin a frame's sums anew with every few thousand rows
            table.order_by("store_id", "day").to_parquet(path)
            those[path.name] = path.stat().st_size
    since = {name: table.visible_from.min().to_pyarrow().as_py() for name, table in rows.fresh.items()}
    known = {name: day.isoformat() for name, day in since.items() if day is not None}
    return Fold(tuple(map(_folder_name, deliveries)), incoming.name.removeprefix("."), files, known)


@contextmanager
def _writing(home: Path) -> Iterator[Path]:
    """Hold the tiles for one writer and yield a folder to build a fold in; StoreError where there is none."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            incoming = Path(tempfile.mkdtemp(prefix=".fold-", dir=home))
            try:
                yield incoming
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"{home} cannot be written: {error.strerror or error}; give the store room and the right to write"
        ) from error


def _clear_leftovers(home: Path, folds: Sequence[Fold], incoming: Path) -> None:
    counted = {fold.folder for fold in folds} | {incoming.name}
    for folder in home.iterdir():
        if folder.is_dir() and folder.name not in counted:
            shutil.rmtree(folder)


def _commit(home: Path, folds: tuple[Fold, ...], incoming: Path) -> None:
    """Put the new fold in its place and make it count: files reach the disk, then their folder, then the manifest."""
    for path in [*incoming.iterdir(), incoming]:
        sync_file(path)
    incoming.rename(home / folds[-1].folder)
    sync_file(home)
    content = {"definitions": tile_digest(), "folds": [asdict(fold) for fold in folds]}
    replace_text(home / _MANIFEST, json.dumps(content, indent=2) + "\n")


def _tile_set(home: Path, folds: Sequence[Fold]) -> TileSet:
    files: dict[str, tuple[Path, ...]] = {}
    since: dict[str, date] = {}
    for fold in folds:
        for name, names in fold.files.items():
            files[name] = (*files.get(name, ()), *(home / fold.folder / each for each in names))
        for table, text in fold.known_since.items():
            day = date.fromisoformat(text)
            since[table] = min(day, since.get(table, day))
    return TileSet(files, since)


_KNOWN_SINCE: Final = "known_since.json"


@dataclass(frozen=True)
class _SparkFold:
    """The deliveries from number `first` up to, not including, `end`."""

    first: int
    end: int
    folder: Path


def current_spark_tiles(engine: SparkBackend, store: OperatingStore) -> TileSet:
    """Return the tiles of all deliveries of the store, after folding in those that were not yet.

    Raises:
        StoreError: the folder for tiles cannot be written.
    """
    home = store.folder / "tiles-spark"
    folds = _chain(home, store)
    done = folds[-1].end if folds else 0
    if done < len(store.deliveries):
        first = 0 if _is_outdated(engine, store, done) else done
        end = len(store.deliveries)
        wanted = _SparkFold(first, end, home / f"{first}-{end}-{_fold_digest(store, end)}")
        folds = [*(folds if first else []), _fold_on_spark(engine, store, wanted)]
    return with_declarations(_spark_tile_set(folds), store)


def _chain(home: Path, store: OperatingStore) -> list[_SparkFold]:
    """Return the folds that are there, of the store's first deliveries: each begins where the one before ends."""
    there = {path.name for path in home.iterdir()} if home.exists() else set()
    digests = [_fold_digest(store, end) for end in range(len(store.deliveries) + 1)]
    folds: list[_SparkFold] = []
    while True:
        first = folds[-1].end if folds else 0
        # The longest first: where deliveries were folded anew, the fold of all of them is the right one.
        for end in range(len(store.deliveries), first, -1):
            if f"{first}-{end}-{digests[end]}" in there:
                folds.append(_SparkFold(first, end, home / f"{first}-{end}-{digests[end]}"))
                break
        else:
            return folds


def _fold_digest(store: OperatingStore, end: int) -> str:
    """Return what tells the definitions and the first `end` deliveries, each with the tables that were taken of it."""
    added_up = (f"{each.delivery_id} {','.join(sorted(each.rows))}" for each in store.deliveries[:end])
    return hashlib.sha256("\n".join((tile_digest(), *added_up)).encode()).hexdigest()[:32]


def _rows_of(engine: SparkBackend, store: OperatingStore, first: int, end: int) -> Rows:
    def tables(start: int, stop: int) -> dict[str, ir.Table]:
        found = {name: store.files(name, store.deliveries[start:stop]) for name in SOURCES}
        return {name: read_parquet(engine, files) for name, files in found.items() if files}

    return Rows(tables(first, end), tables(0, first))


def _is_outdated(engine: SparkBackend, store: OperatingStore, done: int) -> bool:
    late = late_related_parties(_rows_of(engine, store, done, len(store.deliveries)))
    return late is not None and fetch(engine, late.name("orders").as_table())[0]["orders"] > 0


def _fold_on_spark(engine: SparkBackend, store: OperatingStore, wanted: _SparkFold) -> _SparkFold:
    """Compute a fold beside its place, and move it there when it is whole."""
    incoming = wanted.folder.with_name(f".fold-{secrets.token_hex(8)}")
    try:
        incoming.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"{incoming.parent} cannot be written: {error.strerror}; give it room and the right."
        ) from error
    try:
        rows = _rows_of(engine, store, wanted.first, wanted.end)
        with spark.workspace(engine, incoming.parent) as keep:
            _write_spark_fold(engine, load_stored_orders(Rows(rows.fresh, rows.stored, keep)), incoming)
        _move(incoming, wanted.folder)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return wanted


def _move(incoming: Path, place: Path) -> None:
    try:
        incoming.rename(place)
    except OSError:
        if not place.exists():  # else another writer was sooner, and what he wrote is the same
            raise


def _write_spark_fold(engine: SparkBackend, rows: Rows, folder: Path) -> None:
    for number, (name, table) in enumerate(_all_tiles(rows)):
        write_parquet(engine, table, folder / f"{name}.{number}.parquet")
    since = {name: day.isoformat() for name, day in _known_since(engine, rows.fresh).items()}
    (folder / _KNOWN_SINCE).write_text(json.dumps(since), encoding="utf-8")


def _all_tiles(rows: Rows) -> Iterator[tuple[str, ir.Table]]:
    yield from tiles(rows)
    yield from buyer_tiles(rows)


def _known_since(engine: SparkBackend, tables: Mapping[str, ir.Table]) -> dict[str, date]:
    firsts = {name: table.agg(day=table.visible_from.min()) for name, table in tables.items()}
    days = {name: fetch(engine, first)[0]["day"] for name, first in firsts.items()}
    return {name: day for name, day in days.items() if day is not None}


def _spark_tile_set(folds: Sequence[_SparkFold]) -> TileSet:
    files: dict[str, tuple[Path, ...]] = {}
    since: dict[str, date] = {}
    for fold in folds:
        for path in sorted(fold.folder.glob("*.parquet")):
            name = path.name.partition(".")[0]
            files[name] = (*files.get(name, ()), path)
        for table, text in json.loads((fold.folder / _KNOWN_SINCE).read_text(encoding="utf-8")).items():
            day = date.fromisoformat(text)
            since[table] = min(day, since.get(table, day))
    return TileSet(files, since)
