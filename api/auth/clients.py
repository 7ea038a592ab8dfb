"""API clients and their credentials: tables, and the operations create, rotate, revoke and list.

A client is never deleted, only revoked, because scores name the bank that they were issued for. Secrets are stored as
MACs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Engine, ForeignKey, String, Table, Text, bindparam, select
from sqlalchemy.exc import IntegrityError

from api.auth.credentials import ClientSecrets, NewSecret, PublicKey, is_outdated
from api.auth.scopes import ClientKind
from api.errors import AccessError
from api.kit.database import UtcDateTime, insert_row, metadata, row_to, transaction

OVERLAP: Final = timedelta(hours=24)
"""How long a replaced credential stays valid, so that a bank can switch without an interruption."""

_MAX_NAME: Final = 200

clients = Table(
    "clients",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("revoked_at", UtcDateTime(), nullable=True),
)


def _credential_table(name: str, key: Column[str], content: Column[str]) -> Table:
    return Table(
        name,
        metadata,
        Column("client_id", String(60), ForeignKey("clients.id"), primary_key=True),
        key,
        content,
        Column("created_at", UtcDateTime(), nullable=False),
        Column("expires_at", UtcDateTime(), nullable=True),
    )


_secrets = _credential_table(
    "client_secrets", Column("name", String(20), primary_key=True), Column("hash", String(200), nullable=False)
)
_keys = _credential_table(
    "client_keys", Column("thumbprint", String(60), primary_key=True), Column("jwk", Text(), nullable=False)
)
_used_assertions = Table(
    "used_assertions",
    metadata,
    Column("client_id", String(60), ForeignKey("clients.id"), primary_key=True),
    Column("jti_digest", String(64), primary_key=True),
    Column("expires_at", UtcDateTime(), nullable=False, index=True),
)

# built once: building a statement takes longer than running it
_SELECT_ACTIVE: Final = select(clients).where(
    clients.c.id.in_(bindparam("ids", expanding=True)), clients.c.revoked_at.is_(None)
)


@dataclass(frozen=True)
class Client:
    """An API client. A revoked client stays revoked."""

    id: str
    kind: ClientKind
    name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class Credential:
    """A credential as lists show it: the name of a secret or the thumbprint of a key."""

    name: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Credentials:
    """All credentials of a client, expired ones included."""

    secrets: tuple[Credential, ...]
    keys: tuple[Credential, ...]


@dataclass(frozen=True)
class CreatedClient:
    """A client and its new secret, which cannot be shown again. The secret is None if the client has none."""

    client: Client
    secret: str | None = field(repr=False)
    old_until: datetime | None = None


_to_client = row_to(Client)


def find_client(connection: Connection, client_id: str) -> Client | None:
    """Return a client, revoked or not, or None."""
    return _to_client(connection.execute(select(clients).where(clients.c.id == client_id)).one_or_none())


def find_active(connection: Connection, client_ids: Collection[str]) -> dict[str, Client]:
    """Return those of the clients that exist and are not revoked."""
    rows = connection.execute(_SELECT_ACTIVE, {"ids": list(client_ids)})
    return {client.id: client for client in map(_to_client, rows)}


def any_client(connection: Connection) -> bool:
    """Return whether a client was ever created."""
    return connection.execute(select(clients.c.id).limit(1)).first() is not None


def open_secrets(folder: Path, engine: Engine) -> ClientSecrets:
    """Read the key of client secrets, creating it if the database has no client secrets yet.

    Raises:
        KeyRingError: The key is missing or cannot be used.
        DatabaseUnavailable: The database does not respond.
    """
    with transaction(engine) as connection:
        stored = connection.scalars(select(_secrets.c.hash)).all()
    return ClientSecrets.open(folder, may_create=all(map(is_outdated, stored)))


def find_secret_hash(connection: Connection, client_id: str, name: str, now: datetime) -> str | None:
    """Return the hash of a client's secret of that name, or None if it has no such valid secret."""
    query = select(_secrets.c.hash).where(
        _secrets.c.client_id == client_id, _secrets.c.name == name, _is_valid(_secrets, now)
    )
    return connection.execute(query).scalar_one_or_none()


def public_keys(connection: Connection, client_id: str, now: datetime) -> list[dict[str, str]]:
    """Return the valid public keys of a client, newest first."""
    query = select(_keys.c.jwk).where(_keys.c.client_id == client_id, _is_valid(_keys, now))
    return [json.loads(jwk) for jwk in connection.scalars(query.order_by(_keys.c.created_at.desc()))]


def use_assertion(connection: Connection, client_id: str, jti_digest: str, *, until: datetime, now: datetime) -> bool:
    """Store the use of an assertion, and return whether it was the first. Delete expired uses."""
    connection.execute(_used_assertions.delete().where(_used_assertions.c.expires_at <= now))
    try:
        # a savepoint, because PostgreSQL aborts a transaction in which a statement failed
        with connection.begin_nested():
            values = {"client_id": client_id, "jti_digest": jti_digest, "expires_at": until}
            connection.execute(_used_assertions.insert().values(values))
    except IntegrityError:
        return False
    return True


