"""Killed processes leave the store before or after the delivery; two processes take turns."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from features.ingest import ingest, open_store, read_report
from tests.counts import repeat
from tests.features.ingest import damage
from tests.features.ingest.build import accepted, order, write_orders
from tests.features.ingest.test_repeated_deliveries import CNY

_INGEST = "import sys; from pathlib import Path; from features.ingest import ingest; ingest(*map(Path, sys.argv[1:]))"


def _ids(folder: Path) -> list[object]:
    return [row["order_id"] for row in accepted(open_store(folder), "orders")]


@pytest.mark.soak
def test_killed_at_each_step(begun: Path, tmp_path: Path) -> None:
    delivery = write_orders(tmp_path / "d", order("O2"), order("O3"), fx_rates=[CNY])
    damage.corrupt(delivery, "fx_rates")
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-m", "tests.features.ingest.killed", begun, delivery, tmp_path / "work"]
    killed = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=300)
    assert killed.returncode == 0, killed.stderr
    steps = [line.split(maxsplit=2) for line in killed.stdout.splitlines()]
    done = [place for _, _, place in steps]
    assert {"before to_parquet", "after to_parquet", "before fsync", "after rename", "before replace"} <= set(done)
    committed = [deliveries == "2" for _, deliveries, _ in steps]
    assert committed == sorted(committed), "a commit is final"
    assert True in committed
    assert done[committed.index(True)] == "after replace", "one step commits"
    before = open_store(begun)
    for number, (_, _, place) in enumerate(steps):
        folder = tmp_path / "work" / str(number)
        left = open_store(folder)
        assert left.deliveries[:1] == before.deliveries, place
        assert _ids(folder) == (["O0", "O2", "O3"] if committed[number] else ["O0"]), place
    # the next ingest succeeds after each of them
    for number in Random(5).sample(range(len(steps)), 4):  # noqa: S311
        folder = tmp_path / "work" / str(number)
        assert [each.table for each in ingest(delivery, folder).rejected_tables] == ["fx_rates"]
        assert len(open_store(folder).deliveries) == 2
        assert not list((folder / "deliveries").glob(".incoming-*"))


@pytest.mark.slow
@pytest.mark.repeated
def test_killed_at_any_moment(begun: Path, tmp_path: Path) -> None:
    delivery = write_orders(tmp_path / "d", order("O2"))
    random = Random()  # noqa: S311 - another moment in each run
    for _ in range(repeat(1, 20)):
        process = subprocess.Popen([sys.executable, "-c", _INGEST, str(delivery), str(begun)])
        time.sleep(random.uniform(0.3, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert _ids(begun) in (["O0"], ["O0", "O2"])
    ingest(delivery, begun)
    assert _ids(begun) == ["O0", "O2"]


@pytest.mark.soak
def test_two_processes_take_turns(begun: Path, tmp_path: Path) -> None:
    deliveries = [
        write_orders(tmp_path / name, *(order(f"{name}{n}") for n in range(50)), order("O1")) for name in "ab"
    ]
    running = [subprocess.Popen([sys.executable, "-c", _INGEST, str(each), str(begun)]) for each in deliveries]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    held = open_store(begun)
    reports = [read_report(begun, each.delivery_id) for each in held.deliveries[1:]]
    assert [report.table("orders").accepted for report in reports] == [51, 50]
    assert [report.table("orders").duplicates for report in reports] == [0, 1]
    assert _ids(begun) == sorted(["O0", "O1", *(f"{name}{n}" for name in "ab" for n in range(50))])
