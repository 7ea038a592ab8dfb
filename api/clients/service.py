"""Clients: create, rotate, revoke, and login links of operators. The ledger records each without the secret.

The chain of clients is locked first, so that concurrent changes have the same order in the tables and in the ledger.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine

from api.auth import clients as repository
from api.auth.clients import Client, client_keys, client_secrets, clients, is_valid
from api.auth.credentials import NewSecret, PublicKey
from api.auth.scopes import ClientKind
from api.auth.sessions import Sessions, UserKind
from api.auth.signing_keys import KeyRing
from api.clients import ledger_entries
from api.errors import AccessError
from api.kit.database import insert_row, transaction, write_rows
from api.ledger.chain import CLIENTS_CHAIN, EntryKind
from api.ledger.signed_entries import append_signed
from api.ledger.store import EntryDraft, lock_chain

OVERLAP: Final = timedelta(hours=24)
"""How long a replaced credential stays valid, so that a bank can switch without an interruption."""

_MAX_NAME: Final = 200


@dataclass(frozen=True)
class CreatedClient:
    """A client and its new secret, which cannot be shown again. The secret is None if the client has none."""

    client: Client
    secret: str | None = field(repr=False)
    former_until: datetime | None = None


@dataclass(frozen=True)
class ClientRegister:
    """Changes clients in a database, and signs the entries of the ledger with the receipt keys.

    Example: `ClientRegister(engine, ring).create(ClientKind.BANK, "Bank of the North", credential=secrets.new(),
    now=now).secret` is the secret of the bank.
    """

    engine: Engine
    ring: KeyRing

    def create(
        self, kind: ClientKind, name: str, *, credential: NewSecret | PublicKey | None = None, now: datetime
    ) -> CreatedClient:
        """Create a client with a secret, or with the public key that it registers. Without either, it gets no token.

        Raises:
            AccessError: The name is empty, too long or not printable.
            DatabaseUnavailable: Nothing was created.
        """
        if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
            raise AccessError(f"Invalid client name. Use 1 to {_MAX_NAME} printable characters.")
        client = Client(f"{kind}-{secrets.token_hex(8)}", kind, name.strip(), now, None)
        with transaction(self.engine, writes=True) as connection:
            lock_chain(connection, CLIENTS_CHAIN)
            insert_row(connection, clients, client)
            secret = _add_credential(connection, client.id, credential, now)
            self._append(connection, ledger_entries.creation_entry(client, credential), now)
        return CreatedClient(client, secret)

    def rotate(
        self,
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
        former_until = now + overlap
        with transaction(self.engine, writes=True) as connection:
            lock_chain(connection, CLIENTS_CHAIN)
            client = _require_client(connection, kind, client_id)
            if client.revoked_at is not None:
                raise AccessError(f"The {kind} {client_id} is revoked, which cannot be undone. Create a new one.")
            _expire_credentials(connection, client_id, former_until)
            secret = _add_credential(connection, client_id, credential, now)
            self._append(connection, ledger_entries.rotation_entry(client, credential, former_until), now)
        return CreatedClient(client, secret, former_until)

    def revoke(self, kind: ClientKind, client_id: str, now: datetime) -> Client:
        """Reject a client from now on, including its unexpired tokens. A second call changes nothing.

        Raises:
            AccessError: The client does not exist.
            DatabaseUnavailable: Nothing was changed.
        """
        with transaction(self.engine, writes=True) as connection:
            lock_chain(connection, CLIENTS_CHAIN)
            client = _require_client(connection, kind, client_id)
            if client.revoked_at is not None:
                return client
            revoked = clients.update().where(clients.c.id == client_id).values(revoked_at=now)
            write_rows(connection, revoked, rows=1)
            self._append(connection, ledger_entries.revocation_entry(client), now)
            return _require_client(connection, kind, client_id)

    def operator_link(self, sessions: Sessions, client_id: str, address: str, now: datetime) -> str:
        """Record that a login link of an operator is created, and return its URL at the address of the service.

        Raises:
            AccessError: There is no such operator, or it is revoked.
            DatabaseUnavailable: No link was created.
        """
        with transaction(self.engine, writes=True) as connection:
            lock_chain(connection, CLIENTS_CHAIN)
            client = repository.find_client(connection, client_id)
            if client is None or client.kind is not ClientKind.OPERATOR or client.revoked_at is not None:
                raise AccessError(f'No active operator "{client_id}". Use an ID from `sellerscore operator list`.')
            self._append(connection, ledger_entries.link_entry(client), now)
        return sessions.login_url(UserKind.OPERATOR, client_id, address, by="command")

    def _append(self, connection: Connection, content: bytes, now: datetime) -> None:
        append_signed(connection, self.ring, EntryDraft(CLIENTS_CHAIN, EntryKind.CLIENT, content, now))


def _expire_credentials(connection: Connection, client_id: str, at: datetime) -> None:
    for table in (client_secrets, client_keys):
        still_valid = table.c.client_id == client_id, is_valid(table, at)
        connection.execute(table.update().where(*still_valid).values(expires_at=at))


def _add_credential(
    connection: Connection, client_id: str, credential: NewSecret | PublicKey | None, now: datetime
) -> str | None:
    """Store a credential. Return the text of a secret."""
    owned = {"client_id": client_id, "created_at": now}
    match credential:
        case NewSecret(name, text, mac):
            write_rows(connection, client_secrets.insert().values(name=name, hash=mac, **owned), rows=1)
            return text
        case PublicKey(_, thumbprint):
            # a key that the client had before becomes valid again
            former = client_keys.c.client_id == client_id, client_keys.c.thumbprint == thumbprint
            connection.execute(client_keys.delete().where(*former))
            jwk = ledger_entries.serialize_key(credential)
            write_rows(connection, client_keys.insert().values(thumbprint=thumbprint, jwk=jwk, **owned), rows=1)
    return None


def _require_client(connection: Connection, kind: ClientKind, client_id: str) -> Client:
    client = repository.find_client(connection, client_id)
    if client is None or client.kind is not kind:
        raise AccessError(f'Unknown {kind} "{client_id}". Use an ID from `sellerscore {kind} list`.')
    return client
