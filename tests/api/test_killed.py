"""The service is killed, or its database crashes, under load: every score that was returned is stored, and no other.

Every request has an idempotency key. Repeated afterwards, each request has created one score, whether its response
arrived or not.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from api.kit.database import transaction
from api.ledger.verification import verify
from api.models.registry import load_champion
from api.operations.ledger_checks import all_checks
from api.scores.repository import scores
from api.services import Services
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, fill, snapshot_of, token_for
from tests.api.postgres import crashing_server, fresh_database
from tests.counts import CRASHES, KILLS

pytestmark = pytest.mark.repeated

ROOT = Path(__file__).parents[2]
SERVE = "import sys; from sellerscore import main; sys.argv = ['sellerscore', 'serve', '--port', '0']; main()"
CALLERS = 4


@contextmanager
def serving(settings: Settings, log: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the real command with additional environment variables, and yield the process and its address."""
    environment = {
        "SELLERSCORE_HOME": str(settings.home),
        "SELLERSCORE_DATABASE_URL": settings.database_url,
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "SELLERSCORE_DEMO_BANK": "1",
        **more,
    }
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
        try:
            assert process.stdout is not None
            # the demo bank exists when the second line is printed
            address = re.search(r"http://[^ ]+", process.stdout.readline() + process.stdout.readline())
            assert address, log.read_text()
            yield process, address.group()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def post(client: httpx.Client, key: str, seller_id: str) -> httpx.Response:
    body = {"seller_id": seller_id, "purpose": "credit_application"}
    return client.post("/v1/scores", json=body, headers={"Idempotency-Key": key})


@dataclass
class Load:
    """Requests and their responses: sellers and scores by key, scores by location, and rejections."""

    sellers: dict[str, str] = field(default_factory=dict)
    scores: dict[str, bytes] = field(default_factory=dict)
    locations: dict[str, bytes] = field(default_factory=dict)
    rejected: list[httpx.Response] = field(default_factory=list)

    @contextmanager
    def calling(self, address: str, settings: Settings, name: str = "caller") -> Iterator[None]:
        """Request scores in several threads until the block ends or the service is gone."""
        with httpx.Client(base_url=address, timeout=60) as client:
            token = token_for(client, settings)
        ended = threading.Event()
        threads = [
            threading.Thread(target=self._call, args=(address, token, f"{name}-{number}", ended))
            for number in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join(60)

    def _call(self, address: str, token: str, name: str, ended: threading.Event) -> None:
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            for number in count():
                key, seller_id = f"{name}-{number}", SELLERS[number % len(SELLERS)]
                self.sellers[key] = seller_id
                try:
                    response = post(client, key, seller_id)
                except httpx.TransportError:
                    return
                if response.status_code == 201:
                    self.scores[key] = self.locations[response.headers["Location"]] = response.content
                else:
                    self.rejected.append(response)
                    # pausing for the whole Retry-After would only slow down the test
                    time.sleep(0.05)
                if ended.is_set():
                    return

    def verify(self, settings: Settings, open_client: Opener, interruptions: int) -> None:
        """Check that each returned score is stored, and that repeated requests create no second score."""
        with open_client(settings.model_copy(update={"rate_limit_calls": 1_000_000})) as client:
            assert {path: client.get(path).content for path in self.locations} == self.locations
            services: Services = client.app.state.services
            # the score of an interrupted request may be stored although its response was lost
            assert len(self.scores) <= stored_scores(services) <= len(self.scores) + interruptions * CALLERS
            repeated = {key: post(client, key, seller_id).content for key, seller_id in self.sellers.items()}
            assert self.scores.items() <= repeated.items()
            assert stored_scores(services) == len(self.sellers) == len(set(repeated.values()))
            checks = all_checks(services.receipts.jwks)
            assert verify(services.engine, services.ledger, services.receipts.jwks, checks).faults == ()


def stored_scores(services: Services) -> int:
    with transaction(services.engine) as connection:
        return int(connection.execute(select(func.count()).select_from(scores)).scalar_one())


def wait_until(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


def test_scores_survive_a_killed_service(today: date, stored_in: Settings, open_client: Opener, tmp_path: Path) -> None:
    fill(stored_in.home, snapshot_of(today))
    with open_client(stored_in):
        pass  # creates the bank and its consents, and saves the model
    load, delays = Load(), random.Random()  # noqa: S311 - another moment each run
    for number in range(KILLS):
        before, log = len(load.scores), tmp_path / f"log-{number}"
        with serving(stored_in, log) as (process, address), load.calling(address, stored_in, str(number)):
            wait_until(lambda before=before: len(load.scores) > before, log)
            time.sleep(delays.uniform(0.0, 0.6))
            process.kill()
    load.verify(stored_in, open_client, KILLS)


def test_scores_survive_a_database_that_crashes_and_restarts(
    today: date, settings: Settings, open_client: Opener, tmp_path: Path
) -> None:
    fill(settings.home, snapshot_of(today))
    load_champion(settings)
    load, log = Load(), tmp_path / "log"
    with crashing_server() as database:
        settings = settings.model_copy(update={"database_url": database.address})
        with open_client(settings):
            pass
        with (
            serving(settings, log, SELLERSCORE_RATE_LIMIT_CALLS="1000000") as (process, address),
            httpx.Client(base_url=address, timeout=60) as client,
        ):
            with load.calling(address, settings):
                for _ in range(CRASHES):
                    done = len(load.scores)
                    wait_until(lambda done=done: len(load.scores) > done + 20, log)
                    rejected = len(load.rejected)
                    database.crash()
                    wait_until(lambda rejected=rejected: len(load.rejected) > rejected + 2 * CALLERS, log)
                    assert client.get("/health/live").status_code == 200
                    assert "database:" in client.get("/health/ready").json()["detail"]
                    done = len(load.scores)
                    time.sleep(0.3)
                    assert len(load.scores) == done, "a score was returned that is not stored"
                    database.restart()
                    wait_until(lambda done=done: len(load.scores) > done + 20, log)
                    assert client.get("/health/ready").status_code == 200
            assert process.poll() is None
        problems = {(each.status_code, each.json()["type"], each.headers["Retry-After"]) for each in load.rejected}
        assert problems == {(503, "/problems/database-unavailable", "5")}
        load.verify(settings, open_client, CRASHES)


@pytest.mark.soak
def test_scores_survive_kills_of_services_that_share_a_database(
    today: date, settings: Settings, open_client: Opener, tmp_path: Path, postgres: str
) -> None:
    """One service goes on while others on the same PostgreSQL database start and are killed."""
    fill(settings.home, snapshot_of(today))
    load, delays, log = Load(), random.Random(), tmp_path / "log"  # noqa: S311 - another moment each run
    with fresh_database(postgres) as address:
        settings = settings.model_copy(update={"database_url": address})
        with open_client(settings):
            pass
        many = {"SELLERSCORE_RATE_LIMIT_CALLS": "1000000"}
        with serving(settings, log, **many) as (steady, steady_address), load.calling(steady_address, settings):
            for number in range(KILLS):
                other_log = tmp_path / f"log-{number}"
                with (
                    serving(settings, other_log, **many) as (process, other_address),
                    load.calling(other_address, settings, str(number)),
                ):
                    wait_until(lambda number=number: f"{number}-0-0" in load.scores, other_log)
                    time.sleep(delays.uniform(0.0, 0.6))
                    process.kill()
            assert steady.poll() is None
        assert load.rejected == []
        load.verify(settings, open_client, KILLS + 1)
