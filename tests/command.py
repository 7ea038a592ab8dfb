"""Run `sellerscore` in tests: in this process, or in a separate one if the process itself is tested.

A separate process imports MLflow and LightGBM again, which takes about ten seconds. By default, commands run on the day
after simulated marketplaces end, so that their data are fresh.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

import sellerscore

CLOCK = datetime(2026, 1, 2, 9, tzinfo=UTC)
"""Time of commands, unless a test has moved the clock."""

_MAIN = """
import time_machine
time_machine.travel({moment}).start()
import sellerscore
sellerscore.main()
"""


@dataclass(frozen=True)
class Completed:
    """Output and exit code of a command."""

    returncode: int
    stdout: str
    stderr: str


def run(home: Path, *arguments: str | Path) -> Completed:
    """Run a command in this process, with its state in `home` and without settings of the machine."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        # a real command prints warnings of libraries and does not fail
        warnings.simplefilter("ignore")
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        for name, value in _environment(home).items():
            patch.setenv(name, value)
        patch.chdir(home.parent)
        patch.setattr(sys, "argv", ["sellerscore", *map(str, arguments)])
        clock = contextlib.nullcontext() if time_machine.escape_hatch.is_travelling() else time_machine.travel(CLOCK)
        with clock:
            code = _exit_code()
    return Completed(code, out.getvalue(), errors.getvalue())


def run_process(home: Path, *arguments: str | Path) -> Completed:
    """Run a command in a separate process, as a user does, with its state in `home`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    process = subprocess.run(
        [sys.executable, "-c", _MAIN.format(moment=CLOCK.timestamp()), *map(str, arguments)],
        env={**inherited, **_environment(home)},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Completed(process.returncode, process.stdout, process.stderr)


def done(home: Path, *arguments: str | Path) -> str:
    """Run a command that must succeed, and return its output."""
    result = run(home, *arguments)
    assert result.returncode == 0, f"{arguments}: {result.stderr}"
    return result.stdout


def _environment(home: Path) -> dict[str, str]:
    return {"SELLERSCORE_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"}


def _exit_code() -> int:
    umask = os.umask(0o022)
    try:
        sellerscore.main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        # the command restricts its own files, not those of other tests
        os.umask(umask)
    return 0
