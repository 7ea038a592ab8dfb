"""Proof that the database can store a row, for the readiness of the service."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from sqlalchemy import Column, Engine, Float, Integer, Table, text

from api.errors import DatabaseUnavailable
from api.kit.database import metadata, transaction

_TIMEOUT_SECONDS: Final = 2.0
_INTERVAL_SECONDS: Final = 3.0

Table(
    "write_checks",
    metadata,
    Column("id", Integer(), primary_key=True, autoincrement=False),
    Column("at", Float(), nullable=False),
)

# the syntax that both databases support
_WRITE = text("INSERT INTO write_checks (id, at) VALUES (1, :at) ON CONFLICT (id) DO UPDATE SET at = excluded.at")


class WriteCheck:
    """Commits a row, at most once per few seconds if that succeeds, and waits for it for a short time.

    Example: `WriteCheck(engine).passes()` is false if the disk is full, or if another program holds the write lock.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write-check")
        self._lock = threading.Lock()
        self._write: Future[bool] | None = None
        self._since = 0.0

    def passes(self) -> bool:
        """Return whether the last write was committed."""
        with self._lock:
            now, write = time.monotonic(), self._write
            # after a failure at once, so that the service is ready as soon as the database is
            if write is None or (write.done() and (now - self._since > _INTERVAL_SECONDS or not write.result())):
                write = self._write = self._pool.submit(self._commit)
                self._since = now
        try:
            return write.result(_TIMEOUT_SECONDS)
        except TimeoutError:
            return False

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=False)

    def _commit(self) -> bool:
        try:
            with transaction(self._engine, writes=True) as connection:
                connection.execute(_WRITE, {"at": time.time()})
        except DatabaseUnavailable:
            return False
        return True
