"""The tile store: tiles updated per delivery equal tiles computed at once, and updates are atomic."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import tiles
from features.engines.duckdb import open_engine
from features.errors import StoreError
from features.festivals import festival_days
from features.ingest import OperatingStore
from features.store import tiles as tile_store
from features.store.tiles import current_tiles
from tests.counts import SOAKING
from tests.features.stops import killed, stopped
from tests.oracles.accepted_rows import (
    features_named,
    first,
    fold,
    fold_in_turn,
    frame_bytes,
    frame_from,
    frame_of,
    write_accepted,
    write_in_parts,
)
from tests.oracles.market import MIDNIGHTS, Shape, market, pairs_of
from tests.oracles.seller_view import midnight
from tests.oracles.shapes import MAY_BE_ABSENT, examples

SHAPE = Shape(seed=4, sellers=8, events=40)
PAIRS = pairs_of(SHAPE, MIDNIGHTS[1:3])
SMALL = Shape(seed=4, sellers=4, events=10, absent=frozenset(MAY_BE_ABSENT) - {"orders", "refunds"})
"""Tables whose tiles take half the time, for tests that do not depend on the content."""
MANIFEST = "manifest.json"


def folds(store: OperatingStore) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((store.folder / "tiles" / MANIFEST).read_text())["folds"]
    return listed


def contents(store: OperatingStore) -> dict[str, list[str]]:
    """Return the sorted rows of the tiles of a store, after an update."""
    with open_engine() as engine, current_tiles(engine, store) as tiles:
        return {
            name: sorted(repr(row) for path in paths for row in pq.read_table(path).to_pylist())
            for name, paths in tiles.files.items()
        }


@pytest.mark.soak
@given(seed=st.integers(0, 2**16), parts=st.integers(2, 4))
@examples(8)
def test_updates_per_delivery_equal_one_computation(tmp_path_factory: Any, seed: int, parts: int) -> None:
    rows, folder = market(replace(SHAPE, seed=seed)), tmp_path_factory.mktemp("tiles")
    store = fold_in_turn(write_in_parts(rows, folder / "parts", parts, seed))
    assert len(folds(store)) == parts + 1
    once = frame_of(rows, PAIRS, folder / "one")
    assert once.notna().any().all()
    assert frame_bytes(frame_from(store, PAIRS)) == frame_bytes(once)


@pytest.fixture(scope="module")
def parted(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    """A store with a delivery of all parties, folded, and one of all events, not folded; read only."""
    store = write_in_parts(market(SMALL), tmp_path_factory.mktemp("parted"), 1, 3)
    fold(first(store, 1))
    return store


def test_an_update_adds_a_fold_and_leaves_the_others_unchanged(parted: OperatingStore, tmp_path: Path) -> None:
    store = copied(parted, tmp_path)
    before = modification_times(tmp_path)
    fold(store)
    after = modification_times(tmp_path)
    fold(store)
    assert before.items() < after.items()
    assert modification_times(tmp_path) == after
    assert [len(entry["deliveries"]) for entry in folds(store)] == [1, 1]


def test_too_many_folds_are_merged(parted: OperatingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_store, "_MAX_FOLDS", 1)
    store = copied(parted, tmp_path)
    fold(store)
    assert [len(entry["deliveries"]) for entry in folds(store)] == [2]


def modification_times(home: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (home / "tiles").rglob("*.parquet")}


@pytest.mark.slow
def test_all_tiles_are_rebuilt_if_a_buyer_becomes_a_related_party(tmp_path: Path) -> None:
    rows = market(SMALL)
    buyer = next(row["buyer_id"] for row in rows["orders"] if str(row["buyer_id"]).startswith("B"))
    late = {**rows["stores"][0], "store_id": buyer}
    store = write_accepted(rows, tmp_path / "a")
    before = contents(store)
    grown = write_accepted({**rows, "stores": [*rows["stores"], late]}, tmp_path / "b")
    both = replace(
        store, deliveries=(*store.deliveries, *write_accepted({"stores": [late]}, tmp_path / "a").deliveries)
    )
    assert contents(both) == contents(grown) != before
    assert len(folds(both)) == 1


def copied(store: OperatingStore, folder: Path) -> OperatingStore:
    shutil.copytree(store.folder, folder, dirs_exist_ok=True)
    return replace(store, folder=folder)


@dataclass(frozen=True)
class Folded:
    """A store with current tiles, and their rows; read only."""

    store: OperatingStore
    contents: dict[str, list[str]]


class UpdateError(Exception):
    """Raised in place of an update."""


def reject_update(*_: object) -> None:
    raise UpdateError


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Folded:
    store = write_accepted(market(SMALL), tmp_path_factory.mktemp("folded"))
    return Folded(store, contents(store))


def test_only_tiles_of_other_definitions_are_rebuilt(
    folded: Folded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copied(folded.store, tmp_path)
    monkeypatch.setattr(tile_store, "_add_fold", reject_update)
    fold(store)
    monkeypatch.setattr(tile_store, "tile_digest", lambda: "of another catalogue")
    with pytest.raises(UpdateError):
        fold(store)


@pytest.mark.parametrize("damage", ["manifest", "file", "entry", "earlier form", "cut short", "another"])
def test_damaged_tiles_are_rebuilt(damage: str, folded: Folded, tmp_path: Path) -> None:
    store = copied(folded.store, tmp_path)
    damage_tiles(tmp_path / "tiles", damage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_store, "_add_fold", reject_update)
        with pytest.raises(UpdateError):
            fold(store)
    if SOAKING or damage == "cut short":
        assert contents(store) == folded.contents


def damage_tiles(tiles: Path, damage: str) -> None:
    manifest = tiles / MANIFEST
    match damage:
        case "manifest":
            manifest.write_bytes(b"\xff{")
        case "file":
            next(tiles.rglob("orders*.parquet")).unlink()
        case "cut short":
            os.truncate(next(tiles.rglob("orders*.parquet")), 100)
        case "another":
            orders, refunds = (next(tiles.rglob(f"{name}*.parquet")) for name in ("orders", "refunds"))
            shutil.copy(refunds, orders)
        case "earlier form":
            content = json.loads(manifest.read_text())
            for entry in content["folds"]:
                entry["files"] = {name: list(files) for name, files in entry["files"].items()}
            manifest.write_text(json.dumps(content))
        case "entry":
            manifest.write_text('{"definitions": 1, "folds": [{"folder": 3}]}')


def test_tiles_with_damaged_content_raise_with_a_remedy(folded: Folded, tmp_path: Path) -> None:
    store = copied(folded.store, tmp_path)
    for path in (tmp_path / "tiles").rglob("orders*.parquet"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(StoreError, match=r"delete .*tiles; it is rebuilt from accepted rows"):
        frame_from(store, PAIRS, catalogue=features_named("orders_90d"))


def test_a_folder_that_cannot_be_written_raises(tmp_path: Path) -> None:
    store = write_accepted(market(SMALL), tmp_path)
    (tmp_path / "tiles").write_text("in the way")
    with pytest.raises(StoreError, match="Give the store free space and write permission"):
        fold(store)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [stopped, pytest.param(killed, marks=pytest.mark.soak)])
def test_a_stop_leaves_the_tiles_before_or_after(
    stop: Callable[..., bool], parted: OperatingStore, tmp_path: Path
) -> None:
    expected = contents(copied(parted, tmp_path / "undisturbed"))
    counts = []
    for step in range(99) if SOAKING else (4,):
        copy = copied(parted, tmp_path / str(step))
        is_stopped = stop(step, fold, copy)
        counts.append(len(folds(copy)))
        assert contents(copy) == expected
        assert not list((copy.folder / "tiles").glob(".incoming-*"))
        if not is_stopped:
            break
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 2 if SOAKING else 1)


def assert_folded_once(store: OperatingStore) -> None:
    assert sum(len(entry["deliveries"]) for entry in folds(store)) == 2
    assert all(date.fromisoformat(day) for entry in folds(store) for day in entry["known_since"].values())


def test_two_concurrent_threads_update_once(tmp_path: Path) -> None:
    store = write_accepted(market(SMALL), tmp_path, parts=2, seed=3)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fold, (store, store)))
    assert_folded_once(store)


@pytest.mark.soak
def test_two_concurrent_processes_update_once(tmp_path: Path) -> None:
    store = write_accepted(market(SMALL), tmp_path, parts=2, seed=3)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=fold, args=(store,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert_folded_once(store)


@pytest.mark.slow
def test_festivals_of_all_years_are_in_the_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "festival_days", festival_days)  # not those of the tests' years alone
    days = [date(1990, 6, 15), date(1990, 6, 16), date(2100, 12, 20), date(2100, 12, 21)]
    order = {"store_id": "T0", "buyer_id": "B", "amount_micros": 1}
    rows = [order | {"order_id": str(day), "ordered_at": midnight(day), "known_at": midnight(day)} for day in days]
    store = write_accepted({"orders": rows}, tmp_path)
    with open_engine(threads=1) as engine, current_tiles(engine, store) as current:
        files = current.files["orders"]
        found = {row["day"]: row["festival_gross"] for file in files for row in pq.read_table(file).to_pylist()}
    assert found == dict(zip(days, (0, 1, 1, 0), strict=True))
