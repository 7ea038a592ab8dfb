"""The clients that authentication accepts and pages name: those that the signed entries of the ledger record.

The tables of clients alone would not do: a person who can write to the database could insert a key, get a token, and
delete the key before the next `ledger verify`. They cannot sign an entry, and they cannot remove one unnoticed while
the service runs.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from api.auth.clients import Client
from api.auth.scopes import ClientKind
from api.auth.signing_keys import PublicKeys
from api.clients.ledger_entries import ClientHistory, RecordedClient
from api.errors import DatabaseUnavailable
from api.ledger.chain import CLIENTS_CHAIN, START, Row, Tip
from api.ledger.encryption import DecryptionError
from api.ledger.signed_entries import signature_fault
from api.ledger.store import cast_columns, ledger, read_content, to_row

logger = logging.getLogger(__name__)

# built once: building a statement takes longer than running it
_ENTRIES: Final = (
    select(*cast_columns(ledger))
    .where(ledger.c.chain == CLIENTS_CHAIN, ledger.c.position >= bindparam("known"))
    .order_by(ledger.c.position)
)


class LedgerClients:
    """Clients and credentials as the chain of clients records them; see `ClientRecords`.

    Each look-up reads the entries since the last one, and the last one itself, to notice if it was removed.

    An entry without a valid signature may have been the revocation of any client, so no earlier client is accepted
    after it. A client is accepted again with a new credential.

    Example: `LedgerClients(ring.jwks).find_active(connection, ["bank-3f9c"])["bank-3f9c"].kind` is `ClientKind.BANK`.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = PublicKeys(jwks)
        self._history = ClientHistory()
        self._tip = Tip(0, START)
        self._lock = threading.Lock()

    def find(self, connection: Connection, client_ids: Collection[str]) -> dict[str, Client]:
        """Return those of the clients that exist, revoked or not.

        It must be the first statement of its transaction, or the transaction must write: an older snapshot would look
        as if entries had been removed.

        Raises:
            DatabaseUnavailable: Entries are missing.
        """
        known = self._tip
        rows = [to_row(values) for values in connection.execute(_ENTRIES, {"known": known.position})]
        with self._lock:
            self._add(known, rows)
            recorded = self._history.clients
            return {each: _to_client(each, recorded[each]) for each in client_ids if each in recorded}

    def find_active(self, connection: Connection, client_ids: Collection[str]) -> dict[str, Client]:
        """Return those of the clients that exist and are not revoked, as `find` does."""
        found = self.find(connection, client_ids)
        return {client.id: client for client in found.values() if client.revoked_at is None}

    def has_credential(self, client_id: str, stored: str, now: datetime) -> bool:
        """Return whether the client has this hash of a secret, or this public key, and it has not expired."""
        with self._lock:
            recorded = self._history.clients.get(client_id)
            return recorded is not None and recorded.accepts(stored, now)

    def _add(self, known: Tip, rows: Sequence[Row]) -> None:
        """Add the rows from a known one on, without those that another thread has added."""
        first = rows[0].tip if rows else Tip(0, START)
        if known.position and first != known:
            raise _damaged(known.position)
        for row in rows:
            position = row.header.position
            if position <= self._tip.position:
                continue
            if position != self._tip.position + 1:
                raise _damaged(self._tip.position + 1)
            self._add_entry(row)
            self._tip = row.tip

    def _add_entry(self, row: Row) -> None:
        header = row.header
        try:
            content = read_content(row, None)
            fault = signature_fault(self._keys, header, content)
            if fault is None:
                # an entry that the service signed contradicts earlier ones only if those are invalid
                self._history.add(header, json.loads(content))
                return
        except (DecryptionError, KeyError, TypeError):
            fault = "the content is not a valid client"
        logger.error(
            "clients, row %d: %s. No client is accepted with an earlier credential. Restore the keys and the database "
            "from a backup, or rotate the credential of every client.",
            header.position,
            fault,
        )
        self._history = ClientHistory()


def _to_client(client_id: str, recorded: RecordedClient) -> Client:
    row = recorded.row
    created_at, revoked_at = datetime.fromisoformat(row["created_at"]), row["revoked_at"]
    revoked = None if revoked_at is None else datetime.fromisoformat(revoked_at)
    return Client(client_id, ClientKind(row["kind"]), row["name"], created_at, revoked)


def _damaged(position: int) -> DatabaseUnavailable:
    logger.error(
        "clients, row %d: the row was changed or is missing, so no client is accepted. Restore the database from a "
        "backup. Or start the service again, which accepts the clients of the remaining rows.",
        position,
    )
    return DatabaseUnavailable("The list of clients is damaged. Report this to the operator.")
