"""The tables of clients, of their secrets and public keys, and of the assertions that were used.

A client is never deleted, only revoked: scores name the bank that they were made for. A secret is a hash here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from api.access.rights import Kind
from api.database import UtcDateTime, metadata

clients = Table(
    "clients",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("revoked_at", UtcDateTime(), nullable=True),
)

_secrets = Table(
    "client_secrets",
    metadata,
    Column("client_id", String(60), ForeignKey("clients.id"), primary_key=True),
    Column("name", String(20), primary_key=True),
    Column("hash", String(200), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("expires_at", UtcDateTime(), nullable=True),
)

_keys = Table(
    "client_keys",
    metadata,
    Column("client_id", String(60), ForeignKey("clients.id"), primary_key=True),
    Column("thumbprint", String(60), primary_key=True),
    Column("jwk", Text(), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("expires_at", UtcDateTime(), nullable=True),
)

_used_assertions = Table(
    "used_assertions",
    metadata,
    Column("client_id", String(60), ForeignKey("clients.id"), primary_key=True),
    Column("jti_digest", String(64), primary_key=True),
    Column("expires_at", UtcDateTime(), nullable=False, index=True),
)

# built once: making a statement takes longer than running it
_IN_FORCE: Final = select(clients).where(
    clients.c.id.in_(bindparam("ids", expanding=True)), clients.c.revoked_at.is_(None)
)
_CREDENTIALS: Final = (_secrets, _keys)


@dataclass(frozen=True)
class Client:
    """Who may call; once revoked, never again."""

    id: str
    kind: Kind
    name: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class Credential:
    """What a client proves itself with, as lists show it: the name of a secret or the thumbprint of a key."""

    name: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Credentials:
    """All that a client may prove itself with now or once could."""

    secrets: tuple[Credential, ...]
    keys: tuple[Credential, ...]


def add(connection: Connection, client: Client) -> None:
    """Store a client under its id, which is new."""
    connection.execute(insert(clients).values(**{**vars(client), "kind": str(client.kind)}))


def find(connection: Connection, client_id: str) -> Client | None:
    """Return the client with the id, revoked or not, or None."""
    found = connection.execute(select(clients).where(clients.c.id == client_id)).one_or_none()
    return None if found is None else _client(*found)


def in_force(connection: Connection, client_ids: Collection[str]) -> dict[str, Client]:
    """Return those of these clients who are there and not revoked."""
    found = connection.execute(_IN_FORCE, {"ids": list(client_ids)})
    return {each.id: each for each in (_client(*values) for values in found)}


def of_kind(connection: Connection, kind: Kind) -> list[Client]:
    """Return all clients of a kind, oldest first."""
    wanted = select(clients).where(clients.c.kind == str(kind)).order_by(clients.c.created_at, clients.c.id)
    return [_client(*found) for found in connection.execute(wanted)]


def any_client(connection: Connection) -> bool:
    """Tell whether there ever was a client."""
    return connection.execute(select(clients.c.id).limit(1)).first() is not None


def revoke(connection: Connection, client_id: str, now: datetime) -> None:
    """Mark a client as revoked; one that already is keeps its moment."""
    unrevoked = (clients.c.id == client_id) & clients.c.revoked_at.is_(None)
    connection.execute(update(clients).where(unrevoked).values(revoked_at=now))


def add_secret(connection: Connection, client_id: str, *, name: str, hashed: str, now: datetime) -> None:
    """Store the hash of a new secret, good until a rotation ends it."""
    connection.execute(insert(_secrets).values(client_id=client_id, name=name, hash=hashed, created_at=now))


def add_key(connection: Connection, client_id: str, *, thumbprint: str, jwk: Mapping[str, str], now: datetime) -> None:
    """Store a client's public key; one that it had before is its key again."""
    same = (_keys.c.client_id == client_id) & (_keys.c.thumbprint == thumbprint)
    connection.execute(delete(_keys).where(same))
    values = {"client_id": client_id, "thumbprint": thumbprint, "jwk": json.dumps(dict(jwk)), "created_at": now}
    connection.execute(insert(_keys).values(**values))


def end_credentials(connection: Connection, client_id: str, moment: datetime) -> None:
    """Let every secret and key of a client end at a moment, unless it ends before."""
    for table in _CREDENTIALS:
        later = or_(table.c.expires_at.is_(None), table.c.expires_at > moment)
        connection.execute(update(table).where(table.c.client_id == client_id, later).values(expires_at=moment))


def secret_hash(connection: Connection, client_id: str, name: str, now: datetime) -> str | None:
    """Return the hash of a client's secret of that name, None where it has none that is good now."""
    wanted = select(_secrets.c.hash).where(
        _secrets.c.client_id == client_id, _secrets.c.name == name, _good(_secrets, now)
    )
    return connection.execute(wanted).scalar_one_or_none()


def public_keys(connection: Connection, client_id: str, now: datetime) -> list[dict[str, str]]:
    """Return the public keys of a client that are good now, newest first."""
    wanted = select(_keys.c.jwk).where(_keys.c.client_id == client_id, _good(_keys, now))
    return [json.loads(jwk) for jwk in connection.scalars(wanted.order_by(_keys.c.created_at.desc()))]


def credentials(connection: Connection, client_id: str) -> Credentials:
    """Return what a client proves itself with, oldest first."""
    return Credentials(
        _listed(connection, _secrets.c.name, client_id), _listed(connection, _keys.c.thumbprint, client_id)
    )


def use_assertion(connection: Connection, client_id: str, jti_digest: str, *, until: datetime, now: datetime) -> bool:
    """Remember that a client used an assertion, and tell whether that was the first time.

    Those that have expired are forgotten on the way: their time alone refuses them.
    """
    connection.execute(delete(_used_assertions).where(_used_assertions.c.expires_at <= now))
    values = {"client_id": client_id, "jti_digest": jti_digest, "expires_at": until}
    try:
        # a savepoint, since PostgreSQL would take nothing more in a transaction with a failed statement
        with connection.begin_nested():
            connection.execute(insert(_used_assertions).values(**values))
    except IntegrityError:
        return False
    return True


def _listed(connection: Connection, name: Column[Any], client_id: str) -> tuple[Credential, ...]:
    table = name.table
    wanted = select(name, table.c.created_at, table.c.expires_at).where(table.c.client_id == client_id)
    return tuple(Credential(*found) for found in connection.execute(wanted.order_by(table.c.created_at)))


def _good(table: Table, now: datetime) -> ColumnElement[bool]:
    return or_(table.c.expires_at.is_(None), table.c.expires_at > now)


def _client(client_id: str, kind: str, *rest: Any) -> Client:
    return Client(client_id, Kind(kind), *rest)
