"""Runs the steps of a scenario once per failing call, each time in a new process on a copy of a prepared folder.

The process starts with `shim.c` in LD_PRELOAD. Libraries are imported once, before the first fork. A run either repeats
the failed step and continues, as a service does; or it ends at once, and another process repeats the step and
continues, as after a restart. Then the folder is checked. If threads would remain, all of this happens in one process.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import logging
import os
import random
import re
import shutil
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

Acknowledged = dict[str, Any]
"""The result of each step, as JSON."""

_SECONDS: Final = 120
_ERRORS: Final = (errno.EIO, errno.ENOSPC)
_VARYING: Final = re.compile(r"[0-9a-f]{8,}|\d{8}T\d+Z|(?<=/\.new-).+")
_shim: Final = ctypes.CDLL(None)


@dataclass(frozen=True)
class Call:
    """A call that changes a file of the folder."""

    number: int
    name: str
    path: str

    @property
    def kind(self) -> str:
        """The function and the file, without the parts of the name that vary."""
        return f"{self.name} {_VARYING.sub('*', self.path)}"

    @property
    def group(self) -> str:
        """The function and the file or folder of the state folder; of the operating data, the one in it."""
        parts = self.kind.split(" ", 1)[1].split("/")
        return f"{self.name} {'/'.join(parts[:2] if parts[0] == 'operating' else parts[:1])}"


@dataclass(frozen=True)
class Fault:
    """The failure of one call, and whether the process ends with the step."""

    call: Call
    error: int
    restarts: bool

    def __str__(self) -> str:
        then = "restart" if self.restarts else "continue"
        return f"call {self.call.number}, {self.call.name} {self.call.path}, {errno.errorcode[self.error]}, {then}"


class ChildError(Exception):
    """A forked process failed."""


class Subject(Protocol):
    """A service or a command on a folder. The first step opens it."""

    @property
    def steps(self) -> Mapping[str, Callable[[], Any]]:
        """The steps in order; each can be repeated."""


class Scenario(Protocol):
    """What is done in a folder."""

    allowed_errors: tuple[type[Exception], ...]
    """The errors that steps may raise; users receive them as one sentence or as a problem."""

    starts_threads: bool
    """Whether threads remain, as those of DuckDB and Arrow do. A process with threads must not be forked."""

    def prepare(self, folder: Path) -> None:
        """Create the state that every run starts from."""

    def open(self, folder: Path) -> Subject:
        """Return the subject on a copy of the prepared folder."""

    def may_be_silent(self, call: Call, step: str) -> bool:
        """Return whether the failure of this call needs no report, because it changes nothing that counts."""

    def check(self, folder: Path, acknowledged: Acknowledged, call: Call) -> Iterator[str]:
        """Yield what is wrong in the folder after the last step."""


def run_all(
    scenario: Scenario, folder: Path, covered: set[str] | None = None
) -> tuple[Mapping[str, int], int, list[str]]:
    """Return the number of calls by kind, the number of runs, and the problems.

    Args:
        scenario: The scenario.
        folder: An empty folder for the copies.
        covered: The groups of calls of which one failed, which are extended; None lets each call fail.
    """
    prepared = folder / "prepared"
    prepared.mkdir()
    # in this process, so that its caches are filled before the first fork
    scenario.prepare(prepared)
    calls = _calls(scenario, prepared, folder / "counted")
    assert scenario.starts_threads or threading.active_count() == 1
    gc.collect()
    gc.freeze()
    problems, faults = [], list(_faults(calls, covered))
    for number, fault in enumerate(faults):
        case = Path(shutil.copytree(prepared, folder / str(number)))
        problems += [f"{fault}: {problem}" for problem in _problems(scenario, case, fault)]
        shutil.rmtree(case)
    return Counter(call.kind for call in calls), len(faults), problems


def _faults(calls: Sequence[Call], covered: set[str] | None) -> Iterator[Fault]:
    # another choice in each run
    chosen = random.sample(calls, len(calls))
    if covered is not None:
        by_group = {call.group: call for call in chosen if call.group not in covered}
        chosen = list(by_group.values())
        covered.update(by_group)
    yield from (Fault(call, random.choice(_ERRORS), random.random() < 0.5) for call in chosen)  # noqa: S311


def _calls(scenario: Scenario, prepared: Path, folder: Path) -> list[Call]:
    shutil.copytree(prepared, folder)
    run = _run(scenario, folder, None, {})
    assert not run["errors"], run["errors"]
    problems = _checked(scenario, folder, run["acknowledged"], Call(-1, "", ""))
    assert not problems, problems
    shutil.rmtree(folder)
    return [Call(*call) for call in run["calls"]]


def _problems(scenario: Scenario, folder: Path, fault: Fault) -> Iterator[str]:
    run = _call(scenario, lambda: _run(scenario, folder, fault, {}))
    call = next((Call(*call) for call in run["calls"] if call[0] == fault.call.number), None)
    if call is None:
        return  # a run may have fewer calls, such as after another size of a compressed text
    acknowledged = run["acknowledged"]
    for step, name, text in run["errors"]:
        if name is not None:
            yield f"{step} failed with {name}: {text}"
    if not run["reported"] and not scenario.may_be_silent(call, run["failing"]):
        yield f"{run['failing']} reported nothing"
    if fault.restarts:
        rest = _call(scenario, lambda: _run(scenario, folder, None, acknowledged))
        acknowledged = rest["acknowledged"]
        for step, _, text in rest["errors"]:
            yield f"after a restart, {step} failed: {text}"
    elif len(run["errors"]) > 1:
        yield f"{run['errors'][1][0]} failed again"
    yield from _checked(scenario, folder, acknowledged, call)


def _checked(scenario: Scenario, folder: Path, acknowledged: Acknowledged, call: Call) -> list[str]:
    try:
        return list(scenario.check(folder, acknowledged, call))
    except Exception:  # noqa: BLE001 - it is a problem like any other
        return [f"the folder cannot be checked: {traceback.format_exc()}"]


def _run(scenario: Scenario, folder: Path, fault: Fault | None, acknowledged: Acknowledged) -> dict[str, Any]:
    """Run the steps that are not acknowledged yet, and always the first one."""
    logged: list[str] = []
    result: dict[str, Any] = {"acknowledged": acknowledged, "errors": [], "reported": False, "failing": None}
    with _collected(logged), (folder.parent / "calls").open("wb+") as log:
        _shim.fault_watch(os.fsencode(folder), log.fileno())
        number, code = (-1, 0) if fault is None else (fault.call.number, fault.error)
        _shim.fault_arm(number, code)
        steps = scenario.open(folder).steps
        first = next(iter(steps))
        for step, work in steps.items():
            for _ in range(2 if step == first or step not in acknowledged else 0):
                started, failed, messages = _shim.fault_calls(), len(result["errors"]), len(logged)
                try:
                    acknowledged[step] = work()
                except Exception as error:  # noqa: BLE001 - the caller judges it
                    name = None if isinstance(error, scenario.allowed_errors) else type(error).__name__
                    result["errors"].append((step, name, str(error)))
                if started <= number < _shim.fault_calls():
                    result["failing"] = step
                    result["reported"] = len(result["errors"]) > failed or len(logged) > messages
                if len(result["errors"]) == failed:
                    break
                if fault is not None and fault.restarts:
                    break
            if result["errors"] and fault is not None and fault.restarts:
                break
        _shim.fault_watch(b"", -1)
        log.seek(0)
        lines = [line.split(" ", 2) for line in os.fsdecode(log.read()).splitlines()]
    return {**result, "calls": [(int(number), name, path) for number, name, path in lines]}


@contextmanager
def _collected(logged: list[str]) -> Iterator[None]:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(record.getMessage())

    handler = Handler(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _call(scenario: Scenario, work: Callable[[], Any]) -> Any:
    """Return the result of a function, in a forked process unless threads remain."""
    return work() if scenario.starts_threads else _forked(work)


def _forked(work: Callable[[], Any]) -> Any:
    """Return the result of a function in a forked process, which ends without closing anything."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        signal.alarm(_SECONDS)
        try:
            result = {"value": work()}
        except BaseException:  # noqa: BLE001 - raised in the parent
            result = {"error": traceback.format_exc()}
        with os.fdopen(writer, "w") as file:
            json.dump(result, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        content = file.read()
    os.waitpid(process, 0)
    if not content:
        raise ChildError(f"The process did not end within {_SECONDS} seconds, or crashed.")
    result = json.loads(content)
    if "error" in result:
        raise ChildError(result["error"])
    return result["value"]
