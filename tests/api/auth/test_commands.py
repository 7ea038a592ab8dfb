"""`sellerscore bank|platform|operator`: the lifecycle of clients, and the demo bank that `serve` creates."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from joserfc.jwk import OKPKey
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from api.auth import clients
from api.auth.credentials import ClientSecrets
from api.auth.scopes import ClientKind
from api.cli.main import app
from api.clients.service import ClientRegister
from api.errors import AccessError, ClockError, KeyRingError
from api.kit.database import open_database, transaction
from api.operations.demo import demo_bank, demo_products
from api.products import repository as products
from api.products.service import replace_products
from api.server import _example_call
from api.settings import Settings
from scoring.bands import Band, Bands
from tests.api.conftest import Opener
from tests.api.started import RING

FORM = {"grant_type": "client_credentials"}
NOW = datetime(2026, 2, 1, tzinfo=UTC)
SECRETS = ClientSecrets(bytes(32))


@pytest.fixture
def settings(stored_in: Settings) -> Settings:
    return stored_in


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Run a command in the state folder."""
    monkeypatch.setenv("SELLERSCORE_HOME", str(settings.home))
    monkeypatch.setenv("SELLERSCORE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings.mlflow_uri)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def run_json(run, *arguments: str):
    return json.loads(run(*arguments, "--output", "json").stdout)


def test_create_prints_credentials_that_work_and_are_stored_as_a_hash(
    run, settings: Settings, open_client: Opener
) -> None:
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
    assert "hmac-sha256$" in stored


@pytest.mark.parametrize("kind", ClientKind)
@pytest.mark.databases
def test_the_lifecycle_of_a_client(run, settings: Settings, open_client: Opener, kind: ClientKind) -> None:
    created = run_json(run, kind, "create", "  Example 名 ")
    assert (created["kind"], created["name"], created["revoked_at"]) == (kind, "Example 名", None)
    rotated = run_json(run, kind, "rotate", created["id"])
    ends = datetime.fromisoformat(rotated["old_credentials_until"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < ends < timedelta(hours=24, minutes=1)
    (listed,) = run_json(run, kind, "list")
    assert (listed["id"], len(listed["secrets"]), listed["keys"]) == (created["id"], 2, [])
    assert f"{created['id']}  secrets 2, keys 0" in run(kind, "list").stdout
    with open_client(settings) as client:

        def statuses() -> list[int]:
            credentials = [(created["id"], each["client_secret"]) for each in (created, rotated)]
            return [client.post("/oauth/token", data=FORM, auth=each).status_code for each in credentials]

        assert statuses() == [200, 200]
        assert "rejected from now on" in run(kind, "revoke", created["id"]).stdout
        assert statuses() == [401, 401]
    assert run_json(run, kind, "revoke", created["id"])["revoked_at"] is not None
    assert "revoked" in run(kind, "list").stdout
    with pytest.raises(AccessError, match="is revoked"):
        run(kind, "rotate", created["id"])


def test_the_overlap_of_a_rotation_is_an_option(run) -> None:
    created = run_json(run, "bank", "create", "Bank")
    run("bank", "rotate", created["id"], "--overlap-hours", "0")
    assert "secrets 1," in run("bank", "list").stdout
    assert run("bank", "rotate", created["id"], "--overlap-hours", "-1").exit_code == 2
    assert "valid until" in run("bank", "rotate", created["id"], "--overlap-hours", "0.5").stdout


def test_a_public_key_is_registered_instead_of_a_secret(run, tmp_path: Path) -> None:
    file = tmp_path / "key.jwk"
    file.write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False)))
    created = run_json(run, "bank", "create", "Bank", "--public-key", str(file))
    assert created["client_secret"] is None
    assert "has no secret" in run("bank", "rotate", created["id"], "--public-key", str(file)).stdout
    (listed,) = run_json(run, "bank", "list")
    assert (len(listed["keys"]), listed["secrets"], listed["keys"][0]["expires_at"]) == (1, [], None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("pipe", "it is a named pipe, not a regular file"),
        ("no json", "is not JSON"),
        ("{}", "kty"),
        ('{"kty":"OKP","d":"x"}', "private key"),
    ],
)
def test_an_invalid_key_file_creates_no_client(run, tmp_path: Path, content: str | None, message: str) -> None:
    if content == "pipe":
        os.mkfifo(tmp_path / "key.jwk")
    elif content is not None:
        (tmp_path / "key.jwk").write_text(content)
    with pytest.raises(AccessError, match=message):
        run("bank", "create", "Bank", "--public-key", str(tmp_path / "key.jwk"))
    assert run_json(run, "bank", "list") == []


