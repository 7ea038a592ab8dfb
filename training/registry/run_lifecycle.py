"""The lifecycle of MLflow runs: start and end, also by a signal, and runs that a killed process abandoned.

`kill -9`, lack of memory or a power failure leaves a run in the state RUNNING. Every run therefore names its process,
and the next training on the same host ends the runs whose process is gone.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from training.registry.connection import Client

PROCESS: Final = "process"
"""The tag with the process of a run or of a promotion, see `current_process`."""

_START: Final = 19
"""Position of the start time among the fields of /proc/PID/stat after the command's name."""

_SIGNAL_EXIT: Final = 128
"""A process that a signal ended has this number plus the signal's as its exit code."""


def current_process() -> str:
    """Return host, process ID and start time of this process, such as `scoring-1 4711 8812345`."""
    return f"{socket.gethostname()} {os.getpid()} {_start_time(os.getpid())}"


def has_ended(process: str) -> bool:
    """Return whether a process is known to have ended; False for another host, and on systems without /proc."""
    host, _, rest = process.partition(" ")
    pid, _, start = rest.partition(" ")
    return host == socket.gethostname() and pid.isdecimal() and bool(start) and _start_time(int(pid)) != start


def _start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty if it is not running."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[_START]


@contextmanager
def start_run(experiment: str, name: str, started_at: datetime | None = None) -> Iterator[str]:
    """Start a run, make it MLflow's active run, and yield its ID.

    It ends as FINISHED, as KILLED on Ctrl-C or SIGTERM, or as FAILED on any other exception, which is raised again.
    During the run, SIGTERM raises `SystemExit` with the exit code 143, so that open resources are closed. MLflow shows
    `started_at` (UTC; now by default) as its start.
    """
    import mlflow
    from mlflow.tracking.context.registry import resolve_tags

    start = None if started_at is None else int(started_at.timestamp() * 1000)
    # mlflow.start_run takes no start time
    created = mlflow.MlflowClient().create_run(experiment, start, resolve_tags({PROCESS: current_process()}), name)
    with _exit_on_sigterm(), mlflow.start_run(run_id=created.info.run_id) as run:
        try:
            yield run.info.run_id
        except (KeyboardInterrupt, SystemExit):
            mlflow.end_run("KILLED")
            raise


def end_abandoned_runs(client: Client, *experiments: str) -> tuple[str, ...]:
    """End the runs of ended processes of this host as KILLED, and return their names; experiments need not exist.

    Example: after a `kill -9` of a training, `end_abandoned_runs(client, "sellerscore")` is `("train 9b02cf5a",)`.
    """
    existing = [found for name in experiments if (found := client.get_experiment_by_name(name)) is not None]
    if not existing:
        return ()
    ids = [str(experiment.experiment_id) for experiment in existing]
    running = client.search_runs(ids, "attributes.status = 'RUNNING'", max_results=1_000)
    abandoned = [run for run in running if has_ended(run.data.tags.get(PROCESS, ""))]
    for run in abandoned:
        client.set_terminated(run.info.run_id, "KILLED")
    return tuple(str(run.info.run_name) for run in abandoned)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise `SystemExit`, unless this is not the main thread or the signal has another handler."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(_SIGNAL_EXIT + number)
