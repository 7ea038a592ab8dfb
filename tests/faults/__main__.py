"""Run the scenarios of the ledger or of the stores in a process with the shim, and print the result as JSON.

Arguments: `ledger` or `stores`, an empty folder, the folder of a bundle, and `all` or `sample`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from tests.faults.runner import Scenario, run_all


def main() -> None:
    name, folder, bundle, extent = sys.argv[1:]
    calls, runs, problems = Counter[str](), 0, list[str]()
    covered: set[str] | None = None if extent == "all" else set()
    for number, scenario in enumerate(_scenarios(name, Path(folder), Path(bundle))):
        own = Path(folder, f"scenario-{number}")
        own.mkdir()
        more_calls, more_runs, more_problems = run_all(scenario, own, covered)
        calls.update(more_calls)
        runs += more_runs
        problems += more_problems
    print(json.dumps({"calls": calls, "runs": runs, "problems": problems}))  # noqa: T201 - the parent reads it


def _scenarios(name: str, folder: Path, bundle: Path) -> list[Scenario]:
    if name == "ledger":
        from tests.faults.ledger import FirstStart, Operation

        files = {path.name: path.read_bytes() for path in bundle.iterdir()}
        return [FirstStart(files), Operation(files)]
    from tests.faults.stores import STEPS, Stores, prepare_states

    prepare_states(folder / "states")
    return [Stores(step, folder / "states") for step in STEPS]


main()
