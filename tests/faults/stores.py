"""The commands that write the stores of features: deliveries, tiles, vectors and the erasure of a seller."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from features import tiles
from features.engines.duckdb import open_engine
from features.errors import FeaturesError, StoreError
from features.festivals import festival_days
from features.ingest import ingest, open_store
from features.ingest.erasure import erase_rows
from features.store.tiles import current_tiles
from features.store.vectors import Snapshot, VectorStore
from tests.faults.runner import Acknowledged, Call
from tests.features.ingest.build import order, seller, store, write, write_orders, write_some

NOW: Final = datetime(2024, 3, 6, tzinfo=UTC)
ERASED: Final = "S1"
_SNAPSHOT: Final = Snapshot(date(2024, 3, 5), "data-1", "sha256:aa", {"orders": date(2024, 3, 5)})
_NEXT: Final = Snapshot(date(2024, 3, 6), "data-2", "sha256:aa", {"orders": date(2024, 3, 6)})
STEPS: Final = ("ingest", "update tiles", "store vectors", "erase", "ingest after erasure")
_CHANGES_TILES: Final = {"update tiles", "erase"}
_VECTORS: Final = [(f"S{number}", (0.5, None, float(number))) for number in range(200)]


def prepare_states(states: Path) -> None:
    """Create a folder with the state before each step."""
    # as in conftest.py: the query of all years takes a second to compile
    tiles.festival_days = lambda first=2017, last=2027: festival_days(first, last)  # type: ignore[attr-defined]
    folder = states / "all"
    sellers = [seller("S1"), seller("S2")]
    stores = [store("T1"), store("T2", seller_id="S2")]
    write(folder / "first", sellers=sellers, stores=stores, orders=[order("O1"), order("O2", store_id="T2")])
    # the store of the last order is unknown
    write_orders(folder / "second", order("O3"), order("O4", store_id="T2"), order("O5", store_id="T3"))
    write_some(folder / "third", sellers=[seller("S1"), seller("S3")])
    used = _Stores(folder, STEPS[0])
    used.ingest("first")
    used.update_tiles()
    used.vectors.replace(_SNAPSHOT, _VECTORS)
    for step, work in used.all_steps.items():
        shutil.copytree(folder, states / step)
        work()


class Stores:
    """A command on stores that earlier commands filled.

    Args:
        step: One of `STEPS`.
        states: The folder of `prepare_states`.
    """

    allowed_errors: tuple[type[Exception], ...] = (FeaturesError, OSError)
    starts_threads = True

    def __init__(self, step: str, states: Path) -> None:
        self._step = step
        self._states = states

    def prepare(self, folder: Path) -> None:
        shutil.copytree(self._states / self._step, folder, dirs_exist_ok=True)

    def open(self, folder: Path) -> _Stores:
        return _Stores(folder, self._step)

    def may_be_silent(self, call: Call, step: str) -> bool:  # noqa: ARG002
        """Return whether a draft remains, or the last checkpoint of the vectors failed."""
        of_vectors = call.path == "vectors.db" or (call.path == "vectors.db-wal" and call.name == "fdatasync")
        at_close = call.path.startswith("vectors.db-") and call.name == "unlink"
        return call.name == "unlinkat" or of_vectors or at_close

    def check(self, folder: Path, acknowledged: Acknowledged, call: Call) -> Iterator[str]:  # noqa: ARG002
        # a draft that could not be deleted is deleted by the next writer
        with_drafts = call.name == "unlinkat"
        yield from (
            f"{path.relative_to(folder)} is left"
            for path in folder.rglob("*")
            if (path.name[0] == "." or path.suffix == ".new")
            and path.name not in {".lock", ".readers"}
            and not with_drafts
        )
        content, file = _content(folder, with_tiles=self._step in _CHANGES_TILES), folder.parent / "expected.json"
        if not file.exists():
            file.write_text(json.dumps(content))  # of the run without a fault
        expected = json.loads(file.read_text())
        yield from (
            f"{name} is different"
            for name in sorted(expected.keys() | content.keys())
            if expected.get(name) != content.get(name)
        )


class _Stores:
    def __init__(self, folder: Path, step: str) -> None:
        self._folder = folder
        self._step = step
        self.operating = folder / "operating"
        self.vectors = VectorStore(folder / "vectors.db")

    @property
    def all_steps(self) -> Mapping[str, Callable[[], Any]]:
        works = (
            lambda: self.ingest("second"),
            self.update_tiles,
            lambda: self.vectors.replace(_NEXT, _VECTORS),
            self.erase,
            lambda: self.ingest("third"),
        )
        return dict(zip(STEPS, works, strict=True))

    @property
    def steps(self) -> Mapping[str, Callable[[], Any]]:
        return {"read": self.read, self._step: self.all_steps[self._step]}

    def read(self) -> None:
        """Check that the stores are whole, with the former state or the new one."""
        opened = open_store(self.operating)
        for each in opened.deliveries:
            rows = {table: pq.read_metadata(opened.files(table, [each])[0]).num_rows for table in each.rows}
            # an interrupted erasure is completed by the next writer
            if rows != each.rows and not (self.operating / "erased.json").exists():
                raise StoreError(f"{each.delivery_id} has {rows} rows instead of {each.rows}")
        if len(list(self.vectors.all_latest())) not in {len(_VECTORS), len(_VECTORS) - 1}:
            raise StoreError("vectors were lost")

    def ingest(self, name: str) -> str:
        return ingest(self._folder / name, self.operating, now=NOW).delivery_id

    def update_tiles(self) -> None:
        _tiles(self.operating)

    def erase(self) -> None:
        erase_rows(self.operating, ERASED)
        self.vectors.remove(ERASED)


def _content(folder: Path, *, with_tiles: bool) -> dict[str, str]:
    """Return a digest of each file of the deliveries, of the tiles, and of the rows of the vectors."""
    operating = folder / "operating"
    files = [path for path in (operating / "deliveries").rglob("*") if path.is_file()]
    content = {str(path.relative_to(folder)): path.read_bytes() for path in [operating / "manifest.json", *files]}
    for name, paths in _tiles(operating).items() if with_tiles else ():
        rows = sorted(repr(row) for path in paths for row in pq.read_table(path).to_pylist())
        content[f"tiles {name}"] = "\n".join(rows).encode()
    with closing(sqlite3.connect(folder / "vectors.db")) as connection:
        content["vectors.db"] = "\n".join(connection.iterdump()).encode()
    return {name: hashlib.sha256(value).hexdigest() for name, value in content.items()}


def _tiles(operating: Path) -> Mapping[str, tuple[Path, ...]]:
    with open_engine() as engine, current_tiles(engine, open_store(operating)) as tiles:
        return tiles.files
