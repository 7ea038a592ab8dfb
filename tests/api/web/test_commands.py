"""Login links that commands print: of an operator, and of the demo seller when the service starts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.errors import AccessError
from api.kit.database import open_database, transaction
from api.ledger.chain import CLIENTS_CHAIN
from api.ledger.store import read_content, rows_of
from api.server import _example_call
from api.settings import Settings
from tests.api.conftest import Opener
from tests.api.web.conftest import Browser

TOKEN = re.compile(r"/seller/login/(\S{43})\b")


def run(*arguments: str) -> str:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False).stdout


def token_in(text: str) -> str:
    token = TOKEN.search(text)
    assert token is not None
    return token[1]


def client_entries(settings: Settings) -> list[dict[str, Any]]:
    engine = open_database(settings.database_url)
    with transaction(engine) as connection:
        entries = [json.loads(read_content(row, None)) for row in rows_of(connection, CLIENTS_CHAIN)]
    engine.dispose()
    return entries


def test_only_an_active_operator_gets_a_link_to_the_queue(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, open_client: Opener
) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(settings.home))
    operator = re.search(r"operator-[0-9a-f]{16}", run("operator", "create", "Olga"))
    assert operator is not None
    token = token_in(run("operator", "link", operator[0]))
    with open_client(settings, ()) as client:
        browser = Browser(client)
        assert "This link opens the reviews." in browser.get(f"/seller/login/{token}").text
        assert browser.use(token).get("/operator").status_code == 200
    (entry,) = [each for each in client_entries(settings) if each["action"] == "linked"]
    assert entry["client_id"] == operator[0]
    assert token not in str(entry)
    assert "The ledger is whole." in run("ledger", "verify")
    run("operator", "revoke", operator[0])
    for client_id in (operator[0], "", "operator-0000000000000000", "S-001"):
        with pytest.raises(AccessError, match=r"No active operator"):
            run("operator", "link", client_id)
    for kind in ("bank", "platform"):
        assert CliRunner().invoke(app, [kind, "link", f"{kind}-0000000000000000"]).exit_code == 2


def test_serving_prints_a_link_to_the_pages_of_the_demo_seller(settings: Settings, open_client: Opener) -> None:
    with open_client(settings, ()) as client:
        token = token_in(_example_call(client.app.state.services, "http://127.0.0.1:8000"))
        assert 'id="score"' in Browser(client).use(token).get("/seller").text
    with open_client(settings.model_copy(update={"demo_bank": False}), ()) as client:
        assert "/seller/login" not in _example_call(client.app.state.services, "http://127.0.0.1:8000")
