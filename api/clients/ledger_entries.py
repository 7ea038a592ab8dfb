"""Ledger entries of clients and their credentials, the clients that they record, and the check of the tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final

from sqlalchemy import Connection

from api.auth.clients import Client, client_keys, client_secrets, clients
from api.auth.credentials import NewSecret, PublicKey
from api.kit.fields import format_timestamp
from api.ledger.chain import CLIENTS_CHAIN, EntryKind, Header, LedgerFault
from api.ledger.signed_entries import SignedContentCheck
from api.ledger.table_checks import compare_row, stored_rows
from scoring.canonical import canonical_json

_CREATED: Final = "created"
_ROTATED: Final = "rotated"
_REVOKED: Final = "revoked"
_LINKED: Final = "linked"

_UNKNOWN: Final = "the entry is about a client that does not exist or is revoked"


def creation_entry(client: Client, credential: NewSecret | PublicKey | None) -> bytes:
    """Return the ledger content of a new client. Its rights follow from its kind."""
    fields = {"client_id": client.id, "kind": str(client.kind), "name": client.name}
    return canonical_json({"action": _CREATED, "credential": _credential_fields(credential), **fields})


def rotation_entry(client: Client, credential: NewSecret | PublicKey, former_until: datetime) -> bytes:
    """Return the ledger content of a new credential; former ones expire at a time."""
    fields = {"client_id": client.id, "kind": str(client.kind), "name": client.name}
    until = {"former_until": format_timestamp(former_until)}
    return canonical_json({"action": _ROTATED, "credential": _credential_fields(credential), **fields, **until})


def revocation_entry(client: Client) -> bytes:
    """Return the ledger content of the revocation of a client."""
    return canonical_json({"action": _REVOKED, "client_id": client.id})


def link_entry(client: Client) -> bytes:
    """Return the ledger content of a login link that a command printed. The link itself is not recorded."""
    return canonical_json({"action": _LINKED, "client_id": client.id})


def serialize_key(key: PublicKey) -> str:
    """Return a public key as the table stores it."""
    return json.dumps(dict(key.members))


def _credential_fields(credential: NewSecret | PublicKey | None) -> dict[str, str] | None:
    match credential:
        case NewSecret(name, _, mac):
            return {"type": "secret", "name": name, "digest": _digest(mac)}
        case PublicKey(_, thumbprint):
            return {"type": "key", "name": thumbprint, "digest": _digest(serialize_key(credential))}
    return None


def _digest(stored: object) -> str:
    """Return the digest of a stored credential. It reveals no secret: secrets are random, and stored as MACs."""
    return hashlib.sha256(str(stored).encode()).hexdigest()


@dataclass
class RecordedClient:
    """A client as the ledger records it: the expected rows of the tables, with digests of credentials."""

    header: Header
    row: dict[str, Any]
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, header: Header, credential: Mapping[str, str] | None) -> None:
        """Add a credential; a key that the client had before becomes valid again."""
        if credential is not None:
            owned, column = (self.secrets, "hash") if credential["type"] == "secret" else (self.keys, "jwk")
            row = {column: credential["digest"], "created_at": header.recorded_at, "expires_at": None}
            owned[credential["name"]] = row

    def expire(self, until: str) -> None:
        """Let all credentials expire at a time, unless they expire before."""
        for row in (*self.secrets.values(), *self.keys.values()):
            row["expires_at"] = min(row["expires_at"] or until, until)

    def accepts(self, stored: str, now: datetime) -> bool:
        """Return whether it has a credential that is stored like this and has not expired."""
        digest, moment = _digest(stored), format_timestamp(now)
        rows = [
            *(row for row in self.secrets.values() if row["hash"] == digest),
            *(row for row in self.keys.values() if row["jwk"] == digest),
        ]
        return any(row["expires_at"] is None or row["expires_at"] > moment for row in rows)


class ClientHistory:
    """The clients that entries record, by ID; the entries are added in order.

    Example: `history.add(header, {"action": "revoked", "client_id": "bank-3f9c"})` is None.
    """

    def __init__(self) -> None:
        self.clients: dict[str, RecordedClient] = {}

    def add(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Add an entry, and return its fault or None.

        Raises:
            KeyError, TypeError: The content is not of a client.
        """
        client_id, action = content["client_id"], content["action"]
        recorded = self.clients.get(client_id)
        if header.chain != CLIENTS_CHAIN:
            return "the entry of a client is not in the chain of clients"
        if action == _CREATED or (action == _ROTATED and recorded is None):
            if recorded is not None:
                return "the client is created twice"
            row = {"kind": content["kind"], "name": content["name"], "created_at": header.recorded_at}
            created = RecordedClient(header, {**row, "revoked_at": None})
            created.add(header, content["credential"])
            self.clients[client_id] = created
            # only if the entry of the creation is missing or has no valid signature
            return None if action == _CREATED else _UNKNOWN
        if recorded is None or recorded.row["revoked_at"] is not None:
            return _UNKNOWN
        if action == _REVOKED:
            recorded.row["revoked_at"] = header.recorded_at
        elif action != _LINKED:
            recorded.expire(content["former_until"])
            recorded.add(header, content["credential"])
        return None


class ClientCheck(SignedContentCheck):
    """Compares the tables of clients, their secrets and their keys with the chain of clients.

    Example: `verify(engine, ledger, [ClientCheck(ring.jwks)])`.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        super().__init__(jwks)
        self._history = ClientHistory()

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:
        """Yield the differences between the tables and the chain of clients."""
        if chain == CLIENTS_CHAIN:
            yield from self._compare_tables(connection)
        self._history = ClientHistory()

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:
        """Yield the faults of the tables if no client is in the ledger."""
        return iter(()) if CLIENTS_CHAIN in chains else self._compare_tables(connection)

    def client(self, header: Header, content: Mapping[str, Any]) -> str | None:
        """Return the fault of the row of a client, or None."""
        return self._history.add(header, content)

    def _compare_tables(self, connection: Connection) -> Iterator[LedgerFault]:
        stored = {row.pop("id"): row for row in stored_rows(connection, clients)}
        secrets = {(row.pop("client_id"), row.pop("name")): row for row in stored_rows(connection, client_secrets)}
        keys = {(row.pop("client_id"), row.pop("thumbprint")): row for row in stored_rows(connection, client_keys)}
        for row in secrets.values():
            row["hash"] = _digest(row["hash"])
        for row in keys.values():
            row["jwk"] = _digest(row["jwk"])
        for client_id, client in self._history.clients.items():
            faults = [*compare_row("the table of clients", client.row, stored.pop(client_id, None), "the client")]
            for name, expected in client.secrets.items():
                found = secrets.pop((client_id, name), None)
                faults += compare_row("the table of client secrets", expected, found, "the secret")
            for name, expected in client.keys.items():
                found = keys.pop((client_id, name), None)
                faults += compare_row("the table of client keys", expected, found, "the key")
            yield from map(client.header.fault, faults)
        for table, rows in (("clients", stored), ("client secrets", secrets), ("client keys", keys)):
            for _ in rows:
                yield LedgerFault(CLIENTS_CHAIN, 0, f"the table of {table} has a row that is not in the ledger")

    methods: ClassVar = {EntryKind.CLIENT: client}
