"""Checkpoints in the state folder: they show if the database lost its latest rows.

The service writes one every few seconds, and each command that writes to the ledger writes one at its end.

A database file can lose acknowledged rows without a trace, for example if its `-wal` file is deleted and the service
is killed, or if a person deletes the last row of a chain: the earlier state is whole. The newest checkpoint then covers
rows that the ledger lacks. It is kept as `conflict-TIME.json` before another is written.
`sellerscore ledger verify` compares the ledger with every checkpoint in the folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from api.auth.signing_keys import KeyRing, Use, open_ring, read_ring
from api.errors import DatabaseUnavailable, InputError, SignatureError
from api.kit.background import DegradedConditions
from api.kit.database import snapshot, transaction
from api.kit.files import write_atomically
from api.ledger import store
from api.ledger.chain import START, Tip
from api.ledger.checkpoints import read_checkpoint, sign_checkpoint
from api.ledger.store import ledger
from api.settings import Settings

INTERVAL_SECONDS: Final = 5.0

_LATEST: Final = "latest.json"
_CONFLICT: Final = "conflict-{}.json"
_SIZE: Final = 50_000_000
"""Bytes of the largest checkpoint that is read: a chain takes about 150."""


def read_local_checkpoints(folder: Path, jwks: Mapping[str, Any]) -> list[dict[str, Tip]]:
    """Return the tips of all checkpoints in the state folder; none if the service never ran.

    Raises:
        InputError: A file cannot be read, or its signature is invalid.
    """
    return [_read(path, jwks) for path in sorted(folder.glob("*.json"))]


def _read(path: Path, jwks: Mapping[str, Any]) -> dict[str, Tip]:
    try:
        with path.open("rb") as file:
            return read_checkpoint(file.read(_SIZE), jwks)
    except OSError as error:
        raise InputError(f"The checkpoint {path} cannot be read ({error.strerror}).") from error
    except SignatureError as error:
        raise InputError(f"The checkpoint {path} cannot be used. {error}") from error


def lost_rows(connection: Connection, checkpoint: Mapping[str, Tip]) -> list[str]:
    """Return the chains that end before their tip in a checkpoint, lack its row, or have another row there."""
    lost, tips = [], store.tips(connection)
    for chain, tip in checkpoint.items():
        stored = select(ledger.c.head).where(ledger.c.chain == chain, ledger.c.position == tip.position)
        is_cut = tips.get(chain, Tip(0, START)).position < tip.position
        if tip.position and (is_cut or connection.execute(stored).scalar_one_or_none() != tip.head):
            lost.append(chain)
    return lost


class LocalCheckpoints:
    """Writes a checkpoint whenever the ledger has grown, and keeps the former one if the ledger lacks its rows.

    The service and commands may write to the same folder: a lock of the folder orders them.

    Example: `RepeatingTask("local checkpoints", LocalCheckpoints(folder, engine, keys=keys, degraded=degraded).save)`.
    """

    def __init__(
        self, folder: Path, engine: Engine, *, keys: Callable[[], KeyRing], degraded: DegradedConditions
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._keys = keys
        self._degraded = degraded

    def keep_conflict(self) -> None:
        """Keep the last checkpoint if the ledger lacks its rows. Report all chains that lack rows, or that none does.

        Raises:
            InputError: A checkpoint cannot be read, or its signature is invalid.
            DatabaseUnavailable: The database does not respond.
        """
        with self._lock():
            self._keep_conflict()

    def save(self) -> float:
        """Write a checkpoint if the ledger differs from the last one, and return the pause until the next."""
        try:
            with self._lock():
                self._save()
        except (DatabaseUnavailable, InputError, OSError) as error:
            self._degraded.report("local checkpoints", "the last one could not be written.", str(error))
        else:
            self._degraded.report("local checkpoints", None)
        return INTERVAL_SECONDS

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _save(self) -> None:
        latest = self._folder / _LATEST
        # the file is read first, so that the snapshot has all rows that it covers
        saved = _read(latest, self._keys().jwks) if latest.exists() else {}
        with snapshot(self._engine) as connection:
            tips = store.tips(connection)
            lost = lost_rows(connection, {chain: tip for chain, tip in saved.items() if tips.get(chain) != tip})
        # a command may have kept a checkpoint; the operator may have restored the rows or deleted the file
        if lost or "ledger" in self._degraded.parts or any(self._folder.glob(_CONFLICT.format("*"))):
            self._keep_conflict()
        if tips != saved:
            content = sign_checkpoint(tips, self._keys(), datetime.now(UTC))
            write_atomically(latest, content + b"\n", private=True)

    def _keep_conflict(self) -> None:
        latest = self._folder / _LATEST
        checkpoints = read_local_checkpoints(self._folder, self._keys().jwks)
        with snapshot(self._engine) as connection:
            lost = sorted({chain for checkpoint in checkpoints for chain in lost_rows(connection, checkpoint)})
            latest_lost = latest.exists() and lost_rows(connection, checkpoints[-1])
        if latest_lost:
            latest.rename(self._folder / _CONFLICT.format(f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"))
        what = (
            f"the database lacks rows of {len(lost)} chains that a checkpoint in {self._folder.name}/ covers. Run "
            "`sellerscore ledger verify`."
        )
        self._degraded.report("ledger", what if lost else None, ", ".join(lost))


@contextmanager
def saving_checkpoint(settings: Settings, engine: Engine) -> Iterator[None]:
    """Write a local checkpoint at the end of a command that writes to the ledger, also if the command failed.

    A checkpoint that cannot be written is logged: what the command stored remains.

    Example: `with saving_checkpoint(settings, engine): register.revoke(kind, client_id, now)`.

    Raises:
        KeyRingError: The keys of receipts cannot be used, or are missing although the ledger has rows. Nothing was
            stored.
    """
    # a key that cannot be used stops the command before it stores anything; entries of a new key would not be accepted
    with transaction(engine) as connection:
        is_new = not store.tips(connection)
    ring = (open_ring if is_new else read_ring)(settings, Use.RECEIPTS)
    try:
        yield
    finally:
        LocalCheckpoints(settings.checkpoints_path, engine, keys=lambda: ring, degraded=DegradedConditions()).save()
