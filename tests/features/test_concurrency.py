"""Processes that work on one state folder at the same time: writers take turns, and readers lose no file."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from typing import TypeVar

import pandas as pd
import pytest

from features import materialize
from features.engines.duckdb import open_engine
from features.executor import INDEX
from features.ingest import OperatingStore, erase_rows, ingest, open_store
from features.materialize import materialize_vectors
from features.profile.series import digest
from features.store import tiles as tile_store
from features.store.folders import AtomicFolder
from features.store.profiles import ProfileSet
from features.store.seller_context import SellerContextSet
from features.store.tiles import TileSet, current_tiles
from features.store.vectors import VectorStore
from tests.features.ingest.build import seller, store, write_some
from tests.oracles.accepted_rows import first, fold, frame_bytes, frame_from, write_in_parts
from tests.oracles.market import MIDNIGHTS, Shape, market, pairs_of
from tests.oracles.shapes import MAY_BE_ABSENT

SMALL = Shape(seed=4, sellers=4, events=10, absent=frozenset(MAY_BE_ABSENT) - {"orders", "refunds"})
PAIRS = pairs_of(SMALL, MIDNIGHTS[1:3])
Result = TypeVar("Result")
SELLERSCORE = (sys.executable, "-m", "sellerscore")


class Aside(logging.Handler):
    """Runs work in another thread, and collects the notices of work that waits for a lock."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[str] = []
        self._pool = ThreadPoolExecutor(1)
        self._pauses = Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.notices.append(record.getMessage())
        self._pauses.set()

    def start(self, work: Callable[..., Result], *args: object) -> Future[Result]:
        """Start the work, and return when it is done or waits."""
        future = self._pool.submit(work, *args)
        future.add_done_callback(lambda _: self._pauses.set())
        assert self._pauses.wait(60)
        return future


@pytest.fixture
def aside() -> Iterator[Aside]:
    log, handler = logging.getLogger("features.store.folders"), Aside()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


def assert_present(tiles: TileSet) -> None:
    assert all(path.exists() for paths in tiles.files.values() for path in paths)


