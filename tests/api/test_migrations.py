"""Real scores through the migrations, down and up: answers stay as they were given, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from api.cli import app
from api.consents.ledger_check import ConsentCheck
from api.database import migrate, transaction
from api.erasure import erase
from api.errors import DatabaseSetupError
from api.ledger.opening import open_ledger
from api.ledger.verification import verify
from api.scores.index_check import IndexCheck
from api.services import Services
from api.settings import Settings
from tests.api.conftest import NEWCOMER, SELLERS, Opener, bank_of
from tests.api.ledger.conftest import NOW
from tests.api.started import consent, demo_credentials

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.databases


def give(client: TestClient, *sellers: str) -> dict[str, bytes]:
    """Score sellers, and return the answers by where to read them again."""
    made = [client.post("/v1/scores", json={"seller_id": each, "purpose": "account_review"}) for each in sellers]
    return {answer.headers["Location"]: answer.content for answer in made}


def down(settings: Settings) -> Engine:
    engine, ledger = open_ledger(settings)
    try:
        migrate(engine, "0003", lambda: ledger.master)
    finally:
        engine.dispose()
    return engine


def test_answers_survive_a_way_down_and_up(stored_in: Settings, open_client: Opener) -> None:
    with open_client(stored_in) as client:
        given = give(client, *SELLERS[:4], NEWCOMER)
    engine = down(stored_in)
    with transaction(engine) as connection:
        rows = connection.execute(text("SELECT id, bank_id, seller_id, body FROM scores ORDER BY scored_at")).all()
    assert [(f"/v1/scores/{row.id}", row.body) for row in rows] == list(given.items())
    assert [row.seller_id for row in rows] == [*SELLERS[:4], NEWCOMER]
    assert {row.bank_id for row in rows} == {demo_credentials(stored_in)[0]}
    engine.dispose()
    with open_client(stored_in) as client:
        consent(client.app.state.services, bank_of(client), SELLERS[0])
        assert {place: client.get(place).content for place in given} == given
        assert all(client.post(f"{place}/replay").json()["matches"] for place in given)
        services: Services = client.app.state.services
        new = give(client, SELLERS[0])
        assert all(client.get(place).content == answer for place, answer in new.items())
        report = verify(services.engine, services.ledger, [IndexCheck(services.receipts.jwks), ConsentCheck()])
        # five carried, the consents for two purposes, one that is new
        assert (report.rows, report.faults) == (8, ())


def test_whatever_command_comes_first_carries_them(
    stored_in: Settings, open_client: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_client(stored_in) as client:
        given = give(client, *SELLERS[:2])
    down(stored_in)
    monkeypatch.setenv("SELLERSCORE_HOME", str(stored_in.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", stored_in.database_url)
    assert "Demo bank" in CliRunner().invoke(app, ["bank", "list"], catch_exceptions=False).stdout
    with open_client(stored_in) as client:
        assert {place: client.get(place).content for place in given} == given


def test_scores_of_the_erased_do_not_come_back(stored_in: Settings, open_client: Opener) -> None:
    with open_client(stored_in) as client:
        given = give(client, SELLERS[0], NEWCOMER)
        services: Services = client.app.state.services
        erase(services.engine, services.ledger, services.vectors, seller_id=NEWCOMER, reason="asked", now=NOW)
    down(stored_in)
    with open_client(stored_in) as client:
        assert [client.get(place).status_code for place in given] == [200, 404]


def test_a_damaged_row_stops_the_way_down_and_nothing_is_done(stored_in: Settings, open_client: Opener) -> None:
    with open_client(stored_in, consenting=SELLERS[:3]) as client:
        given = give(client, *SELLERS[:3])
        with transaction(client.app.state.services.engine, writes=True) as connection:
            connection.execute(text("UPDATE ledger SET commitment = sealed WHERE position = 8"))
    with pytest.raises(DatabaseSetupError, match=r"Row 8 of bank-[0-9a-f]{16} is damaged; nothing was done"):
        down(stored_in)
    with open_client(stored_in) as client:
        assert [client.get(place).status_code for place in given] == [200, 500, 200]
