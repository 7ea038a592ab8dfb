"""Tiles on disk: folded delivery by delivery they are what one fold makes, and a kill leaves them before or after."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
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
from features.store import folders
from features.store import tiles as tile_store
from features.store.tiles import current_tiles
from tests.oracles.accepted import (
    dealt,
    features_named,
    first,
    fold,
    fold_in_turn,
    frame_bytes,
    frame_from,
    frame_of,
    write_accepted,
)
from tests.oracles.market import MIDNIGHTS, Shape, market, pairs_of
from tests.oracles.seller_sight import midnight
from tests.oracles.shapes import MAY_BE_ABSENT, examples

SHAPE = Shape(seed=4, sellers=8, events=40)
PAIRS = pairs_of(SHAPE, MIDNIGHTS[1:3])
SMALL = Shape(seed=4, sellers=4, events=10, absent=frozenset(MAY_BE_ABSENT) - {"orders", "refunds"})
"""Tables that fold in half the time, where what is folded is another test's question."""
MANIFEST = "manifest.json"


def folds(store: OperatingStore) -> list[dict[str, Any]]:
    """Return the folds that the manifest counts."""
    listed: list[dict[str, Any]] = json.loads((store.folder / "tiles" / MANIFEST).read_text())["folds"]
    return listed


def contents(store: OperatingStore) -> dict[str, list[str]]:
    """Return the rows of the tiles of a store, in one order, after bringing them up to date."""
    with open_engine() as engine:
        files = current_tiles(engine, store).files
    return {
        name: sorted(repr(row) for path in paths for row in pq.read_table(path).to_pylist())
        for name, paths in files.items()
    }


@pytest.mark.soak
@given(seed=st.integers(0, 2**16), parts=st.integers(2, 4))
@examples(8)
def test_folding_delivery_by_delivery_is_folding_once(tmp_path_factory: Any, seed: int, parts: int) -> None:
    """Each day the features of a store of three folds are held against the oracle."""
    rows, folder = market(replace(SHAPE, seed=seed)), tmp_path_factory.mktemp("tiles")
    store = fold_in_turn(dealt(rows, folder / "parts", parts, seed))
    assert len(folds(store)) == parts + 1
    once = frame_of(rows, PAIRS, folder / "one")
    assert once.notna().any().all()
    assert frame_bytes(frame_from(store, PAIRS)) == frame_bytes(once)


def test_a_fold_adds_to_those_before_and_nothing_is_folded_twice(tmp_path: Path) -> None:
    store = dealt(market(SMALL), tmp_path, 1, 0)
    fold(first(store, 1))
    before = written(tmp_path)
    fold(store)
    after = written(tmp_path)
    fold(store)
    assert before.items() < after.items()
    assert written(tmp_path) == after
    assert [len(each["deliveries"]) for each in folds(store)] == [1, 1]


def test_many_folds_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_store, "_MOST_FOLDS", 1)
    store = dealt(market(SMALL), tmp_path, 1, 0)
    fold_in_turn(store)
    assert [len(each["deliveries"]) for each in folds(store)] == [2]


def written(home: Path) -> dict[Path, int]:
    """Return when each file of tiles was written."""
    return {path: path.stat().st_mtime_ns for path in (home / "tiles").rglob("*.parquet")}


@pytest.mark.slow
def test_a_buyer_who_turns_out_to_be_a_store_makes_all_tiles_anew(tmp_path: Path) -> None:
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
    """Return the store in a folder of its own."""
    shutil.copytree(store.folder, folder, dirs_exist_ok=True)
    return replace(store, folder=folder)


@dataclass(frozen=True)
class Folded:
    """A store whose tiles are up to date, not to be changed, and their rows."""

    store: OperatingStore
    contents: dict[str, list[str]]


class FoldedAgainError(Exception):
    """Stands for the fold that would follow."""


def may_not_fold(*_: object) -> None:
    raise FoldedAgainError


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Folded:
    store = write_accepted(market(SMALL), tmp_path_factory.mktemp("folded"))
    return Folded(store, contents(store))


def test_tiles_that_are_whole_are_not_made_anew(folded: Folded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_store, "_add", may_not_fold)
    fold(folded.store)


