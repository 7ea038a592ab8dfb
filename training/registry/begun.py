"""Runs that are begun in MLflow, and that end with it: finished, failed or killed, but never left as if still running.

A kill that no program notices (kill -9, a lack of memory, a loss of power) leaves a run that says RUNNING for ever; the
next training on that host finds it by the process that it names, and ends it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from training.registry.process import Process

if TYPE_CHECKING:
    from training.registry.connection import Client

PROCESS: Final = "process"
"""The tag of a run, and of what a promotion intends, that says which process is at it: host, number and start."""

_SIGNALLED: Final = 128
"""A shell tells that a signal ended a process by this and the signal's number."""


@contextmanager
def begun(experiment: str, name: str, started_at: datetime | None = None) -> Iterator[str]:
    """Begin a run, the active one of MLflow's functions until the end, and yield its id.

    It ends FINISHED, or KILLED by Ctrl-C or SIGTERM, or FAILED by any other exception, which goes on its way. SIGTERM
    becomes `SystemExit` meanwhile, so that all that is open is closed; the process then ends with 143.

    Args:
        experiment: the id of the experiment.
        name: of the run.
        started_at: the start that MLflow shows, in UTC; now unless given.
    """
    import mlflow

    with _stopped_by_signal(), mlflow.start_run(run_id=_create_run(experiment, name, started_at)) as run:
        try:
            yield run.info.run_id
        except (KeyboardInterrupt, SystemExit):
            mlflow.end_run("KILLED")
            raise


def _create_run(experiment: str, name: str, started_at: datetime | None) -> str:
    """Create a run with the tags that `mlflow.start_run` would give it; only this way takes a start time."""
    from mlflow import MlflowClient
    from mlflow.tracking.context.registry import resolve_tags

    start = None if started_at is None else int(started_at.timestamp() * 1000)
    run = MlflowClient().create_run(experiment, start, resolve_tags({PROCESS: str(Process.own())}), name)
    return str(run.info.run_id)


def sweep(client: Client, *experiments: str) -> tuple[str, ...]:
    """End as KILLED the runs that processes of this host began and left, and return their names.

    A run that names no process, one of another host, or one that is still there is left alone.

    Args:
        client: of the registry.
        experiments: names of those to look at; one that does not exist has no runs.

    Example: `sweep(client, "sellerscore")` is `("train 9b02cf5a",)` after a `kill -9` of a training.
    """
    found = [experiment for name in experiments if (experiment := client.get_experiment_by_name(name)) is not None]
    if not found:
        return ()
    ids = [str(experiment.experiment_id) for experiment in found]
    left = []
    for run in client.search_runs(ids, "attributes.status = 'RUNNING'", max_results=1_000):
        process = Process.read(run.data.tags.get(PROCESS, ""))
        if process is not None and process.is_gone():
            client.set_terminated(run.info.run_id, "KILLED")
            left.append(str(run.info.run_name))
    return tuple(left)


@contextmanager
def _stopped_by_signal() -> Iterator[None]:
    """Let SIGTERM raise `SystemExit`, where this is the thread that signals come to and nobody else handles it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(_SIGNALLED + number)
