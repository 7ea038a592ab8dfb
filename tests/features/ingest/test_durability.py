"""Ingest is atomic: a stop at any step leaves the store before or after the delivery, and writers take turns."""

import multiprocessing
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from random import Random

import pytest

from features.ingest import ingest, open_store, read_report
from tests.counts import repeat
from tests.features.ingest import damage
from tests.features.ingest.build import CNY, accepted, order, store, write_orders, write_some
from tests.features.stops import killed, stopped


def _ids(folder: Path) -> list[object]:
    return [row["store_id"] for row in accepted(open_store(folder), "stores")]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [stopped, pytest.param(killed, marks=pytest.mark.soak)])
def test_a_stop_at_any_step_leaves_the_store_before_or_after(
    stop: Callable[..., bool], base_store: Path, tmp_path: Path
) -> None:
    delivery = write_some(tmp_path / "d", stores=[store("T2")], fx_rates=[CNY])
    damage.corrupt(delivery, "fx_rates")
    committed = []
    for step in count(step=repeat(5, 1)):
        folder = Path(shutil.copytree(base_store, tmp_path / str(step)))
        if not stop(step, ingest, delivery, folder):
            break
        assert _ids(folder) in (["T1"], ["T1", "T2"]), step
        committed.append(len(_ids(folder)) == 2)
        assert [table.table for table in ingest(delivery, folder).rejected_tables] == ["fx_rates"]
        assert _ids(folder) == ["T1", "T2"]
        assert len(list((folder / "deliveries").iterdir())) == 2, "drafts are deleted"
    assert committed == sorted(committed), "a commit is final"
    assert len(committed) > 1


@pytest.mark.slow
@pytest.mark.repeated
def test_a_kill_at_any_moment_leaves_the_store_before_or_after(base_store: Path, tmp_path: Path) -> None:
    delivery = write_some(tmp_path / "d", stores=[store("T2")])
    random = Random()  # noqa: S311 - another moment in each run
    for _ in range(repeat(1, 20)):
        process = multiprocessing.get_context("spawn").Process(target=ingest, args=(delivery, base_store))
        process.start()
        time.sleep(random.uniform(0.3, 2.5))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        assert _ids(base_store) in (["T1"], ["T1", "T2"])
    ingest(delivery, base_store)
    assert _ids(base_store) == ["T1", "T2"]


@pytest.mark.slow
def test_two_concurrent_threads_take_turns(base_store: Path, tmp_path: Path) -> None:
    deliveries = [write_some(tmp_path / name, stores=[store(f"T{name}"), store("T2")]) for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda delivery: ingest(delivery, base_store), deliveries))
    assert sorted(report.table("stores").accepted for report in reports) == [1, 2]
    assert sorted(report.table("stores").duplicates for report in reports) == [0, 1]
    assert _ids(base_store) == ["T1", "T2", "Ta", "Tb"]


@pytest.mark.soak
def test_two_concurrent_processes_take_turns(base_store: Path, tmp_path: Path) -> None:
    names = [[*(f"{name}{n}" for n in range(50)), "O1"] for name in "ab"]
    deliveries = [write_orders(tmp_path / ids[0], *map(order, ids)) for ids in names]
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=ingest, args=(delivery, base_store)) for delivery in deliveries]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    held = open_store(base_store)
    reports = [read_report(base_store, delivery.delivery_id) for delivery in held.deliveries[1:]]
    assert [report.table("orders").accepted for report in reports] == [51, 50]
    assert [report.table("orders").duplicates for report in reports] == [0, 1]
    assert {row["order_id"] for row in accepted(held, "orders")} == {"O0", *names[0], *names[1]}