def test_tiles_of_other_definitions_are_noticed(
    folded: Folded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = copied(folded.store, tmp_path)
    monkeypatch.setattr(tile_store, "tile_digest", lambda: "of another catalogue")
    monkeypatch.setattr(tile_store, "_add", may_not_fold)
    with pytest.raises(FoldedAgainError):
        fold(store)


HARMS = ("manifest", "file", "entry", "earlier form", "cut short", "another")


@pytest.mark.parametrize("harm", HARMS)
def test_harmed_tiles_are_noticed(harm: str, folded: Folded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = copied(folded.store, tmp_path)
    spoil(tmp_path / "tiles", harm)
    monkeypatch.setattr(tile_store, "_add", may_not_fold)
    with pytest.raises(FoldedAgainError):
        fold(store)


@pytest.mark.parametrize(
    "harm", ["cut short", *(pytest.param(harm, marks=pytest.mark.soak) for harm in HARMS if harm != "cut short")]
)
def test_harmed_tiles_are_made_anew(harm: str, folded: Folded, tmp_path: Path) -> None:
    store = copied(folded.store, tmp_path)
    spoil(tmp_path / "tiles", harm)
    assert contents(store) == folded.contents


def spoil(tiles: Path, harm: str) -> None:
    """Harm the tiles in one way."""
    manifest = tiles / MANIFEST
    match harm:
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


def test_tiles_spoilt_in_the_middle_say_what_to_delete(folded: Folded, tmp_path: Path) -> None:
    store = copied(folded.store, tmp_path)
    for path in (tmp_path / "tiles").rglob("orders*.parquet"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(StoreError, match=r"delete .*tiles; it is rebuilt from accepted rows"):
        frame_from(store, PAIRS, catalogue=features_named("orders_90d"))


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    store = write_accepted(market(SMALL), tmp_path)
    (tmp_path / "tiles").write_text("in the way")
    with pytest.raises(StoreError, match="give the store room and the right to write"):
        fold(store)


def at_step(step: int, act: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Let `act` happen at the given durable step of folding."""
    count = 0

    def counting(real: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: Any) -> None:
            nonlocal count
            count += 1
            if count == step:
                act()
            real(*arguments)

        return counted

    patch.setattr(tile_store, "flush", counting(folders.sync_file))
    patch.setattr(tile_store, "replace_text", counting(folders.replace_text))


class KilledError(BaseException):
    """Stands for the process ending there: nothing may catch it."""


def stop() -> None:
    raise KilledError


@pytest.mark.parametrize("step", [5, *(pytest.param(step, marks=pytest.mark.soak) for step in (1, 2, 3, 4, 99))])
@pytest.mark.slow
def test_a_stop_leaves_the_tiles_before_or_after(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = dealt(market(SMALL), tmp_path / "store", 1, 3)
    fold(first(store, 1))
    before, undisturbed = folds(store), copied(store, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        at_step(step, stop, patch)
        # a kill clears nothing away, so what it leaves behind must be left here too
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        if step == 99:
            fold(store)
        else:
            with pytest.raises(KilledError):
                fold(store)
    assert (folds(store) == before) == (step != 99)
    assert_recovers(store, undisturbed)


def assert_recovers(store: OperatingStore, undisturbed: OperatingStore) -> None:
    assert contents(store) == contents(undisturbed)
    assert not list((store.folder / "tiles").glob(".fold-*"))


def killed_at(step: int, store: OperatingStore) -> None:
    """Fold, and be killed at the given durable step of it."""
    with pytest.MonkeyPatch.context() as patch:
        at_step(step, lambda: os.kill(os.getpid(), signal.SIGKILL), patch)
        fold(store)


@pytest.mark.soak
@pytest.mark.parametrize("step", [1, 4, 99])
def test_a_kill_leaves_the_tiles_before_or_after(step: int, tmp_path: Path) -> None:
    store = dealt(market(SMALL), tmp_path / "store", 1, 3)
    fold(first(store, 1))
    before, undisturbed = folds(store), copied(store, tmp_path / "undisturbed")
    process = multiprocessing.get_context("spawn").Process(target=killed_at, args=(step, store))
    process.start()
    process.join()
    assert process.exitcode == (0 if step == 99 else -signal.SIGKILL)
    assert (folds(store) == before) == (step != 99)
    assert_recovers(store, undisturbed)


def test_two_who_fold_at_once_fold_once(tmp_path: Path) -> None:
    store = write_accepted(market(SMALL), tmp_path, parts=2, seed=3)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fold, (store, store)))
    assert_folded_once(store)


@pytest.mark.soak
def test_two_processes_that_fold_at_once_fold_once(tmp_path: Path) -> None:
    store = write_accepted(market(SMALL), tmp_path, parts=2, seed=3)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=fold, args=(store,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert_folded_once(store)


def assert_folded_once(store: OperatingStore) -> None:
    assert sum(len(each["deliveries"]) for each in folds(store)) == 2
    known = [day for each in folds(store) for day in each["known_since"].values()]
    assert all(date.fromisoformat(day) for day in known)


@pytest.mark.slow
def test_festivals_of_all_years_are_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "festival_days", festival_days)  # not those of the tests' years alone
    days = [date(1990, 6, 15), date(1990, 6, 16), date(2100, 12, 20), date(2100, 12, 21)]
    order = {"store_id": "T0", "buyer_id": "B", "amount_micros": 1}
    rows = [order | {"order_id": str(day), "ordered_at": midnight(day), "known_at": midnight(day)} for day in days]
    store = write_accepted({"orders": rows}, tmp_path)
    with open_engine(threads=1) as engine:
        files = current_tiles(engine, store).files["orders"]
        found = {row["day"]: row["festival_gross"] for file in files for row in pq.read_table(file).to_pylist()}
    assert found == dict(zip(days, (0, 1, 1, 0), strict=True))
