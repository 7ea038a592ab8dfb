"""API clients and their credentials: tables and lookups. `api.clients.service` changes them.

A client is never deleted, only revoked, because scores name the bank that they were issued for. Secrets are stored as
MACs.

A person who can write to the database can change these tables. Authentication therefore accepts a client and its
credentials only as `ClientRecords` has them, and pages show only the names that it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Column, ColumnElement, Connection, Engine, ForeignKey, String, Table, Text, select
from sqlalchemy.exc import IntegrityError

from api.auth.credentials import ClientSecrets, is_outdated
from api.auth.scopes import ClientKind
from api.kit.database import UtcDateTime, metadata, row_to, transaction

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


client_secrets = _credential_table(
    "client_secrets", Column("name", String(20), primary_key=True), Column("hash", String(200), nullable=False)
)
client_keys = _credential_table(
    "client_keys", Column("thumbprint", String(60), primary_key=True), Column("jwk", Text(), nullable=False)
)
_used_assertions = Table(
    "used_assertions",
    metadata,
    Column("client_id", String(60), ForeignKey("clients.id"), primary_key=True),
    Column("jti_digest", String(64), primary_key=True),
    Column("expires_at", UtcDateTime(), nullable=False, index=True),
)


@dataclass(frozen=True)
class Client:
    """An API client. A revoked client stays revoked."""

    id: str
    kind: ClientKind
    name: str
    created_at: datetime
    revoked_at: datetime | None

    @property
    def is_active_bank(self) -> bool:
        """Whether it is a bank that is not revoked."""
        return self.kind is ClientKind.BANK and self.revoked_at is None


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


_to_client = row_to(Client)


class ClientRecords(Protocol):
    """The clients as signed entries record them, which nobody can change in the database alone."""

    def find(self, connection: Connection, client_ids: Collection[str]) -> dict[str, Client]:
        """Return those of the clients that exist, revoked or not.

        It must be the first statement of its transaction, or the transaction must write: an older snapshot would look
        as if entries had been removed.

        Raises:
            DatabaseUnavailable: Entries are missing.
        """

    def find_active(self, connection: Connection, client_ids: Collection[str]) -> dict[str, Client]:
        """Return those of the clients that exist and are not revoked, as `find` does."""

    def has_credential(self, client_id: str, stored: str, now: datetime) -> bool:
        """Return whether the client has this hash of a secret, or this public key, and it has not expired."""


def find_client(connection: Connection, client_id: str) -> Client | None:
    """Return a client, revoked or not, or None."""
    return _to_client(connection.execute(select(clients).where(clients.c.id == client_id)).one_or_none())


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
        stored = connection.scalars(select(client_secrets.c.hash)).all()
    return ClientSecrets.open(folder, may_create=all(map(is_outdated, stored)))


def find_secret_hash(connection: Connection, client_id: str, name: str, now: datetime) -> str | None:
    """Return the hash of a client's secret of that name, or None if it has no such valid secret."""
    query = select(client_secrets.c.hash).where(
        client_secrets.c.client_id == client_id, client_secrets.c.name == name, is_valid(client_secrets, now)
    )
    return connection.execute(query).scalar_one_or_none()


def public_keys(connection: Connection, client_id: str, now: datetime) -> list[str]:
    """Return the valid public keys of a client as JWKs, newest first."""
    query = select(client_keys.c.jwk).where(client_keys.c.client_id == client_id, is_valid(client_keys, now))
    return list(connection.scalars(query.order_by(client_keys.c.created_at.desc())))


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

    return Credentials(of(client_secrets.c.name), of(client_keys.c.thumbprint))


def is_valid(table: Table, now: datetime) -> ColumnElement[bool]:
    """Return the SQL condition that a credential has not expired."""
    return table.c.expires_at.is_(None) | (table.c.expires_at > now)
