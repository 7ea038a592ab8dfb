"""Run one scenario in a process with the shim, and print the result as JSON.

Arguments: name of the scenario, an empty folder, the folder of a bundle, and `all` or `sample`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.faults.runner import run_all


def main() -> None:
    name, folder, bundle, extent = sys.argv[1:]
    if name == "stores":
        from tests.faults.stores import Stores

        scenario = Stores()
    else:
        from tests.faults import ledger

        files = {path.name: path.read_bytes() for path in Path(bundle).iterdir()}
        scenario = {"first start": ledger.FirstStart, "operation": ledger.Operation}[name](files)
    calls, runs, problems = run_all(scenario, Path(folder), everything=extent == "all")
    print(json.dumps({"calls": calls, "runs": runs, "problems": problems}))


main()
