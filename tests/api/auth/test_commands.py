"""`sellerscore bank|platform|operator`: one implementation, and what it prints can be used at once."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import text
from typer.testing import CliRunner

from api.auth import clients
from api.auth.scopes import ClientKind
from api.cli.main import app
from api.errors import AccessError
from api.kit.database import open_database, transaction
from api.operations.demo import demo_bank, demo_products
from api.products import repository as products
from api.products.service import replace_products
from api.server import _example_call
from api.settings import Settings
from scoring.bands import Band, Bands
from tests.api.conftest import Opener

FORM = {"grant_type": "client_credentials"}
NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def settings(settings: Settings, database: str) -> Settings:
    """The settings, with a database of each kind in turn."""
    return settings.model_copy(update={"database_url": database})


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Run a command over the settings' folder; what it raises is raised."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(settings.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_uri)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def said(run, *arguments: str):
    return json.loads(run(*arguments, "--output", "json").stdout)


def test_what_create_prints_is_good_at_once_and_shown_once(run, settings: Settings, open_client: Opener) -> None:
    printed = run("bank", "create", "Bank of the North").stdout
    client_id, secret = (re.search(rf"{name}\s+(\S+)", printed).group(1) for name in ("client_id", "client_secret"))
    assert "cannot be shown again" in printed
    assert secret not in run("bank", "list").stdout + run("bank", "list", "--output", "json").stdout
    with open_client(settings) as client:
        assert client.post("/oauth/token", data=FORM, auth=(client_id, secret)).status_code == 200
        with transaction(client.app.state.services.engine) as connection:
            tables = ("clients", "client_secrets")
            stored = str([connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables])
    assert secret not in stored
    assert "$argon2id$" in stored


@pytest.mark.parametrize("kind", ClientKind)
@pytest.mark.databases
def test_a_life_of_a_client(run, settings: Settings, open_client: Opener, kind: ClientKind) -> None:
    made = said(run, kind, "create", "  Example 名 ")
    assert (made["kind"], made["name"], made["revoked_at"]) == (kind, "Example 名", None)
    rotated = said(run, kind, "rotate", made["id"])
    ends = datetime.fromisoformat(rotated["old_credentials_until"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < ends < timedelta(hours=24, minutes=1)
    (listed,) = said(run, kind, "list")
    assert (listed["id"], len(listed["secrets"]), listed["keys"]) == (made["id"], 2, [])
    assert f"{made['id']}  secrets 2, keys 0" in run(kind, "list").stdout
    with open_client(settings) as client:

        def statuses() -> list[int]:
            asked = [(made["id"], each["client_secret"]) for each in (made, rotated)]
            return [client.post("/oauth/token", data=FORM, auth=each).status_code for each in asked]

        assert statuses() == [200, 200]
        assert "rejected from now on" in run(kind, "revoke", made["id"]).stdout
        assert statuses() == [401, 401]
    assert said(run, kind, "revoke", made["id"])["revoked_at"] is not None
    assert "revoked" in run(kind, "list").stdout
    with pytest.raises(AccessError, match="is revoked"):
        run(kind, "rotate", made["id"])


def test_an_overlap_of_none_ends_the_old_secret_at_once(run) -> None:
    made = said(run, "bank", "create", "Bank")
    run("bank", "rotate", made["id"], "--overlap-hours", "0")
    assert "secrets 1," in run("bank", "list").stdout
    assert run("bank", "rotate", made["id"], "--overlap-hours", "-1").exit_code == 2
    assert "valid until" in run("bank", "rotate", made["id"], "--overlap-hours", "0.5").stdout


def test_a_key_is_registered_in_place_of_a_secret(run, tmp_path: Path) -> None:
    file = tmp_path / "key.jwk"
    file.write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False)))
    made = said(run, "bank", "create", "Bank", "--public-key", str(file))
    assert made["client_secret"] is None
    assert "has no secret" in run("bank", "rotate", made["id"], "--public-key", str(file)).stdout
    (listed,) = said(run, "bank", "list")
    assert (len(listed["keys"]), listed["secrets"], listed["keys"][0]["expires_at"]) == (1, [], None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read"), ("no json", "is not JSON"), ("{}", "kty"), ('{"kty":"OKP","d":"x"}', "private key")],
)
def test_a_key_file_that_is_none_is_one_sentence_and_makes_nobody(
    run, tmp_path: Path, content: str | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "key.jwk").write_text(content)
    with pytest.raises(AccessError, match=sentence):
        run("bank", "create", "Bank", "--public-key", str(tmp_path / "key.jwk"))
    assert said(run, "bank", "list") == []


def test_clients_of_one_kind_are_none_of_another(run) -> None:
    made = said(run, "platform", "create", "The platform")
    assert "None yet" in run("bank", "list").stdout
    for command in ("rotate", "revoke"):
        with pytest.raises(AccessError, match="Unknown bank"):
            run("bank", command, made["id"])
    with pytest.raises(AccessError, match="sellerscore bank list"):
        run("bank", "revoke", "nobody")


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb"])
def test_a_name_that_nobody_could_read_is_refused(run, name: str) -> None:
    with pytest.raises(AccessError, match="printable"):
        run("bank", "create", name)


@pytest.mark.parametrize("kind", ClientKind)
@pytest.mark.parametrize("command", ["create", "rotate", "revoke", "list"])
def test_each_command_has_an_example(run, kind: ClientKind, command: str) -> None:
    assert f"Example: sellerscore {kind} {command}" in run(kind, command, "--help").stdout


def test_a_demo_bank_is_made_once_and_its_file_is_its_owners(settings: Settings) -> None:
    engine, path = open_database(settings.database_url), settings.demo_bank_path
    assert demo_bank(path, engine, NOW) == path
    written = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert demo_bank(path, engine, NOW) == path
    assert (path.read_text(), len(clients.list_clients(engine, ClientKind.BANK))) == (written, 1)
    path.chmod(0o640)
    with pytest.raises(AccessError, match="accessible to other users"):
        demo_bank(path, engine, NOW)
    path.chmod(0o600)
    path.write_text("something else")
    with pytest.raises(AccessError, match="does not contain credentials"):
        demo_bank(path, engine, NOW)
    engine.dispose()


def test_the_demo_bank_has_products_once_and_those_that_it_withdraws_do_not_come_back(settings: Settings) -> None:
    engine, path = open_database(settings.database_url), settings.demo_bank_path
    bands = Bands((Band("A", 0.1), Band("B", 0.5), Band("C", 1.0)))
    demo_products(path, engine, bands)
    demo_bank(path, engine, NOW)
    (bank,) = clients.list_clients(engine, ClientKind.BANK)

    def held() -> dict[str, int]:
        with transaction(engine) as connection:
            found = products.list_products(connection, bank.id)
        for each in found:
            each.product.require(bands)
        return {each.product_id: each.version for each in found}

    assert held() == {}
    for _ in range(2):
        demo_products(path, engine, bands)
        assert held() == {"growth-loan": 1, "working-capital": 1}
    with transaction(engine, writes=True) as connection:
        replace_products(connection, bank.id, {})
    demo_products(path, engine, bands)
    assert held() == {}
    engine.dispose()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_demo_banks_products_fit_whatever_bands_there_are(settings: Settings, count: int) -> None:
    bands = Bands(tuple(Band(f"B{number}", number / count) for number in range(1, count + 1)))
    engine, path = open_database(settings.database_url), settings.demo_bank_path
    bank = demo_bank(path, engine, NOW)
    assert bank is not None
    demo_products(path, engine, bands)
    (client,) = clients.list_clients(engine, ClientKind.BANK)
    with transaction(engine) as connection:
        found = products.list_products(connection, client.id)
    assert len(found) == 2
    for each in found:
        each.product.require(bands)
    engine.dispose()


def test_a_demo_bank_that_was_revoked_or_is_not_wanted_does_not_come_back(settings: Settings) -> None:
    engine, path = open_database(settings.database_url), settings.demo_bank_path
    demo_bank(path, engine, NOW)
    (bank,) = clients.list_clients(engine, ClientKind.BANK)
    clients.revoke_client(engine, ClientKind.BANK, bank.id, NOW)
    assert demo_bank(path, engine, NOW) is None
    path.unlink()
    assert demo_bank(path, engine, NOW) is None
    assert not path.exists()
    engine.dispose()


@pytest.mark.parametrize("wanted", [True, False])
def test_serving_shows_a_curl_as_the_demo_bank_or_says_how_to_make_a_bank(
    settings: Settings, open_client: Opener, wanted: bool
) -> None:
    with open_client(settings.model_copy(update={"demo_bank": wanted})) as client:
        shown = _example_call(client.app.state.services, "http://127.0.0.1:8000")
    assert ("--netrc-file" in shown) is wanted
    assert ("sellerscore bank create" in shown) is not wanted
    assert settings.demo_bank_path.read_text().split()[4] not in shown


def test_where_banks_are_there_is_no_demo_bank(settings: Settings) -> None:
    engine = open_database(settings.database_url)
    clients.create_client(engine, ClientKind.OPERATOR, "Somebody", now=NOW)
    assert demo_bank(settings.demo_bank_path, engine, NOW) is None
    engine.dispose()


def test_a_new_database_beside_an_old_file_gets_a_new_demo_bank(settings: Settings) -> None:
    engine, path = open_database(settings.database_url), settings.demo_bank_path
    path.touch(mode=0o600)
    path.write_text("default login bank-0123456789abcdef password old\n")
    assert demo_bank(path, engine, NOW) == path
    (bank,) = clients.list_clients(engine, ClientKind.BANK)
    assert path.read_text().split()[2] == bank.id
    engine.dispose()


def test_a_demo_bank_whose_file_cannot_be_written_is_none(settings: Settings) -> None:
    engine, path = open_database(settings.database_url), settings.home / "not-there" / "demo-bank.netrc"
    with pytest.raises(AccessError, match="cannot be written"):
        demo_bank(path, engine, NOW)
    (bank,) = clients.list_clients(engine, ClientKind.BANK)
    with transaction(engine) as connection:
        assert clients.find_client(connection, bank.id).revoked_at is not None
    engine.dispose()
