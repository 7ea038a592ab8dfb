"""Checkpoints in the state folder, written every few seconds: they show if the database lost its latest rows.

A database file can lose acknowledged rows without a trace, for example if its `-wal` file is deleted and the service
is killed: the earlier state is whole. The newest checkpoint then covers rows that the ledger lacks. It is kept as
`conflict-TIME.json`, and `sellerscore ledger verify` compares the ledger with every checkpoint in the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from api.auth.signing_keys import KeyRing
from api.errors import DatabaseUnavailable, InputError, SignatureError
from api.kit.background import DegradedConditions
from api.kit.database import snapshot
from api.kit.files import write_atomically
from api.ledger import store
from api.ledger.chain import Tip
from api.ledger.checkpoints import read_checkpoint, sign_checkpoint
from api.ledger.store import ledger

INTERVAL_SECONDS: Final = 5.0

_LATEST: Final = "latest.json"
_SIZE: Final = 50_000_000
"""Bytes of the largest checkpoint that is read: a chain takes about 150."""


def read_local_checkpoints(folder: Path, jwks: Mapping[str, Any]) -> list[dict[str, Tip]]:
    """Return the tips of all checkpoints in the state folder; none if the service never ran.

    Raises:
        InputError: A file cannot be read, or its signature is invalid.
    """
    checkpoints = []
    for path in sorted(folder.glob("*.json")):
        try:
            with path.open("rb") as file:
                checkpoints.append(read_checkpoint(file.read(_SIZE), jwks))
        except OSError as error:
            raise InputError(f"The checkpoint {path} cannot be read ({error.strerror}).") from error
        except SignatureError as error:
            raise InputError(f"The checkpoint {path} cannot be used. {error}") from error
    return checkpoints


def lost_rows(connection: Connection, checkpoint: Mapping[str, Tip]) -> list[str]:
    """Return the chains that lack the row of their tip in a checkpoint, or have another row there."""
    lost = []
    for chain, tip in checkpoint.items():
        stored = select(ledger.c.head).where(ledger.c.chain == chain, ledger.c.position == tip.position)
        if tip.position and connection.execute(stored).scalar_one_or_none() != tip.head:
            lost.append(chain)
    return lost


class LocalCheckpoints:
    """Writes a checkpoint whenever the ledger has grown.

    Example: `RepeatingTask("local checkpoints", LocalCheckpoints(folder, engine, keys=keys, degraded=degraded).save)`.
    """

    def __init__(
        self, folder: Path, engine: Engine, *, keys: Callable[[], KeyRing], degraded: DegradedConditions
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._keys = keys
        self._degraded = degraded
        self._saved: Mapping[str, Tip] = {}

    def keep_conflict(self) -> None:
        """Keep the checkpoint of the last run if the ledger lacks its rows; `save` would replace it. Call it once.

        Raises:
            InputError: The checkpoint cannot be read, or its signature is invalid.
            DatabaseUnavailable: The database does not respond.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        latest = self._folder / _LATEST
        with snapshot(self._engine) as connection:
            checkpoints = read_local_checkpoints(self._folder, self._keys().jwks)
            lost = sorted({chain for checkpoint in checkpoints for chain in lost_rows(connection, checkpoint)})
            latest_lost = latest.exists() and lost_rows(connection, checkpoints[-1])
        if latest_lost:
            latest.rename(self._folder / f"conflict-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json")
        if lost:
            self._degraded.report(
                "ledger",
                f"the database lacks rows of {len(lost)} chains that a checkpoint in {self._folder.name}/ covers. Run "
                "`sellerscore ledger verify`.",
                ", ".join(lost),
            )

    def save(self) -> float:
        """Write a checkpoint if a chain has grown, and return the pause until the next."""
        try:
            with snapshot(self._engine) as connection:
                tips = store.tips(connection)
            if tips != self._saved:
                content = sign_checkpoint(tips, self._keys(), datetime.now(UTC))
                write_atomically(self._folder / _LATEST, content + b"\n", private=True)
                self._saved = tips
        except (DatabaseUnavailable, OSError) as error:
            self._degraded.report("local checkpoints", "the last one could not be written.", str(error))
        else:
            self._degraded.report("local checkpoints", None)
        return INTERVAL_SECONDS
