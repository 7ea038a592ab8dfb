"""Tiles on disk: folded delivery by delivery they are what one fold makes, and a kill leaves them before or after."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features import durable, tile_store
from features.engines.duckdb import open_engine
from features.errors import StoreError
from features.intake import OperatingStore
from features.tile_store import current_tiles
from tests.oracles.accepted import frame_bytes, frame_from, write_accepted
from tests.oracles.market import MIDNIGHTS, Market, Shape, market, pairs_of

SHAPE = Shape(seed=4, sellers=8, events=40)
PAIRS = pairs_of(SHAPE, MIDNIGHTS[1:3])
NO_SHRINKING = (Phase.explicit, Phase.generate)
MANIFEST = "manifest.json"


def first(store: OperatingStore, count: int) -> OperatingStore:
    """Return the store as it was after its first deliveries."""
    return replace(store, deliveries=store.deliveries[:count])


def folds(store: OperatingStore) -> list[dict[str, Any]]:
    """Return the folds that the manifest counts."""
    listed: list[dict[str, Any]] = json.loads((store.folder / "tiles" / MANIFEST).read_text())["folds"]
    return listed


def fold(store: OperatingStore) -> None:
    """Bring the tiles up to date."""
    with open_engine() as engine:
        current_tiles(engine, store)


def dealt(rows: Market, folder: Path, parts: int, seed: int) -> OperatingStore:
    """Write a first delivery with all parties, then the events in parts: no later store makes all tiles new."""
    parties = write_accepted({name: rows[name] for name in ("sellers", "stores")}, folder)
    events = {name: those for name, those in rows.items() if name not in ("sellers", "stores")}
    later = write_accepted(events, folder, parts=parts, seed=seed)
    return replace(later, deliveries=(*parties.deliveries, *later.deliveries))


@given(seed=st.integers(0, 2**16), parts=st.integers(2, 4))
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=NO_SHRINKING,
    suppress_health_check=list(HealthCheck),
)
def test_folding_delivery_by_delivery_is_folding_once(tmp_path_factory: Any, seed: int, parts: int) -> None:
    rows, folder = market(replace(SHAPE, seed=seed)), tmp_path_factory.mktemp("tiles")
    store = dealt(rows, folder / "parts", parts, seed)
    for count in range(1, parts + 2):
        fold(first(store, count))
    assert len(folds(store)) == parts + 1
    assert frame_bytes(frame_from(store, PAIRS)) == frame_bytes(frame_from(write_accepted(rows, folder / "one"), PAIRS))


def test_a_fold_adds_to_those_before_and_nothing_is_folded_twice(tmp_path: Path) -> None:
    store = dealt(market(replace(SHAPE, events=10)), tmp_path, 1, 0)
    fold(first(store, 1))
    before = written(tmp_path)
    fold(store)
    after = written(tmp_path)
    fold(store)
    assert before.items() < after.items()
    assert written(tmp_path) == after
    assert [len(each["deliveries"]) for each in folds(store)] == [1, 1]


def test_many_folds_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_store, "_MOST_FOLDS", 2)
    store = dealt(market(replace(SHAPE, events=10)), tmp_path, 2, 0)
    for count in (1, 2, 3):
        fold(first(store, count))
    assert [len(each["deliveries"]) for each in folds(store)] == [3]


def written(home: Path) -> dict[Path, int]:
    """Return when each file of tiles was written."""
    return {path: path.stat().st_mtime_ns for path in (home / "tiles").rglob("*.parquet")}


def test_a_buyer_who_turns_out_to_be_a_store_makes_all_tiles_anew(tmp_path: Path) -> None:
    rows = market(SHAPE)
    buyer = next(row["buyer_id"] for row in rows["orders"] if row["buyer_id"].startswith("B"))
    late = {**rows["stores"][0], "store_id": buyer}
    store = write_accepted(rows, tmp_path / "a")
    fold(store)
    grown = write_accepted({**rows, "stores": [*rows["stores"], late]}, tmp_path / "b")
    both = replace(
        store, deliveries=(*store.deliveries, *write_accepted({"stores": [late]}, tmp_path / "a").deliveries)
    )
    assert frame_bytes(frame_from(both, PAIRS)) == frame_bytes(frame_from(grown, PAIRS))
    assert len(folds(both)) == 1


def test_tiles_of_other_definitions_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = write_accepted(market(replace(SHAPE, events=3)), tmp_path)
    fold(store)
    old = folds(store)[0]["folder"]
    monkeypatch.setattr(tile_store, "tile_digest", lambda: "of another catalogue")
    fold(store)
    assert folds(store)[0]["folder"] != old


@pytest.mark.parametrize("harm", ["manifest", "file", "entry", "earlier form", "cut short", "another"])
def test_harmed_tiles_are_made_anew(tmp_path: Path, harm: str) -> None:
    store = write_accepted(market(replace(SHAPE, events=20)), tmp_path)
    before = frame_bytes(frame_from(store, PAIRS))
    manifest = tmp_path / "tiles" / MANIFEST
    match harm:
        case "manifest":
            manifest.write_bytes(b"\xff{")
        case "file":
            next((tmp_path / "tiles").rglob("orders*.parquet")).unlink()
        case "cut short":
            os.truncate(next((tmp_path / "tiles").rglob("orders*.parquet")), 100)
        case "another":
            orders, refunds = (next((tmp_path / "tiles").rglob(f"{name}*.parquet")) for name in ("orders", "refunds"))
            shutil.copy(refunds, orders)
        case "earlier form":
            content = json.loads(manifest.read_text())
            for entry in content["folds"]:
                entry["files"] = {name: list(files) for name, files in entry["files"].items()}
            manifest.write_text(json.dumps(content))
        case "entry":
            manifest.write_text('{"definitions": 1, "folds": [{"folder": 3}]}')
    assert frame_bytes(frame_from(store, PAIRS)) == before


def test_tiles_spoilt_in_the_middle_say_what_to_delete(tmp_path: Path) -> None:
    store = write_accepted(market(replace(SHAPE, events=20)), tmp_path)
    fold(store)
    for path in (tmp_path / "tiles").rglob("orders*.parquet"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(StoreError, match=r"delete .*tiles, which is made anew"):
        frame_from(store, PAIRS)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    store = write_accepted(market(replace(SHAPE, events=3)), tmp_path)
    (tmp_path / "tiles").write_text("in the way")
    with pytest.raises(StoreError, match="give the store room and the right to write"):
        fold(store)


def killed_at(step: int, store: OperatingStore) -> None:
    """Fold, and be killed at the given durable step of it."""
    count = 0

    def counting(act: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: Any) -> None:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            act(*arguments)

        return counted

    tile_store.flush = counting(durable.flush)  # type: ignore[attr-defined]
    tile_store.replace_text = counting(durable.replace_text)  # type: ignore[attr-defined]
    fold(store)


def test_a_kill_leaves_the_tiles_before_or_after(tmp_path: Path) -> None:
    store = dealt(market(replace(SHAPE, events=12)), tmp_path / "store", 1, 3)
    fold(first(store, 1))
    expected = frame_bytes(frame_from(write_accepted(market(replace(SHAPE, events=12)), tmp_path / "whole"), PAIRS))
    before, spawn = folds(store), multiprocessing.get_context("spawn")
    for step in (1, 4, 99):
        shutil.copytree(tmp_path / "store", tmp_path / f"at-{step}")
        copy = replace(store, folder=tmp_path / f"at-{step}")
        process = spawn.Process(target=killed_at, args=(step, copy))
        process.start()
        process.join()
        assert process.exitcode == (0 if step == 99 else -signal.SIGKILL)
        assert (folds(copy) == before) == (step != 99)
        assert frame_bytes(frame_from(copy, PAIRS)) == expected
        assert not list((copy.folder / "tiles").glob(".fold-*"))


def test_two_who_fold_at_once_fold_once(tmp_path: Path) -> None:
    store = write_accepted(market(replace(SHAPE, events=12)), tmp_path, parts=2, seed=3)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=fold, args=(store,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sum(len(each["deliveries"]) for each in folds(store)) == 2
    known = [day for each in folds(store) for day in each["known_since"].values()]
    assert all(date.fromisoformat(day) for day in known)
