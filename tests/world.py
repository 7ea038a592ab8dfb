"""One small marketplace, taken all the way by the real command: simulated, ingested, trained on, promoted.

It is made once a test run, also where xdist runs several workers, and is to be read only: who tries to harm it
takes a copy.
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
from tests.frames import remembered_frames

_MARK = "ready"
_HERE = Path(__file__).parent

SETTINGS = ("--config", str(_HERE / "world_settings.toml"))
"""What `train` is told: a model that takes seconds."""

APPROVAL = (
    *("--approved-by", "a second person", "--reason", "tests need a champion"),
    *("--gates", str(_HERE / "world_gates.toml")),
)
"""What `promote` must be told: a small world has too few bad loans for the usual gates."""
_WAL = ("-wal", "-shm")


@dataclass(frozen=True)
class World:
    """A state folder in which everything was done once, and the delivery that it began with."""

    home: Path
    delivery: Path

    def copy(self, folder: Path) -> World:
        """Return the same world with a state folder of its own; the model's files stay where they are."""
        shutil.copytree(self.home, folder / "home")
        return World(folder / "home", self.delivery)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every file of the state; what SQLite keeps only while reading is left out."""
        return {
            str(path.relative_to(self.home)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and not path.name.endswith(_WAL)
        }


def make_world(folder: Path) -> World:
    """Take a small marketplace all the way: so small that training and test have bad loans enough, and no more."""
    from training.simulation import SimulationConfig, simulate

    made = World(folder / "home", folder / "delivery")
    simulate(SimulationConfig(sellers=500, orders_per_seller=150), made.delivery)
    made.home.mkdir()
    with _quick():
        for arguments in (("ingest", made.delivery), ("train", *SETTINGS), ("promote", *APPROVAL)):
            done(made.home, *arguments)
    return made


@contextmanager
def _quick() -> Iterator[None]:
    """Leave out of the commands what takes seconds and changes nothing that tests of the world ask about.

    Two studies compute frames of their own; a soak test trains with all of them. Features that are known are not
    computed again. Garbage stays where it is: to look for it among millions of objects takes a fifth of a training.
    """
    from training.evidence.studies import STUDIES

    quick = {name: study for name, study in STUDIES.items() if name not in {"selection", "withholding"}}
    gc.disable()
    try:
        with remembered_frames(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.run.STUDIES", quick)
            yield
    finally:
        gc.enable()


def shared_world(factory: pytest.TempPathFactory) -> World:
    """Return the one world of this test run, made by whoever comes first."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "world"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _MARK).exists():
            make_world(folder)
            (folder / _MARK).touch()
    return World(folder / "home", folder / "delivery")
