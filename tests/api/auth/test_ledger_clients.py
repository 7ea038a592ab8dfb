"""A client and its credentials are accepted only as the signed entries of the ledger record them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import Engine, text

from api.auth.scopes import ClientKind
from api.auth.signing_keys import KeyRing
from api.clients.ledger_entries import revocation_entry, serialize_key
from api.clients.records import LedgerClients
from api.clients.service import ClientRegister
from api.errors import DatabaseUnavailable
from api.kit.database import open_database, transaction
from api.ledger.chain import CLIENTS_CHAIN, EntryKind
from api.ledger.signed_entries import append_signed
from api.ledger.store import EntryDraft, append_plain
from tests.api.auth.conftest import Known, Running
from tests.api.auth.test_assertions import Signer, public
from tests.api.started import RING, register_of

NOW = datetime(2026, 2, 1, 9, tzinfo=UTC)
CUT = (
    "DELETE FROM ledger WHERE chain = 'clients' AND position = (SELECT position FROM chains WHERE name = 'clients')",
    "UPDATE chains SET position = position - 1 WHERE name = 'clients'",
    "UPDATE chains SET head = (SELECT head FROM ledger WHERE chain = name AND ledger.position = chains.position)",
)
"""Removes the last row of the chain as a person with the database can."""


def execute(engine: Engine, *statements: str, **values: object) -> None:
    with transaction(engine, writes=True) as connection:
        for statement in statements:
            connection.execute(text(statement), values)


def call(running: Running, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return running.client.get(f"/v1/scores/{uuid.uuid4()}", headers=headers).status_code


@pytest.mark.databases
def test_a_key_that_was_inserted_for_a_moment_gets_no_token(running: Running) -> None:
    bank, key = running.new(), OKPKey.generate_key("Ed25519")
    signer = Signer(running, bank.id, key)
    values = {"thumbprint": public(key).thumbprint, "jwk": serialize_key(public(key)), "id": bank.id}
    insert = "INSERT INTO client_keys (client_id, thumbprint, jwk, created_at) VALUES (:id, :thumbprint, :jwk, :now)"
    execute(running.services.engine, insert, **values, now="2026-02-01 08:00:00.000000")
    assert signer.status() == 401
    assert running.request_token(bank).status_code == 200


@pytest.mark.databases
def test_a_client_that_was_inserted_or_revived_for_a_moment_gets_no_token(running: Running) -> None:
    bank, engine = running.new(), running.services.engine
    token = running.token(bank)
    assert call(running, token) == 404
    running.revoke(bank)
    assert (running.request_token(bank).status_code, call(running, token)) == (401, 401)
    execute(engine, "UPDATE clients SET revoked_at = NULL WHERE id = :id", id=bank.id)
    assert (running.request_token(bank).status_code, call(running, token)) == (401, 401)
    # the row of an operator with the secret of a bank
    known, other = running.new(), "operator-0123456789abcdef"
    execute(
        engine,
        "INSERT INTO clients (id, kind, name, created_at) SELECT :other, 'operator', name, created_at FROM clients "
        "WHERE id = :id",
        "INSERT INTO client_secrets (client_id, name, hash, created_at) SELECT :other, name, hash, created_at FROM "
        "client_secrets WHERE client_id = :id",
        id=known.id,
        other=other,
    )
    assert running.request_token(Known(other, known.secret, ClientKind.OPERATOR)).status_code == 401


@pytest.mark.databases
def test_the_kind_of_a_client_is_that_of_its_entry(running: Running) -> None:
    bank = running.new()
    execute(running.services.engine, "UPDATE clients SET kind = 'operator' WHERE id = :id", id=bank.id)
    assert "scores:write" in running.request_token(bank).json()["scope"]
    token = running.token(bank)
    assert call(running, token) == 404


@pytest.mark.databases
def test_an_expired_credential_stays_expired(running: Running) -> None:
    bank, services = running.new(), running.services
    register_of(services).rotate(
        ClientKind.BANK, bank.id, credential=services.auth.secrets.new(), overlap=timedelta(0), now=datetime.now(UTC)
    )
    execute(services.engine, "UPDATE client_secrets SET expires_at = NULL WHERE client_id = :id", id=bank.id)
    assert running.request_token(bank).status_code == 401


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    opened = open_database(database)
    yield opened
    opened.dispose()


def is_active(records: LedgerClients, engine: Engine, client_id: str) -> bool:
    with transaction(engine) as connection:
        return client_id in records.find_active(connection, [client_id])


@pytest.mark.databases
def test_a_revocation_that_was_removed_for_a_moment_is_noticed(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    register, records = ClientRegister(engine, RING), LedgerClients(RING.jwks)
    client, other = (register.create(ClientKind.BANK, name, now=NOW).client for name in ("A", "B"))
    assert is_active(records, engine, client.id)
    register.revoke(ClientKind.BANK, client.id, NOW)
    assert not is_active(records, engine, client.id)
    execute(engine, "CREATE TABLE backup AS SELECT * FROM ledger WHERE position = 3", *CUT)
    for client_id in (client.id, other.id):
        with pytest.raises(DatabaseUnavailable):
            is_active(records, engine, client_id)
    assert "clients, row 3: the row was changed or is missing, so no client is accepted" in caplog.text
    execute(engine, "INSERT INTO ledger SELECT * FROM backup")
    assert (is_active(records, engine, client.id), is_active(records, engine, other.id)) == (False, True)
    execute(engine, "DELETE FROM ledger WHERE position = 2")
    with pytest.raises(DatabaseUnavailable):
        is_active(LedgerClients(RING.jwks), engine, client.id)


@pytest.mark.databases
@pytest.mark.parametrize("damage", ["unsigned", "another key", "sealed"])
def test_no_client_is_accepted_after_an_entry_without_a_valid_signature(engine: Engine, damage: str) -> None:
    """It may have been the revocation of any client. A new credential makes a client valid again."""
    register, records = ClientRegister(engine, RING), LedgerClients(RING.jwks)
    client = register.create(
        ClientKind.PLATFORM, "A", credential=public(OKPKey.generate_key("Ed25519")), now=NOW
    ).client
    assert is_active(records, engine, client.id)
    draft = EntryDraft(CLIENTS_CHAIN, EntryKind.CLIENT, revocation_entry(client), NOW)
    with transaction(engine, writes=True) as connection:
        if damage == "unsigned":
            append_plain(connection, "", draft)
        else:
            append_signed(connection, RING if damage == "sealed" else KeyRing((OKPKey.generate_key("Ed25519"),)), draft)
    if damage == "sealed":
        execute(engine, "UPDATE ledger SET sealed = commitment WHERE position = 2")
    for each in (records, LedgerClients(RING.jwks)):
        assert not is_active(each, engine, client.id)
    key = public(OKPKey.generate_key("Ed25519"))
    register.rotate(ClientKind.PLATFORM, client.id, credential=key, overlap=timedelta(1), now=NOW)
    with transaction(engine) as connection:
        found = records.find_active(connection, [client.id, "bank-x"])
    assert {name: (each.kind, each.name) for name, each in found.items()} == {client.id: (ClientKind.PLATFORM, "A")}
    assert records.has_credential(client.id, serialize_key(key), NOW)
    assert not records.has_credential(client.id, "another", NOW)
