"""Several worker processes of one service: one address, one database, replacement of a killed one, and signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from api.auth.scopes import ClientKind
from api.kit.database import transaction
from api.ledger.local_checkpoints import lost_rows, read_local_checkpoints
from api.ledger.verification import verify
from api.operations.ledger_checks import all_checks
from api.settings import Settings
from tests import command
from tests.api.conftest import SELLERS, Opener, fill, snapshot_of, token_for
from tests.api.started import register_of
from tests.api.test_killed import Load, post, serving, stored_scores, wait_until

pytestmark = pytest.mark.slow

TWO = {"SELLERSCORE_WORKERS": "2", "SELLERSCORE_RATE_LIMIT_CALLS": "1000000"}
KEYS = 12
"""Idempotency keys, each of which several callers use at the same time."""


def workers_of(process: subprocess.Popen[str]) -> set[int]:
    """Return the IDs of the running worker processes, which started in the way of `multiprocessing`."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return {int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()}


def ready(log: Path) -> int:
    """Return the number of worker processes that have become ready since the start of the service."""
    return log.read_text().count("ready to serve")


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
def prepared(today: date, stored_in: Settings, open_client: Opener) -> Settings:
    """Settings of a service that started once: it has a model, a bank and its consents."""
    fill(stored_in.home, snapshot_of(today))
    with open_client(stored_in):
        return stored_in


def create_operator(settings: Settings, open_client: Opener) -> tuple[str, str]:
    """Create a client of the operator, and return its ID and secret."""
    with open_client(settings) as client:
        services = client.app.state.services
        secret = services.auth.secrets.new()
        created = register_of(services).create(ClientKind.OPERATOR, "Ops", credential=secret, now=datetime.now(UTC))
        return created.client.id, str(created.secret)


def metrics_of(address: str, operator: tuple[str, str]) -> str:
    """Return the metrics of one of the worker processes."""
    form = {"grant_type": "client_credentials", "scope": "metrics:read"}
    with httpx.Client(base_url=address, timeout=60) as client:
        token = client.post("/oauth/token", data=form, auth=operator).json()["access_token"]
        return client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).text


@pytest.mark.databases
def test_two_workers_issue_one_score_per_idempotency_key(
    prepared: Settings, open_client: Opener, tmp_path: Path
) -> None:
    log, operator = tmp_path / "log", create_operator(prepared, open_client)
    with serving(prepared, log, **TWO) as (process, address):
        wait_until(lambda: ready(log) == 2, log)
        with httpx.Client(base_url=address, timeout=60) as client:
            token = token_for(client, prepared)

        def call(number: int) -> httpx.Response:
            # a connection of its own, so that any of the processes accepts it
            with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
                return post(client, f"key-{number}", SELLERS[number])

        numbers = [number for number in range(KEYS) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            responses = list(zip(numbers, pool.map(call, numbers), strict=True))
        pids = workers_of(process)
        metrics = metrics_of(address, operator)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=25) == 143
        assert all(map(has_ended, pids))
        assert process.stdout is not None
        assert "SellerScore listens" not in process.stdout.read(), "the address was printed once more"
    assert {response.status_code for _, response in responses} <= {201, 409}, log.read_text()
    for number in range(KEYS):
        assert len({each.content for key, each in responses if key == number and each.status_code == 201}) == 1
    text = log.read_text()
    assert "Traceback" not in text
    served = re.findall(r"\[(\d+)\] INFO api.access POST /v1/scores 201", text)
    assert set(map(int, served)) == pids, "one process served all requests"
    labels = 'caller="bank",method="POST",route="/v1/scores",status="201"'
    assert f"sellerscore_requests_total{{{labels}}} {len(served)}.0\n" in metrics
    assert f'sellerscore_scores_total{{outcome="scored"}} {KEYS}.0\n' in metrics
    assert ("SQLite has one writer" in text) is prepared.database_url.startswith("sqlite")
    require_whole(prepared, open_client, KEYS)


def require_whole(settings: Settings, open_client: Opener, number: int) -> None:
    """Check the number of scores, the ledger, and that the only local checkpoint covers it completely."""
    with open_client(settings) as client:
        services = client.app.state.services
        assert stored_scores(services) == number
        assert services.degraded.all == []
        assert [path.name for path in settings.checkpoints_path.iterdir()] == ["latest.json"]
        [checkpoint] = read_local_checkpoints(settings.checkpoints_path, services.receipts.jwks)
        with transaction(services.engine) as connection:
            assert lost_rows(connection, checkpoint) == []
        checks = all_checks(services.receipts.jwks)
        assert verify(services.engine, services.ledger, services.receipts.jwks, checks).faults == ()


@pytest.mark.databases
def test_a_killed_worker_is_replaced_and_the_others_go_on(
    prepared: Settings, open_client: Opener, tmp_path: Path
) -> None:
    load, log = Load(), tmp_path / "log"
    with serving(prepared, log, **TWO) as (process, address):
        wait_until(lambda: ready(log) == 2, log)
        first, second = before = sorted(workers_of(process))
        with load.calling(address, prepared, "before"):
            wait_until(lambda: len(load.scores) > 4, log)
            os.kill(first, signal.SIGKILL)
            with load.calling(address, prepared, "after"):
                done = len(load.scores)
                wait_until(lambda: len(load.scores) > done + 4, log)
        wait_until(lambda: ready(log) == 3, log)
        assert len(workers_of(process)) == 2
        # now only the new process can respond
        os.kill(second, signal.SIGKILL)
        assert httpx.get(f"{address}/health/ready", timeout=60).json()["degraded"] == []
        assert not workers_of(process) & set(before)
        assert process.poll() is None
    assert f"worker process {first} ended (code -9)" in log.read_text()
    assert load.rejected == []
    load.verify(prepared, open_client, 2)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_workers_end_with_the_service(prepared: Settings, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    log = tmp_path / "log"
    with serving(prepared, log, **TWO) as (process, address):
        wait_until(lambda: ready(log) == 2, log)
        pids = workers_of(process)
        if sent is signal.SIGINT:
            # Ctrl+C in a terminal reaches all processes
            for pid in pids:
                os.kill(pid, sent)
        process.send_signal(sent)
        assert process.wait(timeout=25) == code
        wait_until(lambda: all(map(has_ended, pids)), log)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/health/live")
    assert "Traceback" not in log.read_text()


def test_a_worker_that_cannot_start_is_one_sentence(tmp_path: Path) -> None:
    fill(tmp_path)
    done = command.run(tmp_path, "serve", "--port", "0", "--workers", "2")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "sellerscore train" in done.stderr.strip().splitlines()[-1]
