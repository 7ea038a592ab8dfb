"""Fault injection: each write, flush, rename and deletion in the state folder fails once.

Nothing acknowledged is lost, each failure is reported, and the next attempt works. A small library in front of the C
library lets the calls fail (`shim.c`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.counts import SOAKING

pytestmark = [pytest.mark.repeated, pytest.mark.slow]

SOURCE = Path(__file__).with_name("shim.c")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("Fault injection needs Linux and a C compiler. Install gcc and libc6-dev.")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", *warnings, "-o", library, SOURCE, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("scenarios", ["ledger", "stores"])
def test_each_failing_call_is_reported_and_loses_nothing(
    scenarios: str, shim: Path, bundle_folder: Path, tmp_path: Path
) -> None:
    folder, extent = tmp_path / "runs", "all" if SOAKING else "sample"
    folder.mkdir()
    # threads must not exist before a fork
    environment = {**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.faults", scenarios, folder, bundle_folder, extent],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["problems"] == []
    assert report["runs"] == sum(report["calls"].values()) if SOAKING else report["runs"] > 30
