"""One small marketplace that the real commands simulate, ingest, train on and promote.

It is created once per test run, also with several xdist workers. It is read-only: tests that write use a copy.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command import done
from tests.frames import cached_frames

_MARK = "ready"
_HERE = Path(__file__).parent

SETTINGS = ("--config", str(_HERE / "world_settings.toml"))
"""Options of `train`: a model that trains in seconds."""

APPROVAL = (
    *("--approved-by", "a second person", "--reason", "tests need a champion"),
    *("--gates", str(_HERE / "world_gates.toml")),
)
"""Options of `promote`: a small world has too few bad loans for the default gates."""

_WAL = ("-wal", "-shm")


@dataclass(frozen=True)
class World:
    """A state folder after all commands, and the delivery that it started from."""

    home: Path
    delivery: Path

    def copy(self, folder: Path) -> World:
        """Return the same world with a copy of the state folder; the model files are not copied."""
        shutil.copytree(self.home, folder / "home")
        return World(folder / "home", self.delivery)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every file of the state, without SQLite's temporary files."""
        return {
            str(path.relative_to(self.home)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and not path.name.endswith(_WAL)
        }


def make_world(folder: Path) -> World:
    """Create a world: the smallest with enough bad loans for training and test."""
    from training.simulation import SimulationConfig, simulate

    world = World(folder / "home", folder / "delivery")
    simulate(SimulationConfig(sellers=500, orders_per_seller=150), world.delivery)
    world.home.mkdir()
    with _faster_commands():
        for arguments in (("ingest", world.delivery), ("train", *SETTINGS), ("promote", *APPROVAL)):
            done(world.home, *arguments)
    return world


@contextmanager
def _faster_commands() -> Iterator[None]:
    """Skip slow parts of the commands that tests of the world do not need.

    Two studies compute their own frames; a soak test trains with all studies. Frames are cached. Garbage collection is
    off, because a search among millions of objects takes a fifth of a training.
    """
    from training.evidence.studies import STUDIES

    quick = {name: study for name, study in STUDIES.items() if name not in {"selection", "withholding"}}
    gc.disable()
    try:
        with cached_frames(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.run.STUDIES", quick)
            yield
    finally:
        gc.enable()


def shared_world(factory: pytest.TempPathFactory) -> World:
    """Return the one world of this test run; the first worker creates it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "world"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _MARK).exists():
            make_world(folder)
            (folder / _MARK).touch()
    return World(folder / "home", folder / "delivery")
