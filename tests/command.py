"""`sellerscore` for tests: in this process, or in one of its own where the process itself is what is tested.

A process of its own imports MLflow and LightGBM again, which takes some ten seconds. Commands run on the day after
simulated marketplaces end by default, so that their data are fresh.
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
"""When commands run, unless a test has moved the clock itself."""

_MAIN = """
import time_machine
time_machine.travel({moment}).start()
import sellerscore
sellerscore.main()
"""


@dataclass(frozen=True)
class Completed:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def run(home: Path, *arguments: str | Path) -> Completed:
    """Run a command in this process, with its state in `home` and no setting of the machine's own."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        # what third parties warn of is printed by a real command and fails nothing
        warnings.simplefilter("ignore")
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        for name, value in _environment(home).items():
            patch.setenv(name, value)
        patch.chdir(home.parent)
        patch.setattr(sys, "argv", ["sellerscore", *map(str, arguments)])
        moved = contextlib.nullcontext() if time_machine.escape_hatch.is_travelling() else time_machine.travel(CLOCK)
        with moved:
            code = _exit_code()
    return Completed(code, out.getvalue(), errors.getvalue())


def run_process(home: Path, *arguments: str | Path) -> Completed:
    """Run a command as a user does, in a process of its own, with its state in `home`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", _MAIN.format(moment=CLOCK.timestamp()), *map(str, arguments)],
        env={**inherited, **_environment(home)},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return Completed(done.returncode, done.stdout, done.stderr)


def done(home: Path, *arguments: str | Path) -> str:
    """Run a command that must succeed, and return what it printed."""
    result = run(home, *arguments)
    assert result.returncode == 0, f"{arguments}: {result.stderr}"
    return result.stdout


def _environment(home: Path) -> dict[str, str]:
    return {"SELLERSCORE_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"}


def _exit_code() -> int:
    try:
        sellerscore.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