def create_client(
    engine: Engine, kind: ClientKind, name: str, *, credential: NewSecret | PublicKey | None = None, now: datetime
) -> CreatedClient:
    """Create a client with a secret, or with the public key that it registers. Without either, it gets no token.

    Example: `create_client(engine, ClientKind.BANK, "Bank of the North", credential=secrets.new(), now=now).secret` is
    the secret of the bank.

    Raises:
        AccessError: The name is empty, too long or not printable.
        DatabaseUnavailable: Nothing was created.
    """
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise AccessError(f"Invalid client name. Use 1 to {_MAX_NAME} printable characters.")
    client = Client(f"{kind}-{secrets.token_hex(8)}", kind, name.strip(), now, None)
    with transaction(engine, writes=True) as connection:
        insert_row(connection, clients, client)
        return CreatedClient(client, _add_credential(connection, client.id, credential, now))


def rotate_credential(
    engine: Engine,
    kind: ClientKind,
    client_id: str,
    *,
    credential: NewSecret | PublicKey,
    overlap: timedelta,
    now: datetime,
) -> CreatedClient:
    """Give a client a new secret or public key. Its former credentials expire after the overlap.

    Raises:
        AccessError: The client does not exist or is revoked.
        DatabaseUnavailable: Nothing was changed.
    """
    with transaction(engine, writes=True) as connection:
        client = _require_client(connection, kind, client_id)
        if client.revoked_at is not None:
            raise AccessError(f"The {kind} {client_id} is revoked, which cannot be undone. Create a new one.")
        _expire_credentials(connection, client_id, now + overlap)
        return CreatedClient(client, _add_credential(connection, client_id, credential, now), now + overlap)


def revoke_client(engine: Engine, kind: ClientKind, client_id: str, now: datetime) -> Client:
    """Reject a client from now on, including its unexpired tokens. A second call changes nothing.

    Raises:
        AccessError: The client does not exist.
        DatabaseUnavailable: Nothing was changed.
    """
    with transaction(engine, writes=True) as connection:
        _require_client(connection, kind, client_id)
        active = clients.c.id == client_id, clients.c.revoked_at.is_(None)
        connection.execute(clients.update().where(*active).values(revoked_at=now))
        return _require_client(connection, kind, client_id)


def list_clients(engine: Engine, kind: ClientKind) -> Mapping[Client, Credentials]:
    """Return the clients of a kind with their credentials, oldest first."""
    query = select(clients).where(clients.c.kind == str(kind)).order_by(clients.c.created_at, clients.c.id)
    with transaction(engine) as connection:
        rows = connection.execute(query).all()
        return {client: _credentials(connection, client.id) for client in map(_to_client, rows)}


def _credentials(connection: Connection, client_id: str) -> Credentials:
    def of(name: Column[Any]) -> tuple[Credential, ...]:
        table = name.table
        query = select(name, table.c.created_at, table.c.expires_at).where(table.c.client_id == client_id)
        return tuple(Credential(*row) for row in connection.execute(query.order_by(table.c.created_at)))

    return Credentials(of(_secrets.c.name), of(_keys.c.thumbprint))


def _is_valid(table: Table, now: datetime) -> ColumnElement[bool]:
    return table.c.expires_at.is_(None) | (table.c.expires_at > now)


def _expire_credentials(connection: Connection, client_id: str, at: datetime) -> None:
    for table in (_secrets, _keys):
        longer = table.c.client_id == client_id, _is_valid(table, at)
        connection.execute(table.update().where(*longer).values(expires_at=at))


def _add_credential(
    connection: Connection, client_id: str, credential: NewSecret | PublicKey | None, now: datetime
) -> str | None:
    """Store a credential. Return the text of a secret."""
    owned = {"client_id": client_id, "created_at": now}
    match credential:
        case NewSecret(name, text, mac):
            connection.execute(_secrets.insert().values(name=name, hash=mac, **owned))
            return text
        case PublicKey(members, thumbprint):
            # a key that the client had before becomes valid again
            former = _keys.c.client_id == client_id, _keys.c.thumbprint == thumbprint
            connection.execute(_keys.delete().where(*former))
            jwk = json.dumps(dict(members))
            connection.execute(_keys.insert().values(thumbprint=thumbprint, jwk=jwk, **owned))
    return None


def _require_client(connection: Connection, kind: ClientKind, client_id: str) -> Client:
    client = find_client(connection, client_id)
    if client is None or client.kind is not kind:
        raise AccessError(f'Unknown {kind} "{client_id}". Use an ID from `sellerscore {kind} list`.')
    return client