def test_the_commands_of_a_kind_reject_clients_of_another_kind(run) -> None:
    created = run_json(run, "platform", "create", "The platform")
    assert "None yet" in run("bank", "list").stdout
    for command in ("rotate", "revoke"):
        with pytest.raises(AccessError, match=r"Unknown bank .*sellerscore bank list"):
            run("bank", command, created["id"])


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb"])
def test_an_unprintable_name_is_rejected(run, name: str) -> None:
    with pytest.raises(AccessError, match="printable"):
        run("bank", "create", name)


@pytest.mark.parametrize("kind", ClientKind)
@pytest.mark.parametrize("command", ["create", "rotate", "revoke", "list"])
def test_the_help_of_each_command_has_an_example(run, kind: ClientKind, command: str) -> None:
    assert f"Example: sellerscore {kind} {command}" in run(kind, command, "--help").stdout


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = open_database(settings.database_url)
    yield engine
    engine.dispose()


def only_bank(engine: Engine) -> clients.Client:
    (bank,) = clients.list_clients(engine, ClientKind.BANK)
    return bank


def product_versions(engine: Engine, bands: Bands) -> dict[str, int]:
    """Return the versions of the demo bank's products, all of which fit the bands."""
    with transaction(engine) as connection:
        rows = products.list_products(connection, only_bank(engine).id)
    for row in rows:
        row.product.require(bands)
    return {row.product_id: row.version for row in rows}


def test_the_demo_bank_is_created_once_with_a_private_file(settings: Settings, engine: Engine) -> None:
    path = settings.demo_bank_path
    # the file of another database is replaced
    path.touch(mode=0o600)
    path.write_text("default login bank-0123456789abcdef password old\n")
    assert demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW) == path
    content = path.read_text()
    assert (content.split()[2], stat.S_IMODE(path.stat().st_mode)) == (only_bank(engine).id, 0o600)
    assert demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW) == path
    assert (path.read_text(), only_bank(engine).id) == (content, content.split()[2])
    path.chmod(0o640)
    with pytest.raises(AccessError, match="accessible to other users"):
        demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW)
    path.chmod(0o600)
    path.write_text("something else")
    with pytest.raises(AccessError, match="does not contain credentials"):
        demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW)


def test_a_revoked_or_deleted_demo_bank_is_not_created_again(settings: Settings, engine: Engine) -> None:
    path = settings.demo_bank_path
    demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW)
    ClientRegister(engine, RING).revoke(ClientKind.BANK, only_bank(engine).id, NOW)
    assert demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW) is None
    path.unlink()
    assert demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW) is None
    assert not path.exists()


def test_there_is_no_demo_bank_beside_other_clients(settings: Settings, engine: Engine) -> None:
    ClientRegister(engine, RING).create(ClientKind.OPERATOR, "Somebody", now=NOW)
    assert demo_bank(settings.demo_bank_path, ClientRegister(engine, RING), SECRETS, NOW) is None


def test_the_demo_bank_is_created_once_its_file_can_be_written(settings: Settings, engine: Engine) -> None:
    path = settings.home / "not-there" / "demo-bank.netrc"
    with pytest.raises(AccessError, match="cannot be written"):
        demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW)
    with transaction(engine) as connection:
        assert not clients.any_client(connection)
    path.parent.mkdir()
    assert demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW) == path
    assert path.read_text().split()[2] == only_bank(engine).id


