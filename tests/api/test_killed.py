"""The service is killed under load, at any moment: every answer that was given is there, to the byte, and no other.

Every request has a key: sent again afterwards, each makes one score in all, whether it was answered or cut off.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from api.consents.ledger_entries import ConsentCheck
from api.kit.database import transaction
from api.ledger.verification import verify
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.repository import scores
from api.services import Services
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, fill, snapshot_of, token_for
from tests.counts import KILLS

pytestmark = pytest.mark.repeated

ROOT = Path(__file__).parents[2]
SERVE = "import sys; from sellerscore import main; sys.argv = ['sellerscore', 'serve', '--port', '0']; main()"
CALLERS = 4


@contextmanager
def serving(settings: Settings, log: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the real command, with more of its environment, and yield it with its address."""
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
            # by the second line there is a demo bank
            found = re.search(r"http://[^ ]+", process.stdout.readline() + process.stdout.readline())
            assert found, log.read_text()
            yield process, found.group()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@dataclass
class Asked:
    """What was asked under which key, and what was answered."""

    sellers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    places: dict[str, bytes] = field(default_factory=dict)


def score(client: httpx.Client, key: str, seller_id: str) -> httpx.Response:
    body = {"seller_id": seller_id, "purpose": "credit_application"}
    return client.post("/v1/scores", json=body, headers={"Idempotency-Key": key})


def load(address: str, token: str, name: str, asked: Asked) -> None:
    """Ask for scores until the service is gone, and keep the answers by key and by where to read them again."""
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for number in range(100_000):
            key, seller_id = f"{name}-{number}", SELLERS[number % len(SELLERS)]
            asked.sellers[key] = seller_id
            try:
                answer = score(client, key, seller_id)
            except httpx.TransportError:
                return
            if answer.status_code == 201:
                asked.answers[key] = asked.places[answer.headers["Location"]] = answer.content


def test_every_answer_outlives_the_kill(today: date, stored_in: Settings, open_client: Opener, tmp_path: Path) -> None:
    fill(stored_in.home, snapshot_of(today))
    with open_client(stored_in):
        pass  # what is served has a bank by then, with consents, and needs no registry
    moments, asked = random.Random(), Asked()  # noqa: S311 - another moment each run
    for number in range(KILLS):
        before = len(asked.answers)
        with serving(stored_in, tmp_path / f"log-{number}") as (process, address):
            with httpx.Client(base_url=address, timeout=30) as client:
                token = token_for(client, stored_in)
            callers = [
                threading.Thread(target=load, args=(address, token, f"{number}-{caller}", asked))
                for caller in range(CALLERS)
            ]
            for caller in callers:
                caller.start()
            until = time.monotonic() + 60
            while len(asked.answers) == before and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(moments.uniform(0.0, 0.6))
            process.kill()
            for caller in callers:
                caller.join(60)
        assert len(asked.answers) > before
    with open_client(stored_in.model_copy(update={"rate_limit_calls": 1_000_000})) as client:
        assert {place: client.get(place).content for place in asked.places} == asked.places
        services = client.app.state.services
        # one of each caller may have been stored when its answer was cut off
        assert len(asked.answers) <= stored(services) <= len(asked.answers) + KILLS * CALLERS
        again = {key: score(client, key, seller_id).content for key, seller_id in asked.sellers.items()}
        assert asked.answers.items() <= again.items()
        assert stored(services) == len(asked.sellers) == len(set(again.values()))
        checks = [ScoreIndexCheck(services.receipts.jwks), ConsentCheck()]
        assert verify(services.engine, services.ledger, checks).faults == ()


def stored(services: Services) -> int:
    with transaction(services.engine) as connection:
        return int(connection.execute(select(func.count()).select_from(scores)).scalar_one())
