"""Run a scenario in a process with the shim, and print the result as JSON.

Arguments: name of the scenario, an empty folder, the folder of a bundle, and `all` or `sample`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.faults.runner import Scenario, run_all


def main() -> None:
    name, folder, bundle, extent = sys.argv[1:]
    files = {path.name: path.read_bytes() for path in Path(bundle).iterdir()}
    calls, runs, problems = run_all(_scenario(name, files), Path(folder), everything=extent == "all")
    print(json.dumps({"calls": calls, "runs": runs, "problems": problems}))  # noqa: T201 - the parent reads it


def _scenario(name: str, files: Mapping[str, bytes]) -> Scenario:
    if name in {"first start", "operation"}:
        from tests.faults.ledger import FirstStart, Operation

        return FirstStart(files) if name == "first start" else Operation(files)
    from tests.faults.stores import Stores

    return Stores(name)


main()