def test_the_demo_bank_gets_products_once_and_can_withdraw_them(settings: Settings, engine: Engine) -> None:
    path, bands = settings.demo_bank_path, Bands((Band("A", 0.1), Band("B", 0.5), Band("C", 1.0)))
    demo_products(path, engine, RING, bands)
    demo_bank(path, ClientRegister(engine, RING), SECRETS, NOW)
    assert product_versions(engine, bands) == {}
    for _ in range(2):
        demo_products(path, engine, RING, bands)
        assert product_versions(engine, bands) == {"growth-loan": 1, "working-capital": 1}
    with transaction(engine, writes=True) as connection:
        replace_products(connection, RING, only_bank(engine).id, {})
    demo_products(path, engine, RING, bands)
    assert product_versions(engine, bands) == {}


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_products_of_the_demo_bank_fit_any_bands(settings: Settings, engine: Engine, count: int) -> None:
    bands = Bands(tuple(Band(f"B{number}", number / count) for number in range(1, count + 1)))
    demo_bank(settings.demo_bank_path, ClientRegister(engine, RING), SECRETS, NOW)
    demo_products(settings.demo_bank_path, engine, RING, bands)
    assert len(product_versions(engine, bands)) == 2


@pytest.mark.parametrize("wanted", [True, False])
def test_serve_prints_a_curl_of_the_demo_bank_or_how_to_create_a_bank(
    settings: Settings, open_client: Opener, wanted: bool
) -> None:
    with open_client(settings.model_copy(update={"demo_bank": wanted})) as client:
        printed = _example_call(client.app.state.services, "http://127.0.0.1:8000")
    assert ("--netrc-file" in printed) is wanted
    assert ("sellerscore bank create" in printed) is not wanted
    assert settings.demo_bank_path.read_text().split()[4] not in printed


def test_a_command_without_the_keys_of_the_service_changes_no_client(run, settings: Settings) -> None:
    """The service would accept no client after an entry that a new key signed."""
    created = run_json(run, "bank", "create", "Bank of the North")
    settings.receipt_keys_path.rename(settings.home / "elsewhere")
    with pytest.raises(KeyRingError, match="There is no signing key in"):
        run("bank", "revoke", created["id"])
    assert not settings.receipt_keys_path.exists()
    assert _saved_rows(settings) == 1


@pytest.mark.databases
def test_a_revocation_by_a_command_cannot_be_cut_off_unnoticed(run, settings: Settings) -> None:
    created = run_json(run, "bank", "create", "Bank of the North")
    assert _saved_rows(settings) == 1
    run("bank", "rotate", created["id"])
    assert _saved_rows(settings) == 2
    run("bank", "revoke", created["id"])
    assert _saved_rows(settings) == 3
    engine = open_database(settings.database_url)
    with transaction(engine, writes=True) as connection:
        connection.execute(text("DELETE FROM ledger WHERE chain = 'clients' AND position = 3"))
        connection.execute(
            text(
                "UPDATE chains SET position = 2, head = (SELECT head FROM ledger WHERE chain = 'clients' AND "
                "position = 2) WHERE name = 'clients'"
            )
        )
        connection.execute(text("UPDATE clients SET revoked_at = NULL"))
    engine.dispose()
    verified = run("ledger", "verify")
    assert verified.exit_code == 1
    assert "clients, row 3: the chain was cut: the checkpoint has rows up to 3" in verified.stdout
    run("bank", "create", "Bank of the South")
    assert len([*settings.checkpoints_path.glob("conflict-*.json")]) == 1
    assert run("ledger", "verify").exit_code == 1


def test_a_client_is_changed_only_under_a_plausible_clock(run, settings: Settings) -> None:
    client_id = run_json(run, "bank", "create", "Bank of the North")["id"]
    with time_machine.travel(datetime.now(UTC) + timedelta(days=60)):
        for arguments in (("create", "Bank of the South"), ("rotate", client_id), ("revoke", client_id)):
            with pytest.raises(ClockError, match="60 days after the newest row"):
                run("bank", *arguments)
        assert _saved_rows(settings) == 1
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=27)):
        with pytest.raises(ClockError, match="27 hours after the newest row"):
            run("bank", "revoke", client_id)
        assert run("bank", "revoke", client_id, "--clock-is-right").exit_code == 0
    assert _saved_rows(settings) == 2


def _saved_rows(settings: Settings) -> int:
    (chain,) = json.loads((settings.checkpoints_path / "latest.json").read_bytes())["chains"]
    return int(chain["position"])
