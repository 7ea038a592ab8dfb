"""Runs end as finished, failed or killed, also after a kill of their process."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.conftest import copied_registry
from tests.training.forked import Child, Forks
from training.errors import RegistryError
from training.registry import EXPERIMENT, Registry, require
from training.registry.connection import connected
from training.registry.run_lifecycle import PROCESS, current_process, has_ended, start_run

if TYPE_CHECKING:
    from mlflow.entities import Run

_STAYS = """
import sys, time
from pathlib import Path
from training.registry import Registry
from training.registry.run_lifecycle import start_run
from training.registry.connection import connected
registry = Registry.on_sqlite(Path(sys.argv[0]))
with connected(registry) as client:
    experiment = client.get_experiment_by_name("sellerscore").experiment_id
    with start_run(experiment, "train stays"):
        print("started", flush=True)
        time.sleep(300)
"""


@pytest.fixture
def registry(empty_registry: Path, tmp_path: Path) -> Registry:
    return copied_registry(empty_registry, tmp_path)


@pytest.fixture
def other(registry: Registry, forks: Forks, tmp_path: Path) -> Child:
    """Another process with a running run."""
    assert registry
    child = forks.start(_STAYS, tmp_path)
    assert forks.line() == "started"
    return child


def runs(registry: Registry) -> list[Run]:
    with connected(registry) as client:
        return list(client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id]))


def status(registry: Registry) -> str:
    (run,) = runs(registry)
    return str(run.info.status)


def create_running(registry: Registry, process: str | None) -> None:
    """Create a run in the state RUNNING, with its process or without."""
    with connected(registry) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        client.create_run(experiment, tags={} if process is None else {PROCESS: process}, run_name="train abandoned")


def run_until(registry: Registry, end: BaseException | None, act: int | None = None) -> None:
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


def test_a_successful_run_is_finished_and_names_its_process(registry: Registry) -> None:
    run_until(registry, None)
    (run,) = runs(registry)
    assert run.info.status == "FINISHED"
    assert run.data.tags[PROCESS] == current_process()


@pytest.mark.parametrize(
    ("end", "raised", "expected"),
    [
        (ValueError("a defect"), ValueError, "FAILED"),
        (OSError("the disk is full"), RegistryError, "FAILED"),
        (KeyboardInterrupt(), KeyboardInterrupt, "KILLED"),
    ],
)
def test_an_exception_ends_the_run_as_failed_or_killed(
    registry: Registry, end: BaseException, raised: type[BaseException], expected: str
) -> None:
    with pytest.raises(raised):
        run_until(registry, end)
    assert status(registry) == expected


def test_sigterm_ends_the_run_as_killed_and_restores_the_handler(registry: Registry) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        run_until(registry, None, signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert status(registry) == "KILLED"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_terminated_process_ends_its_run(registry: Registry, other: Child) -> None:
    os.kill(other.pid, signal.SIGTERM)
    assert other.wait() == 128 + signal.SIGTERM
    assert status(registry) == "KILLED"


def test_the_next_training_ends_an_abandoned_run(registry: Registry, other: Child) -> None:
    assert require(registry) == ()
    assert status(registry) == "RUNNING"
    os.kill(other.pid, signal.SIGKILL)
    assert other.wait() == -signal.SIGKILL
    assert status(registry) == "RUNNING"
    assert require(registry) == ("train stays",)
    assert status(registry) == "KILLED"
    assert require(registry) == ()


def test_a_reused_process_id_is_another_process(registry: Registry) -> None:
    host, pid, start = current_process().split()
    create_running(registry, f"{host} {pid} {int(start) - 1}")
    assert require(registry) == ("train abandoned",)


@pytest.mark.parametrize(
    "process",
    [None, "", "scoring-1", "scoring-1 first 7", "another-host 4000000 7", current_process()],
    ids=["none", "empty", "a host", "no number", "another host", "running"],
)
def test_other_runs_stay_running(registry: Registry, process: str | None) -> None:
    create_running(registry, process)
    assert require(registry) == ()
    assert status(registry) == "RUNNING"


def test_an_ended_process_is_detected_before_its_parent_collects_it() -> None:
    host, own_pid, start = current_process().split()
    assert not has_ended(f"{host} {own_pid} {start}")
    with subprocess.Popen(["true"]) as child:
        for _ in range(100):
            if has_ended(f"{host} {child.pid} {start}"):
                break
            time.sleep(0.05)
        assert has_ended(f"{host} {child.pid} {start}")
