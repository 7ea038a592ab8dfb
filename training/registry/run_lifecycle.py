"""Who does something in the registry, so that others can tell whether he is still at it: host, process, its start.

Only what is surely gone is called gone: another host's process, or one that this system does not show, may be at work.

Runs that are begun in MLflow, and that end with it: finished, failed or killed, but never left as if still running.

A kill that no program notices (kill -9, a lack of memory, a loss of power) leaves a run that says RUNNING for ever; the
next training on that host finds it by the process that it names, and ends it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from training.registry.connection import Client


_PROC: Final = Path("/proc")


_MACHINE: Final = Path("/etc/machine-id")


_STARTED: Final = 19
"""Place of the start among the fields of /proc/PID/stat that follow the command's name."""


@dataclass(frozen=True)
class Process:
    """A process: where it runs, its number there, and when it started, in the words of that host.

    Two processes of one number never start at the same tick of the same boot. Where a system does not tell, `started`
    is empty, and a process of that number that is there counts as this one.

    Example: `Process("scoring-1/5e0c11d2", 4711, "0d1f2c7e 8812345")`.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def own(cls) -> Process:
        """Return this process."""
        return cls(_this_process(), os.getpid(), _started(os.getpid()))

    @classmethod
    def read(cls, text: str) -> Process | None:
        """Return the process that `str` wrote down, None where it is no such text."""
        host, _, rest = text.partition(" ")
        pid, _, started = rest.partition(" ")
        return cls(host, int(pid), started) if host and pid.isdecimal() else None

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started}".rstrip()

    def is_gone(self) -> bool:
        """Return whether it surely ended: it was of this host, and its number is free or another's by now."""
        return self.host == _this_process() and (
            not _is_running(self.pid) or bool(self.started and _started(self.pid) not in {"", self.started})
        )


def _this_process() -> str:
    """Return the host's name, and what tells machines of one name apart, and containers that count processes anew."""
    told = [_format(_MACHINE.read_text), _format(lambda: str((_PROC / "self" / "ns" / "pid").readlink()))]
    return f"{socket.gethostname()}/{hashlib.sha256(' '.join(told).encode()).hexdigest()[:8]}"


def _format(ask: Callable[[], str]) -> str:
    """Return what the system tells, nothing where it does not."""
    try:
        return ask()
    except OSError:
        return ""


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return not _is_over(pid)


def _fields(pid: int) -> list[str]:
    """Return what Linux tells of a process after its command's name, which may hold spaces; nothing elsewhere."""
    return _format((_PROC / str(pid) / "stat").read_text).rpartition(")")[2].split()


def _is_over(pid: int) -> bool:
    """Return whether nothing is left of a process but its number, until its parent asks how it ended."""
    return _fields(pid)[:1] in (["Z"], ["X"])


def _started(pid: int) -> str:
    """Return the boot and the tick at which a process started; nothing where the system does not tell."""
    fields, boot = _fields(pid), _format((_PROC / "sys" / "kernel" / "random" / "boot_id").read_text)
    return f"{boot.partition('-')[0]} {fields[_STARTED]}" if boot and len(fields) > _STARTED else ""


PROCESS: Final = "process"
"""The tag of a run, and of what a promotion intends, that says which process is at it: host, number and start."""


_SIGNALLED: Final = 128
"""A shell tells that a signal ended a process by this and the signal's number."""


@contextmanager
def start_run(experiment: str, name: str, started_at: datetime | None = None) -> Iterator[str]:
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


def end_abandoned_runs(client: Client, *experiments: str) -> tuple[str, ...]:
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
