"""The tables of clients, of their secrets and public keys, and of the assertions that were used.

A client is never deleted, only revoked: scores name the bank that they were made for. A secret is a hash here.

What an operator does with clients: create, rotate, revoke and list them. Each change is one transaction.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
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

from api.auth.credentials import NewSecret, PublicKey, make_secret
from api.auth.scopes import ClientKind
from api.errors import AccessError
from api.kit.database import UtcDateTime, metadata, transaction

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
    kind: ClientKind
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


def insert_client(connection: Connection, client: Client) -> None:
    """Store a client under its id, which is new."""
    connection.execute(insert(clients).values(**{**vars(client), "kind": str(client.kind)}))


def find_client(connection: Connection, client_id: str) -> Client | None:
    """Return the client with the id, revoked or not, or None."""
    found = connection.execute(select(clients).where(clients.c.id == client_id)).one_or_none()
    return None if found is None else _client(*found)


def find_active(connection: Connection, client_ids: Collection[str]) -> dict[str, Client]:
    """Return those of these clients who are there and not revoked."""
    found = connection.execute(_IN_FORCE, {"ids": list(client_ids)})
    return {each.id: each for each in (_client(*values) for values in found)}


def clients_of_kind(connection: Connection, kind: ClientKind) -> list[Client]:
    """Return all clients of a kind, oldest first."""
    wanted = select(clients).where(clients.c.kind == str(kind)).order_by(clients.c.created_at, clients.c.id)
    return [_client(*found) for found in connection.execute(wanted)]


def any_client(connection: Connection) -> bool:
    """Tell whether there ever was a client."""
    return connection.execute(select(clients.c.id).limit(1)).first() is not None


def store_revocation(connection: Connection, client_id: str, now: datetime) -> None:
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


def find_secret_hash(connection: Connection, client_id: str, name: str, now: datetime) -> str | None:
    """Return the hash of a client's secret of that name, None where it has none that is good now."""
    wanted = select(_secrets.c.hash).where(
        _secrets.c.client_id == client_id, _secrets.c.name == name, _valid_credential(_secrets, now)
    )
    return connection.execute(wanted).scalar_one_or_none()


def public_keys(connection: Connection, client_id: str, now: datetime) -> list[dict[str, str]]:
    """Return the public keys of a client that are good now, newest first."""
    wanted = select(_keys.c.jwk).where(_keys.c.client_id == client_id, _valid_credential(_keys, now))
    return [json.loads(jwk) for jwk in connection.scalars(wanted.order_by(_keys.c.created_at.desc()))]


def credentials(connection: Connection, client_id: str) -> Credentials:
    """Return what a client proves itself with, oldest first."""
    return Credentials(
        _rows_of_kind(connection, _secrets.c.name, client_id), _rows_of_kind(connection, _keys.c.thumbprint, client_id)
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


def _rows_of_kind(connection: Connection, name: Column[Any], client_id: str) -> tuple[Credential, ...]:
    table = name.table
    wanted = select(name, table.c.created_at, table.c.expires_at).where(table.c.client_id == client_id)
    return tuple(Credential(*found) for found in connection.execute(wanted.order_by(table.c.created_at)))


def _valid_credential(table: Table, now: datetime) -> ColumnElement[bool]:
    return or_(table.c.expires_at.is_(None), table.c.expires_at > now)


def _client(client_id: str, kind: str, *rest: Any) -> Client:
    return Client(client_id, ClientKind(kind), *rest)


OVERLAP: Final = timedelta(hours=24)
"""How long a credential lives on beside the one that replaces it, so that a bank may change it without a gap."""


_LONGEST_NAME: Final = 200


@dataclass(frozen=True)
class CreatedClient:
    """A client with its new secret, which nobody can show again; None where it has a key of its own."""

    client: Client
    secret: str | None = field(repr=False)
    old_until: datetime | None = None


def create_client(
    engine: Engine, kind: ClientKind, name: str, *, key: PublicKey | None = None, now: datetime
) -> CreatedClient:
    """Make a client, with a secret or with the public key that it registers.

    Example: `create(engine, Kind.BANK, "Bank of the North", now=now).secret` is what the bank gets, once.

    Raises:
        AccessError: the name is empty, too long or not printable.
        DatabaseUnavailable: nothing was made.
    """
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise AccessError(f"The name must be 1 to {_LONGEST_NAME} printable characters.")
    client = Client(f"{kind}-{secrets.token_hex(8)}", kind, name.strip(), now, None)
    secret = None if key else make_secret()
    with transaction(engine, writes=True) as connection:
        insert_client(connection, client)
        _add_credential(connection, client.id, key or secret, now)
    return CreatedClient(client, secret.text if secret else None)


def rotate_credential(
    engine: Engine, kind: ClientKind, client_id: str, *, key: PublicKey | None, overlap: timedelta, now: datetime
) -> CreatedClient:
    """Give a client a new secret, or the key that it registers; what it had before ends after the overlap.

    Raises:
        AccessError: there is no such client, or it is revoked.
        DatabaseUnavailable: nothing was changed.
    """
    secret = None if key else make_secret()
    with transaction(engine, writes=True) as connection:
        client = _require_client(connection, kind, client_id)
        if client.revoked_at is not None:
            raise AccessError(f"The {kind} {client_id} is revoked, which is for good; create another.")
        end_credentials(connection, client_id, now + overlap)
        _add_credential(connection, client_id, key or secret, now)
    return CreatedClient(client, secret.text if secret else None, now + overlap)


def revoke_client(engine: Engine, kind: ClientKind, client_id: str, now: datetime) -> Client:
    """Refuse a client from now on, with tokens that it holds too.

    Raises:
        AccessError: there is no such client.
        DatabaseUnavailable: nothing was changed.
    """
    with transaction(engine, writes=True) as connection:
        _require_client(connection, kind, client_id)
        store_revocation(connection, client_id, now)
        return _require_client(connection, kind, client_id)


def list_clients(engine: Engine, kind: ClientKind) -> Mapping[Client, Credentials]:
    """Return the clients of a kind, oldest first, and what each proves itself with."""
    with transaction(engine) as connection:
        return {each: credentials(connection, each.id) for each in clients_of_kind(connection, kind)}


def _add_credential(connection: Connection, client_id: str, given: PublicKey | NewSecret | None, now: datetime) -> None:
    if isinstance(given, PublicKey):
        add_key(connection, client_id, thumbprint=given.thumbprint, jwk=given.members, now=now)
    elif given is not None:
        add_secret(connection, client_id, name=given.name, hashed=given.hash, now=now)


def _require_client(connection: Connection, kind: ClientKind, client_id: str) -> Client:
    client = find_client(connection, client_id)
    if client is None or client.kind is not kind:
        raise AccessError(f'There is no {kind} "{client_id}"; `sellerscore {kind} list` shows those there are.')
    return client