@pytest.fixture(scope="module")
def unfolded(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    """A store with two deliveries, without tiles; read only."""
    return write_in_parts(market(SMALL), tmp_path_factory.mktemp("unfolded"), 1, 3)


@pytest.fixture
def parted(unfolded: OperatingStore, tmp_path: Path) -> OperatingStore:
    (tmp_path / "deliveries").symlink_to(unfolded.folder / "deliveries")
    return OperatingStore(tmp_path, unfolded.deliveries)


def test_a_reader_of_an_earlier_version_deletes_no_tiles_of_a_later_one(parted: OperatingStore) -> None:
    expected = frame_bytes(frame_from(first(parted, 1), PAIRS))
    shutil.rmtree(parted.folder / "tiles")
    with open_engine() as engine, current_tiles(engine, parted) as tiles:
        assert frame_bytes(frame_from(first(parted, 1), PAIRS)) == expected
        assert_present(tiles)
        with current_tiles(engine, parted) as unchanged:
            assert unchanged == tiles
    assert not list((parted.folder / "tiles" / "own").iterdir()), "its own tiles are deleted after use"


def test_a_reader_of_an_earlier_version_reads_the_tiles_of_its_deliveries(
    parted: OperatingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_engine() as engine:
        with current_tiles(engine, first(parted, 1)) as before:
            pass
        fold(parted)
        monkeypatch.setattr(tile_store, "_add_fold", None)  # a further computation fails
        with current_tiles(engine, first(parted, 1)) as after:
            assert after == before


def test_tiles_are_not_deleted_while_they_are_read(parted: OperatingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_engine() as engine, current_tiles(engine, first(parted, 1)) as tiles:
        for definitions in ("of another catalogue", "of a third"):
            monkeypatch.setattr(tile_store, "tile_digest", lambda definitions=definitions: definitions)
            fold(parted)
        assert_present(tiles)
    monkeypatch.setattr(tile_store, "tile_digest", lambda: "of a fourth")
    fold(parted)
    assert len(list((parted.folder / "tiles").glob("fold-*"))) == 1, "the next update deletes unused tiles"


def test_an_erasure_waits_for_readers_of_tiles(base_store: Path, aside: Aside) -> None:
    with open_engine() as engine, current_tiles(engine, open_store(base_store)) as tiles:
        erasure = aside.start(erase_rows, base_store, "S1")
        assert_present(tiles)
    assert erasure.result(60) > 0
    assert aside.notices == [f"Waiting until other processes have finished reading {base_store / 'tiles'}."]
    assert not any((base_store / "tiles").glob("fold-*"))


def test_an_ingest_states_that_it_waits_for_another(base_store: Path, tmp_path: Path, aside: Aside) -> None:
    delivery = write_some(tmp_path / "d", stores=[store("T2")])
    with AtomicFolder(base_store, base_store / "deliveries").lock():
        second = aside.start(ingest, delivery, base_store)
        assert not second.done()
    assert second.result(60).table("stores").accepted == 1
    assert aside.notices == [f"Waiting until another process has finished writing to {base_store}."]


@pytest.fixture
def computing(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Let features be computed at once; what is in the list is called meanwhile, and removed."""
    meanwhile: list[Callable[[], object]] = []

    def compute(_: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
        while meanwhile:
            meanwhile.pop()()
        return pairs.set_index(INDEX).assign(feature=1.0)

    monkeypatch.setattr(materialize, "compute_frame", compute)
    monkeypatch.setattr(materialize, "compute_profiles", lambda *_: ProfileSet(digest(), ()))
    monkeypatch.setattr(materialize, "compute_context", lambda *_: SellerContextSet({}, ()))
    return meanwhile


@pytest.fixture
def second_seller(tmp_path: Path) -> Path:
    return write_some(tmp_path / "d", sellers=[seller("S2")])


def test_the_latest_vectors_are_of_the_latest_delivery(
    base_store: Path,
    second_seller: Path,
    tmp_path: Path,
    computing: list[Callable[[], object]],
    aside: Aside,
) -> None:
    vectors, others = VectorStore(tmp_path / "vectors.db"), []

    def ingest_second() -> None:
        ingest(second_seller, base_store)
        others.append(aside.start(materialize_vectors, open_store(base_store), VectorStore(tmp_path / "vectors.db")))

    computing.append(ingest_second)
    materialize_vectors(open_store(base_store), vectors)
    others[0].result(60)
    assert [each.seller_id for each in vectors.all_latest()] == ["S1", "S2"]
    assert aside.notices == [f"Waiting until another process has finished writing {tmp_path / 'vectors.db'}."]


def test_vectors_include_what_was_ingested_before_their_turn(
    base_store: Path, second_seller: Path, tmp_path: Path, computing: list[Callable[[], object]]
) -> None:
    assert not computing
    vectors, before = VectorStore(tmp_path / "vectors.db"), open_store(base_store)
    ingest(second_seller, base_store)
    ((snapshot, sellers),) = materialize_vectors(before, vectors)
    assert (snapshot.data_version, sellers) == (open_store(base_store).version, 2)


def test_an_erasure_waits_for_vectors_that_are_being_computed(
    base_store: Path,
    second_seller: Path,
    tmp_path: Path,
    computing: list[Callable[[], object]],
    aside: Aside,
) -> None:
    vectors, removals = VectorStore(tmp_path / "vectors.db"), []

    def remove() -> None:
        removals.append(aside.start(VectorStore(tmp_path / "vectors.db").remove, "S2"))

    ingest(second_seller, base_store)
    computing.append(remove)
    materialize_vectors(open_store(base_store), vectors)
    assert removals[0].result(60) == 1
    assert [each.seller_id for each in vectors.all_latest()] == ["S1"]


@pytest.mark.slow
def test_three_commands_at_once_ingest_all_and_state_what_they_wait_for(base_store: Path, tmp_path: Path) -> None:
    base_store.rename(tmp_path / "operating")
    commands = [
        [*SELLERSCORE, "ingest", str(write_some(tmp_path / name, sellers=[seller(name)]))] for name in ("A", "B", "C")
    ]
    environment = {**os.environ, "SELLERSCORE_HOME": str(tmp_path)}
    with ExitStack() as running:
        with AtomicFolder(tmp_path / "operating", tmp_path / "operating" / "deliveries").lock():
            processes = [
                running.enter_context(subprocess.Popen(each, stderr=subprocess.PIPE, text=True, env=environment))
                for each in commands
            ]
            notices = [process.stderr.readline() for process in processes if process.stderr]
            assert notices == [f"Waiting until another process has finished writing to {tmp_path / 'operating'}.\n"] * 3
        for process in processes:
            process.communicate()  # a closed pipe would end a command that waits again
    assert [process.returncode for process in processes] == [0, 0, 0]
    with closing(sqlite3.connect(tmp_path / "vectors.db")) as connection:
        latest = "SELECT data_version, id FROM snapshots ORDER BY id DESC LIMIT 1"
        version, key = connection.execute(latest).fetchone()
        found = connection.execute("SELECT seller_id FROM vectors WHERE snapshot_id = ? ORDER BY 1", (key,)).fetchall()
    assert version == open_store(tmp_path / "operating").version
    assert [seller_id for (seller_id,) in found] == ["A", "B", "C", "S1"]
