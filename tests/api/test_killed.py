"""The service is killed under load, at any moment: every answer that was given is there, to the byte, and no other."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from sqlalchemy import func, select

from api.consents.ledger_check import ConsentCheck
from api.database import transaction
from api.ledger.verification import verify
from api.scores.index_check import IndexCheck
from api.scores.repository import scores
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, token_for

ROOT = Path(__file__).parents[2]
SERVE = "import sys; from sellerscore import main; sys.argv = ['sellerscore', 'serve', '--port', '0']; main()"
KILLS = int(os.environ.get("SELLERSCORE_TEST_KILLS", "3"))
CALLERS = 4


@contextmanager
def serving(settings: Settings, log: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the real command, and yield it with its address."""
    environment = {
        "SELLERSCORE_HOME": str(settings.home),
        "SELLERSCORE_DATABASE_URL": settings.database_url,
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
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


def load(address: str, token: str, given: dict[str, bytes]) -> None:
    """Ask for scores until the service is gone, and keep the answers by where to read them again."""
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for number in range(100_000):
            body = {"seller_id": SELLERS[number % len(SELLERS)], "purpose": "credit_application"}
            try:
                answer = client.post("/v1/scores", json=body)
            except httpx.TransportError:
                return
            if answer.status_code == 201:
                given[answer.headers["Location"]] = answer.content


def test_every_answer_outlives_the_kill(stored_in: Settings, open_client: Opener, tmp_path: Path) -> None:
    with open_client(stored_in):
        pass  # what is served has a bank by then, with consents, and needs no registry
    moments, given = random.Random(), dict[str, bytes]()  # noqa: S311 - another moment each run
    for number in range(KILLS):
        before = len(given)
        with serving(stored_in, tmp_path / f"log-{number}") as (process, address):
            with httpx.Client(base_url=address, timeout=30) as client:
                token = token_for(client, stored_in)
            callers = [threading.Thread(target=load, args=(address, token, given)) for _ in range(CALLERS)]
            for caller in callers:
                caller.start()
            until = time.monotonic() + 60
            while len(given) == before and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(moments.uniform(0.0, 0.6))
            process.kill()
            for caller in callers:
                caller.join(60)
        assert len(given) > before
    with open_client(stored_in) as client:
        assert {place: client.get(place).content for place in given} == given
        services = client.app.state.services
        with transaction(services.engine) as connection:
            stored = connection.execute(select(func.count()).select_from(scores)).scalar_one()
        # one of each caller may have been stored when its answer was cut off
        assert len(given) <= stored <= len(given) + KILLS * CALLERS
        assert (
            verify(services.engine, services.ledger, [IndexCheck(services.receipts.jwks), ConsentCheck()]).faults == ()
        )
