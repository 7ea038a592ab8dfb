"""What other processes run in tests. They fork from a server that has MLflow imported, which takes seconds."""

from __future__ import annotations

import time
from multiprocessing.synchronize import Event
from pathlib import Path

from training.registry import EXPERIMENT, Registry, require
from training.registry.connection import connected
from training.registry.run_lifecycle import start_run


def use_registry(folder: Path) -> None:
    require(Registry.on_sqlite(folder))


def stay_in_a_run(folder: Path, started: Event) -> None:
    with connected(Registry.on_sqlite(folder)) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        with start_run(experiment, "train stays"):
            started.set()
            time.sleep(300)
