"""PostgreSQL crashes under load and comes back: callers are told to come again, no score is lost, service resumes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from api.kit.database import transaction
from api.ledger.verification import verify
from api.models.registry import load_champion
from api.scores.ledger_entries import ScoreIndexCheck
from api.scores.repository import scores
from api.settings import Settings
from tests.api.conftest import SELLERS, Opener, fill, snapshot_of, token_for
from tests.api.postgres import crashing_server
from tests.api.test_killed import serving
from tests.counts import CRASHES

pytestmark = pytest.mark.repeated

CALLERS = 4


@dataclass
class Load:
    """Callers who ask until told to end: what was answered by where to read it again, and every refusal."""

    address: str
    token: str
    given: dict[str, bytes] = field(default_factory=dict)
    refused: list[httpx.Response] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def call(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=self.address, headers=headers, timeout=60) as client:
            while not self.ended.is_set():
                body = {"seller_id": SELLERS[len(self.given) % len(SELLERS)], "purpose": "credit_application"}
                answer = client.post("/v1/scores", json=body)
                if answer.status_code == 201:
                    self.given[answer.headers["Location"]] = answer.content
                else:
                    self.refused.append(answer)
                    # a caller that heeds Retry-After less would only fill the list
                    time.sleep(0.05)


def until(holds: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


def test_a_database_that_crashes_and_comes_back(
    today: date, settings: Settings, open_client: Opener, tmp_path: Path
) -> None:
    fill(settings.home, snapshot_of(today))
    load_champion(settings)
    log = tmp_path / "log"
    with crashing_server() as database:
        settings = settings.model_copy(update={"database_url": database.address})
        with open_client(settings):  # makes the bank, and the consents that it asks under
            pass
        with serving(settings, log, SELLERSCORE_RATE_LIMIT_CALLS="1000000") as (process, address):
            with httpx.Client(base_url=address, timeout=60) as client:
                load = Load(address, token_for(client, settings))
                callers = [threading.Thread(target=load.call) for _ in range(CALLERS)]
                for each in callers:
                    each.start()
                for _ in range(CRASHES):
                    before = len(load.given)
                    until(lambda before=before: len(load.given) > before + 20, log)
                    refused = len(load.refused)
                    database.crash()
                    until(lambda refused=refused: len(load.refused) > refused + 2 * CALLERS, log)
                    assert client.get("/health/live").status_code == 200
                    assert "database:" in client.get("/health/ready").json()["detail"]
                    while_away = len(load.given)
                    time.sleep(0.3)
                    assert len(load.given) == while_away, "nothing is answered that is not stored"
                    database.restart()
                    until(lambda while_away=while_away: len(load.given) > while_away + 20, log)
                    assert client.get("/health/ready").status_code == 200
                load.ended.set()
                for each in callers:
                    each.join(60)
            assert process.poll() is None
        said = Counter((each.status_code, each.json()["type"], each.headers["Retry-After"]) for each in load.refused)
        assert set(said) == {(503, "/problems/database-unavailable", "5")}
        with open_client(settings) as client:
            assert {place: client.get(place).content for place in load.given} == load.given
            services = client.app.state.services
            with transaction(services.engine) as connection:
                stored = connection.execute(select(func.count()).select_from(scores)).scalar_one()
            # one of each caller may have been stored when its acknowledgement was lost
            assert len(load.given) <= stored <= len(load.given) + CRASHES * CALLERS
            assert verify(services.engine, services.ledger, [ScoreIndexCheck(services.receipts.jwks)]).faults == ()
