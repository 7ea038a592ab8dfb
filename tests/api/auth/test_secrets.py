"""Client secrets: stored as MACs under a key of the service, and secrets of former versions."""

from __future__ import annotations

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.auth import clients
from api.auth.credentials import ClientSecrets, secret_name
from api.auth.scopes import ClientKind
from api.clients.service import ClientRegister
from api.errors import KeyRingError
from api.kit.database import open_database, transaction
from api.operations.demo import demo_bank
from tests.api.auth.conftest import Known, Running
from tests.api.started import RING

SECRETS = ClientSecrets(bytes(32))
FORMER = "$argon2id$v=19$m=19456,t=2,p=1$LLHthjBSyno8n5UUUOiOgg$Pf2rJF/knxRjkhFEcCvcgCkdcnzls4NMDS0cMzOAnC0"


def test_only_the_secret_under_the_same_key_is_valid() -> None:
    new, another = SECRETS.new(), SECRETS.new()
    assert SECRETS.verify(new.text, new.hash)
    assert new.text not in new.hash
    assert not ClientSecrets(bytes(31) + b"1").verify(new.text, new.hash)
    for text in ("", "nonsense", new.text[:-1], new.text + "A", another.text, "\udcff", "x" * 1_000_000):
        assert not SECRETS.verify(text, new.hash)
        assert not SECRETS.verify(text, None)
        assert not SECRETS.verify(text, FORMER)


def test_the_key_is_created_once_and_must_not_be_lost(tmp_path: Path) -> None:
    engine, folder = open_database(f"sqlite:///{tmp_path}/scores.db"), tmp_path / "keys"
    secrets = clients.open_secrets(folder, engine)
    secret = secrets.new()
    ClientRegister(engine, RING).create(ClientKind.BANK, "Bank", credential=secret, now=datetime.now(UTC))
    assert clients.open_secrets(folder, engine).verify(secret.text, secret.hash)
    path = folder / "client-secrets"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text()
    for content, message in (("", "is not a key"), ("xyz", "is not a key"), (key[:-3], "is not a key")):
        path.write_text(content)
        with pytest.raises(KeyRingError, match=message):
            clients.open_secrets(folder, engine)
    path.chmod(0o644)
    with pytest.raises(KeyRingError, match="accessible to other users"):
        clients.open_secrets(folder, engine)
    path.unlink()
    with pytest.raises(KeyRingError, match=r"is missing\. Copy it from a backup or from another service"):
        clients.open_secrets(folder, engine)
    assert not path.exists()
    engine.dispose()


def replace_hash(running: Running, known: Known) -> None:
    """Store the hash of a secret as a former version did."""
    with transaction(running.services.engine, writes=True) as connection:
        own = clients.client_secrets.c.name == secret_name(known.secret)
        connection.execute(clients.client_secrets.update().where(own).values(hash=FORMER))


def test_a_secret_of_a_former_version_is_refused_with_what_to_do(running: Running) -> None:
    bank = running.new()
    replace_hash(running, bank)
    refused = running.request_token(bank)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert "Ask the operator for a new one: sellerscore bank rotate" in refused.json()["error_description"]
    # only for the name of the secret
    wrong = running.request_token(Known(bank.id, running.new().secret, bank.kind))
    assert wrong.json()["error_description"] == "The client is unknown or its credentials are invalid."


def test_the_demo_bank_gets_a_new_secret(tmp_path: Path) -> None:
    engine, path = open_database(f"sqlite:///{tmp_path}/scores.db"), tmp_path / "demo-bank.netrc"
    demo_bank(path, ClientRegister(engine, RING), SECRETS, datetime.now(UTC))
    before = path.read_text()
    assert demo_bank(path, ClientRegister(engine, RING), SECRETS, datetime.now(UTC)) == path
    assert path.read_text() == before
    with transaction(engine, writes=True) as connection:
        connection.execute(clients.client_secrets.update().values(hash=FORMER))
    assert demo_bank(path, ClientRegister(engine, RING), SECRETS, datetime.now(UTC)) == path
    client_id, secret = path.read_text().split()[2::2]
    assert (client_id, secret == before.split()[4]) == (before.split()[2], False)
    with transaction(engine) as connection:
        stored = clients.find_secret_hash(connection, client_id, secret_name(secret) or "", datetime.now(UTC))
    assert SECRETS.verify(secret, stored)
    engine.dispose()


def test_strangers_do_not_delay_a_token_request(running: Running) -> None:
    bank = running.new()
    strangers = [Known(f"bank-{number:016x}", "x", bank.kind) for number in range(64)]
    with ThreadPoolExecutor(16) as pool:
        attempts = [pool.submit(running.request_token, each) for each in strangers]
        started = time.monotonic()
        assert running.request_token(bank).status_code == 200
        # argon2id took 20 ms for each of them
        assert time.monotonic() - started < 0.5
        assert {each.result().status_code for each in attempts} == {401}
