"""Ingest a delivery repeatedly, killed at the first step that changes the disk, then the second, until the last.

Run as a process of its own, which forks: `python -m tests.features.ingest.killed STORE DELIVERY WORK`. It prints one
line per step: its number, the number of stored deliveries, and the step. WORK has one store per step.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

import features.ingest.validation
from features.ingest import ingest
from features.store.operating import read_store

assert features.ingest.validation, "imported before forking"


def _killing(real: Callable[..., Any], name: str, left: list[int], log: Path) -> Callable[..., Any]:
    def step(*args: object, **kwargs: object) -> object:
        for when in ("before", "after"):
            left[0] -= 1
            if left[0] < 0:
                log.write_text(f"{when} {name}")
                os.kill(os.getpid(), signal.SIGKILL)
            if when == "before":
                result = real(*args, **kwargs)
        return result

    return step


def _run_killed(delivery: Path, store: Path, step: int) -> None:
    left, log = [step], store.with_suffix(".step")
    for home, name in ((os, "fsync"), (os, "replace"), (Path, "rename"), (shutil, "rmtree"), (ir.Table, "to_parquet")):
        setattr(home, name, _killing(getattr(home, name), name, left, log))
    ingest(delivery, store)


def main(begun: Path, delivery: Path, work: Path) -> None:
    for step in count():
        store = Path(shutil.copytree(begun, work / f"{step}"))
        child = os.fork()
        if child == 0:
            _run_killed(delivery, store, step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return
        print(store.name, len(read_store(store).deliveries), store.with_suffix(".step").read_text(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
