"""`make bench`: run every group (or ONLY one), print a table and write var/bench.json."""

import json
import os
import sys
from collections.abc import Callable

from features.home import state_folder
from tests.benchmarks import api, explain, fake_orders, features, ledger, pages, reasons, simulation, train, trials

GROUPS: dict[str, Callable[[], dict[str, float]]] = {
    "features": features.run,
    "explain": explain.run,
    "api": api.run,
    "ledger": ledger.run,
    "simulation": simulation.run,
    "trials": trials.run,
    "fake_orders": fake_orders.run,
    "reasons": reasons.run,
    "train": train.run,
    "pages": pages.run,
}


def main() -> None:
    """Run the selected groups; keep the stored figures of all other groups."""
    only = os.environ.get("ONLY") or None
    if only is not None and only not in GROUPS:
        sys.exit(f"Unknown group {only!r}. Use one of: {', '.join(GROUPS)}.")
    path = state_folder() / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = json.loads(path.read_text()) if path.exists() else {}
    for name, group in GROUPS.items():
        if only in (None, name):
            measured = group()
            figures = {key: value for key, value in figures.items() if not key.startswith(f"{name}.")} | measured
    path.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    width = max(map(len, figures))
    print("\n".join(f"{name:<{width}}  {value:.4g}" for name, value in sorted(figures.items())))


if __name__ == "__main__":
    main()
