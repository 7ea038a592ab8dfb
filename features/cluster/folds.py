"""Tiles of a cluster: a fold adds up some deliveries, once, into a folder of Parquet that every frame reads.

A fold's name tells the definitions and all deliveries up to its last, so a name that is there is right, whoever made
it. Renaming a finished folder is the moment of commit: two writers of one fold make the same, and one of them wins.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.buyers import buyer_tiles
from features.catalogue.definition import tile_digest
from features.engines.spark import fetch, read_parquet, workspace, write_parquet
from features.errors import StoreError
from features.tile_store import SOURCES, TileSet, with_declarations
from features.tiles import Rows, awakened_insiders, recalled, tiles

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.pyspark import Backend

    from features.intake import OperatingStore

_KNOWN_SINCE: Final = "known_since.json"


@dataclass(frozen=True)
class _Fold:
    """The deliveries from number `first` up to, not including, `end`."""

    first: int
    end: int
    folder: Path


def current_tiles(engine: Backend, store: OperatingStore) -> TileSet:
    """Return the tiles of all deliveries of the store, after folding in those that were not yet.

    Raises:
        StoreError: the folder for tiles cannot be written.
    """
    home = store.folder / "tiles-spark"
    folds = _chain(home, store)
    done = folds[-1].end if folds else 0
    if done < len(store.deliveries):
        first = 0 if _wrong_by_now(engine, store, done) else done
        end = len(store.deliveries)
        wanted = _Fold(first, end, home / f"{first}-{end}-{_digest(store, end)}")
        folds = [*(folds if first else []), _fold(engine, store, wanted)]
    return with_declarations(_tile_set(folds), store)


def _chain(home: Path, store: OperatingStore) -> list[_Fold]:
    """Return the folds that are there, of the store's first deliveries: each begins where the one before ends."""
    there = {path.name for path in home.iterdir()} if home.exists() else set()
    digests = [_digest(store, end) for end in range(len(store.deliveries) + 1)]
    folds: list[_Fold] = []
    while True:
        first = folds[-1].end if folds else 0
        # The longest first: where deliveries were folded anew, the fold of all of them is the right one.
        for end in range(len(store.deliveries), first, -1):
            if f"{first}-{end}-{digests[end]}" in there:
                folds.append(_Fold(first, end, home / f"{first}-{end}-{digests[end]}"))
                break
        else:
            return folds


def _digest(store: OperatingStore, end: int) -> str:
    """Return what tells the definitions and the first `end` deliveries, each with the tables that were taken of it."""
    added_up = (f"{each.delivery_id} {','.join(sorted(each.rows))}" for each in store.deliveries[:end])
    return hashlib.sha256("\n".join((tile_digest(), *added_up)).encode()).hexdigest()[:32]


def _rows(engine: Backend, store: OperatingStore, first: int, end: int) -> Rows:
    def tables(start: int, stop: int) -> dict[str, ir.Table]:
        found = {name: store.files(name, store.deliveries[start:stop]) for name in SOURCES}
        return {name: read_parquet(engine, files) for name, files in found.items() if files}

    return Rows(tables(first, end), tables(0, first))


def _wrong_by_now(engine: Backend, store: OperatingStore, done: int) -> bool:
    late = awakened_insiders(_rows(engine, store, done, len(store.deliveries)))
    return late is not None and fetch(engine, late.name("orders").as_table())[0]["orders"] > 0


def _fold(engine: Backend, store: OperatingStore, wanted: _Fold) -> _Fold:
    """Compute a fold beside its place, and move it there when it is whole."""
    incoming = wanted.folder.with_name(f".fold-{secrets.token_hex(8)}")
    try:
        incoming.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"{incoming.parent} cannot be written: {error.strerror}; give it room and the right."
        ) from error
    try:
        rows = _rows(engine, store, wanted.first, wanted.end)
        with workspace(engine, incoming.parent) as keep:
            _write(engine, recalled(Rows(rows.fresh, rows.stored, keep)), incoming)
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


def _write(engine: Backend, rows: Rows, folder: Path) -> None:
    for number, (name, table) in enumerate(_all_tiles(rows)):
        write_parquet(engine, table, folder / f"{name}.{number}.parquet")
    since = {name: day.isoformat() for name, day in _known_since(engine, rows.fresh).items()}
    (folder / _KNOWN_SINCE).write_text(json.dumps(since), encoding="utf-8")


def _all_tiles(rows: Rows) -> Iterator[tuple[str, ir.Table]]:
    yield from tiles(rows)
    yield from buyer_tiles(rows)


def _known_since(engine: Backend, tables: Mapping[str, ir.Table]) -> dict[str, date]:
    firsts = {name: table.agg(day=table.visible_from.min()) for name, table in tables.items()}
    days = {name: fetch(engine, first)[0]["day"] for name, first in firsts.items()}
    return {name: day for name, day in days.items() if day is not None}


def _tile_set(folds: Sequence[_Fold]) -> TileSet:
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
