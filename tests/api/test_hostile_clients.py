"""The real command under hostile clients: idle and aborted connections, and the modes of the files that it writes."""

from __future__ import annotations

import re
import resource
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import pytest

from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, fill, snapshot_of, token_for
from tests.api.test_killed import ROOT, SERVE

BODY = {"seller_id": SELLERS[0], "purpose": "credit_application"}
FORM = (
    b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 29\r\n\r\ngrant_type=client_credentials"
)
DESCRIPTORS = 1_024


@dataclass(frozen=True)
class Server:
    """A process and its address."""

    process: int
    host: str
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=10)

    def resources(self) -> tuple[int, int]:
        """The number of threads and of open descriptors."""
        folder = Path(f"/proc/{self.process}")
        return len(list((folder / "task").iterdir())), len(list((folder / "fd").iterdir()))


@pytest.fixture
def home(today: date, settings: Settings, open_client: Opener) -> Settings:
    """Settings of a service that started once, so that the real process needs no registry."""
    fill(settings.home, snapshot_of(today))
    with open_client(settings):
        return settings


@contextmanager
def serving(settings: Settings, log: Path) -> Iterator[Server]:
    """Run the real command with few descriptors."""
    environment = {
        "SELLERSCORE_HOME": str(settings.home),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "SELLERSCORE_DEMO_BANK": "1",
    }
    limit = (DESCRIPTORS, DESCRIPTORS)
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", SERVE],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            umask=0o022,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),  # noqa: PLW1509 - the child has one thread
        ) as process,
    ):
        try:
            assert process.stdout is not None
            printed = process.stdout.readline() + process.stdout.readline()
            address = re.search(r"http://([0-9.]+):(\d+)", printed)
            assert address, log.read_text()
            yield Server(process.pid, address[1], int(address[2]))
        finally:
            process.kill()


def request_score(server: Server, settings: Settings) -> int:
    with httpx.Client(base_url=f"http://{server.host}:{server.port}", timeout=10) as caller:
        headers = {"Authorization": f"Bearer {token_for(caller, settings)}"}
        return caller.post("/v1/scores", json=BODY, headers=headers).status_code


def accessible_to_others(home: Path) -> list[str]:
    found = []
    for path in home.rglob("*"):
        # the service replaces files while it runs
        with suppress(FileNotFoundError):
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                found.append(str(path.relative_to(home)))
    return found


def test_idle_and_aborted_connections_neither_stop_the_service_nor_leak(home: Settings, tmp_path: Path) -> None:
    with serving(home, tmp_path / "log") as server:
        assert [request_score(server, home) for _ in range(3)] == [201] * 3
        threads, descriptors = server.resources()
        with ExitStack() as stack:
            for _ in range(DESCRIPTORS + 100):
                stack.enter_context(server.connect())
            assert [request_score(server, home) for _ in range(5)] == [201] * 5
        requests = [
            b"",
            b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\n",
            b"POST /v1/scores HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
            b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n",
            FORM,
            FORM[:-5],
        ]
        for number in range(1_000):
            with server.connect() as caller, suppress(ConnectionError):
                caller.sendall(requests[number % len(requests)])
        assert request_score(server, home) == 201
        deadline = time.monotonic() + 20
        # the pools of threads and database connections may have grown to their limits
        while server.resources()[1] > descriptors + 40 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert server.resources()[1] <= descriptors + 40
        assert server.resources()[0] <= threads + 40
    log = (tmp_path / "log").read_text()
    assert "POST /oauth/token 499" in log
    assert "Traceback" not in log


def test_other_users_have_no_access_to_the_state(home: Settings, tmp_path: Path) -> None:
    (home.home / "vectors.db").chmod(0o644)
    (home.home / "operating").mkdir(mode=0o755)
    (home.home / "operating" / "rows.parquet").touch(0o644)
    (home.home / "simulated").mkdir(mode=0o755)
    with serving(home, tmp_path / "log") as server:
        assert request_score(server, home) == 201
        others = accessible_to_others(home.home)
        assert (home.home / "sellerscore.db-wal").exists()
    assert others == ["simulated"]
