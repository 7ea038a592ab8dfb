"""Links that a command prints: an operator's, and the demo seller's as the service begins."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.errors import AccessError
from api.server import _example_call
from api.settings import Settings
from tests.api.conftest import Opener
from tests.api.web.conftest import Browser

TOKEN = re.compile(r"/seller/login/(\S{43})\b")


def run(*arguments: str) -> str:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False).stdout


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SELLERSCORE_HOME", str(settings.home))
    return settings


def test_the_link_of_an_operator_opens_the_queue_once(home: Settings, open_client: Opener) -> None:
    made = re.search(r"operator-[0-9a-f]{16}", run("operator", "create", "Olga"))
    assert made is not None
    found = TOKEN.search(run("operator", "link", made[0]))
    assert found is not None
    with open_client(home, ()) as client:
        browser = Browser(client)
        assert "This link opens the reviews." in browser.get(f"/seller/login/{found[1]}").text
        assert browser.use(found[1]).get("/operator").status_code == 200
    run("operator", "revoke", made[0])
    with pytest.raises(AccessError, match=r"No active operator"):
        run("operator", "link", made[0])


@pytest.mark.parametrize("client_id", ["", "operator-0000000000000000", "S-001"])
def test_there_is_no_link_for_who_is_no_operator(home: Settings, client_id: str) -> None:
    assert home
    with pytest.raises(AccessError, match=r"No active operator"):
        run("operator", "link", client_id)


def test_no_other_kind_of_client_has_such_a_command(home: Settings) -> None:
    assert home
    for kind in ("bank", "platform"):
        assert CliRunner().invoke(app, [kind, "link", f"{kind}-0000000000000000"]).exit_code == 2


def test_serving_prints_a_link_to_the_demo_sellers_pages(settings: Settings, open_client: Opener) -> None:
    with open_client(settings, ()) as client:
        said = _example_call(client.app.state.services, "http://127.0.0.1:8000")
        found = TOKEN.search(said)
        assert found is not None
        assert 'id="score"' in Browser(client).use(found[1]).get("/seller").text
    with open_client(settings.model_copy(update={"demo_bank": False}), ()) as client:
        assert "/seller/login" not in _example_call(client.app.state.services, "http://127.0.0.1:8000")
