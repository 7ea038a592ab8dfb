"""Runs end as finished, failed or killed, also after a kill of their process."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.conftest import copied_registry
from tests.training.processes import stay_in_a_run
from training.errors import RegistryError
from training.registry import EXPERIMENT, Registry, require
from training.registry.connection import connected
from training.registry.run_lifecycle import PROCESS, current_process, has_ended, start_run

if TYPE_CHECKING:
    from mlflow.entities import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(empty_registry: Path, tmp_path: Path) -> Registry:
    return copied_registry(empty_registry, tmp_path)


@pytest.fixture
def other(registry: Registry, processes: ForkServerContext, tmp_path: Path) -> ForkServerProcess:
    """Another process with a running run."""
    assert registry
    started = processes.Event()
    process = processes.Process(target=stay_in_a_run, args=(tmp_path, started), daemon=True)
    process.start()
    assert started.wait(60)
    return process


def run_of(registry: Registry) -> Run:
    with connected(registry) as client:
        (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    return run


def status(registry: Registry) -> str:
    return str(run_of(registry).info.status)


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
    assert run_of(registry).info.status == "FINISHED"
    assert run_of(registry).data.tags[PROCESS] == current_process()


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


def test_a_terminated_process_ends_its_run(registry: Registry, other: ForkServerProcess) -> None:
    other.terminate()
    other.join()
    assert other.exitcode == 128 + signal.SIGTERM
    assert status(registry) == "KILLED"


def test_the_next_training_ends_an_abandoned_run(registry: Registry, other: ForkServerProcess) -> None:
    assert require(registry) == ()
    assert status(registry) == "RUNNING"
    other.kill()
    other.join()
    assert status(registry) == "RUNNING"
    assert require(registry) == ("train stays",)
    assert status(registry) == "KILLED"
    assert require(registry) == ()


def test_only_runs_of_ended_processes_of_this_host_are_ended(registry: Registry) -> None:
    """A process that has the ID of an ended one is another process."""
    host, pid, start = current_process().split()
    processes = {
        "no process": None,
        "no text": "",
        "a host": "scoring-1",
        "no number": "scoring-1 first 7",
        "another host": "another-host 4000000 7",
        "this process": current_process(),
        "an ended process": f"{host} {pid} {int(start) - 1}",
    }
    with connected(registry) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        for name, process in processes.items():
            client.create_run(experiment, tags={} if process is None else {PROCESS: process}, run_name=name)
        assert require(registry) == ("an ended process",)
        states = {run.info.run_name: run.info.status for run in client.search_runs([experiment])}
    assert states == {**dict.fromkeys(processes, "RUNNING"), "an ended process": "KILLED"}


def test_an_ended_process_is_detected_before_its_parent_collects_it() -> None:
    host, own_pid, start = current_process().split()
    assert not has_ended(f"{host} {own_pid} {start}")
    with subprocess.Popen(["true"]) as child:
        for _ in range(100):
            if has_ended(f"{host} {child.pid} {start}"):
                break
            time.sleep(0.05)
        assert has_ended(f"{host} {child.pid} {start}")
