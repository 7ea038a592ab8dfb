"""What an operator does with clients: create, rotate, revoke and list them. Each change is one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine

from api.access import repository
from api.access.client_secrets import NewSecret, make_secret
from api.access.public_keys import PublicKey
from api.access.repository import Client, Credentials
from api.access.rights import Kind
from api.database import transaction
from api.errors import AccessError

OVERLAP: Final = timedelta(hours=24)
"""How long a credential lives on beside the one that replaces it, so that a bank may change it without a gap."""

_LONGEST_NAME: Final = 200


@dataclass(frozen=True)
class Made:
    """A client with its new secret, which nobody can show again; None where it has a key of its own."""

    client: Client
    secret: str | None = field(repr=False)
    old_until: datetime | None = None


def create(engine: Engine, kind: Kind, name: str, *, key: PublicKey | None = None, now: datetime) -> Made:
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
        repository.add(connection, client)
        _add_credential(connection, client.id, key or secret, now)
    return Made(client, secret.text if secret else None)


def rotate(
    engine: Engine, kind: Kind, client_id: str, *, key: PublicKey | None, overlap: timedelta, now: datetime
) -> Made:
    """Give a client a new secret, or the key that it registers; what it had before ends after the overlap.

    Raises:
        AccessError: there is no such client, or it is revoked.
        DatabaseUnavailable: nothing was changed.
    """
    secret = None if key else make_secret()
    with transaction(engine, writes=True) as connection:
        client = _known(connection, kind, client_id)
        if client.revoked_at is not None:
            raise AccessError(f"The {kind} {client_id} is revoked, which is for good; create another.")
        repository.end_credentials(connection, client_id, now + overlap)
        _add_credential(connection, client_id, key or secret, now)
    return Made(client, secret.text if secret else None, now + overlap)


def revoke(engine: Engine, kind: Kind, client_id: str, now: datetime) -> Client:
    """Refuse a client from now on, with tokens that it holds too.

    Raises:
        AccessError: there is no such client.
        DatabaseUnavailable: nothing was changed.
    """
    with transaction(engine, writes=True) as connection:
        _known(connection, kind, client_id)
        repository.revoke(connection, client_id, now)
        return _known(connection, kind, client_id)


def listed(engine: Engine, kind: Kind) -> Mapping[Client, Credentials]:
    """Return the clients of a kind, oldest first, and what each proves itself with."""
    with transaction(engine) as connection:
        return {each: repository.credentials(connection, each.id) for each in repository.of_kind(connection, kind)}


def _add_credential(connection: Connection, client_id: str, given: PublicKey | NewSecret | None, now: datetime) -> None:
    if isinstance(given, PublicKey):
        repository.add_key(connection, client_id, thumbprint=given.thumbprint, jwk=given.members, now=now)
    elif given is not None:
        repository.add_secret(connection, client_id, name=given.name, hashed=given.hash, now=now)


def _known(connection: Connection, kind: Kind, client_id: str) -> Client:
    client = repository.find(connection, client_id)
    if client is None or client.kind is not kind:
        raise AccessError(f'There is no {kind} "{client_id}"; `sellerscore {kind} list` shows those there are.')
    return client
