"""Runs end with what they tell of: stopped, failed or killed, none says for ever that it is running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.conftest import copied_registry
from tests.training.forked import Child, Forks
from training.errors import RegistryError
from training.registry import EXPERIMENT, Registry, require
from training.registry.connection import connected
from training.registry.run_lifecycle import PROCESS, Process, start_run

if TYPE_CHECKING:
    from mlflow.entities import Run

_STAYS = """
import sys, time
from pathlib import Path
from training.registry import Registry
from training.registry.run_lifecycle import begun
from training.registry.connection import connected
registry = Registry.on_sqlite(Path(sys.argv[0]))
with connected(registry) as client, begun(client.get_experiment_by_name("sellerscore").experiment_id, "train stays"):
    print("begun", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def registry(empty_registry: Path, tmp_path: Path) -> Registry:
    return copied_registry(empty_registry, tmp_path)


@pytest.fixture
def other(registry: Registry, forks: Forks, tmp_path: Path) -> Child:
    """Another process that has begun a run and stays in it."""
    assert registry
    child = forks.start(_STAYS, tmp_path)
    assert forks.line() == "begun"
    return child


def runs(registry: Registry) -> list[Run]:
    with connected(registry) as client:
        return list(client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id]))


def status(registry: Registry) -> str:
    (run,) = runs(registry)
    return str(run.info.status)


def left(registry: Registry, process: str | None) -> None:
    """Leave a run that says it is running and names a process, or none."""
    with connected(registry) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        client.create_run(experiment, tags={} if process is None else {PROCESS: process}, run_name="train left")


def beginning(registry: Registry, end: BaseException | None, act: int | None = None) -> None:
    with (
        connected(registry) as client,
        start_run(client.get_experiment_by_name(EXPERIMENT).experiment_id, "train here"),
    ):
        assert status(registry) == "RUNNING"
        if act is not None:
            os.kill(os.getpid(), act)
            time.sleep(5)
        if end is not None:
            raise end


def test_a_run_that_ends_well_is_finished_and_names_its_process(registry: Registry) -> None:
    beginning(registry, None)
    (run,) = runs(registry)
    assert run.info.status == "FINISHED"
    assert Process.read(run.data.tags[PROCESS]) == Process.own()


@pytest.mark.parametrize(
    ("end", "raised", "expected"),
    [
        (ValueError("a defect"), ValueError, "FAILED"),
        (OSError("the disk is full"), RegistryError, "FAILED"),
        (KeyboardInterrupt(), KeyboardInterrupt, "KILLED"),
    ],
)
def test_what_ends_a_run_early_is_told(
    registry: Registry, end: BaseException, raised: type[BaseException], expected: str
) -> None:
    with pytest.raises(raised):
        beginning(registry, end)
    assert status(registry) == expected


def test_a_terminated_run_is_killed_and_the_signal_is_as_before(registry: Registry) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        beginning(registry, None, signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert status(registry) == "KILLED"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_terminated_process_says_so_in_its_run(registry: Registry, other: Child) -> None:
    os.kill(other.pid, signal.SIGTERM)
    assert other.wait() == 128 + signal.SIGTERM
    assert status(registry) == "KILLED"


def test_what_kill_9_left_is_swept_by_the_next_training_and_not_before(registry: Registry, other: Child) -> None:
    assert require(registry) == ()
    assert status(registry) == "RUNNING"
    os.kill(other.pid, signal.SIGKILL)
    assert other.wait() == -signal.SIGKILL
    assert status(registry) == "RUNNING"
    assert require(registry) == ("train stays",)
    assert status(registry) == "KILLED"
    assert require(registry) == ()


def test_a_number_that_another_process_has_by_now_is_gone(registry: Registry) -> None:
    left(registry, str(replace(Process.own(), started="0d1f2c7e 1")))
    assert require(registry) == ("train left",)


@pytest.mark.parametrize(
    "process",
    [
        None,
        "",
        "scoring-1",
        "scoring-1 first 7",
        str(replace(Process.own(), host="elsewhere/00000000", pid=4_000_000)),
        str(Process.own()),
        str(replace(Process.own(), started="")),
    ],
    ids=["none", "empty", "a host", "no number", "another host", "there", "start unknown"],
)
def test_what_is_not_surely_gone_is_left_alone(registry: Registry, process: str | None) -> None:
    left(registry, process)
    assert require(registry) == ()
    assert status(registry) == "RUNNING"


def test_a_process_is_read_as_it_was_written() -> None:
    own = Process.own()
    assert Process.read(str(own)) == own
    assert not own.is_gone()
    assert replace(own, pid=4_000_000_000).is_gone() is False, "no number of this system says nothing"
    with subprocess.Popen(["true"]) as ended:
        assert ended.pid
        for _ in range(100):
            if replace(own, pid=ended.pid, started="").is_gone():
                break
            time.sleep(0.05)
        assert replace(own, pid=ended.pid, started="").is_gone(), "what waits for its parent has ended"
