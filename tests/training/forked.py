"""Processes that tests start, signal and kill, without the seconds that a new one takes to import MLflow.

One process imports it and forks each of the others, which run a few lines of Python.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_PARENT = """
import json, os, sys, traceback
import mlflow
import training.registry
from training.registry import connection, run_lifecycle
print("ready", flush=True)
for line in sys.stdin:
    act, asked = json.loads(line)
    if act == "wait":
        print(os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]), flush=True)
        continue
    code, *sys.argv = asked
    child = os.fork()
    if child:
        print(child, flush=True)
        continue
    status = 1
    try:
        exec(code, {"__name__": "__main__"})
        status = 0
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        traceback.print_exc()
    os._exit(status)
"""


@dataclass(frozen=True)
class Child:
    """A process of its own: its number, and how to wait for its end."""

    forks: Forks
    pid: int

    def wait(self) -> int:
        """Return the exit code, as `subprocess` gives it, once the process has ended."""
        return int(self.forks.ask("wait", self.pid))


@dataclass(frozen=True)
class Forks:
    """The process that has MLflow imported."""

    process: subprocess.Popen[str]

    def start(self, code: str, *arguments: str | Path) -> Child:
        """Run Python code in a process of its own, with `sys.argv` of these arguments."""
        return Child(self, int(self.ask("start", [code, *map(str, arguments)])))

    def ask(self, act: str, asked: object) -> str:
        """Write a line to the process, and return the one that it answers with."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([act, asked]) + "\n")
        self.process.stdin.flush()
        return self.line()

    def line(self) -> str:
        """Return the next line that the process or one that it forked prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process that forks others has ended"
        return line.rstrip("\n")


@contextmanager
def forking() -> Iterator[Forks]:
    """Start the process that forks others, and end it with all of them that are left."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        forks = Forks(process)
        try:
            assert forks.line() == "ready"
            yield forks
        finally:
            os.killpg(process.pid, signal.SIGKILL)
