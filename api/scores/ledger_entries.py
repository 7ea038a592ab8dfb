"""Check of the score index and its receipts against the ledger. A difference means that a table was changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, String, cast, select

from api.errors import SignatureError
from api.ledger import receipts
from api.ledger.chain import EntryKind, LedgerFault
from api.ledger.encryption import DecryptionError
from api.ledger.receipts import attach_payload, verify_strictly
from api.ledger.store import ledger
from api.ledger.verification import CheckedRow, compare_row, stored_rows
from api.scores import envelope
from api.scores.repository import scores


class ScoreIndexCheck:
    """Compares the index with the ledger rows and verifies each receipt with the public keys.

    Example: `verify(engine, ledger, [ScoreIndexCheck(ring.jwks)])`.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._jwks = jwks

    def batch(self, connection: Connection, rows: Sequence[CheckedRow]) -> Iterator[LedgerFault]:
        """Yield the differences between the index and these rows."""
        if not rows:
            return
        first, last = rows[0].row.header, rows[-1].row.header
        between = (scores.c.chain == first.chain) & scores.c.position.between(first.position, last.position)
        index = {entry["position"]: entry for entry in stored_rows(connection, scores, between)}
        for row in rows:
            header = row.row.header
            entry = index.pop(header.position, None)
            if entry is not None or header.kind == EntryKind.SCORE:
                yield from map(header.fault, self._faults(row, entry))

    def rest(self, connection: Connection) -> Iterator[LedgerFault]:
        """Yield the scores in the index that are not in the ledger."""
        same_row = (ledger.c.chain == scores.c.chain) & (ledger.c.position == scores.c.position)
        query = select(cast(scores.c.chain, String), scores.c.position).select_from(scores.outerjoin(ledger, same_row))
        for chain, position in connection.execute(query.where(ledger.c.chain.is_(None))):
            yield LedgerFault(chain, position, "the index has a score that is not in the ledger")

    def _faults(self, row: CheckedRow, entry: Mapping[str, Any] | None) -> Iterator[str]:
        header = row.row.header
        if header.kind != EntryKind.SCORE:
            yield "the index has a score, but the ledger row is not a score"
            return
        expected = {"subject": header.subject, "scored_at": header.recorded_at}
        try:
            content = None if row.content is None else envelope.parse_content(row.content)
            expected |= {} if content is None else _fields(content)
        except (ValueError, KeyError, TypeError):
            yield "the content is not a score"
            return
        yield from compare_row("the index", expected, entry, "the score")
        if entry is None:
            return
        if row.row.is_dropped:
            if entry["receipt"] is not None:
                yield "the content was dropped, but its receipt is still stored"
        elif entry["receipt"] is None:
            yield "the receipt is missing"
        elif content is not None and not self._is_genuine(row, content, entry):
            yield "the receipt was changed"

    def _is_genuine(self, row: CheckedRow, content: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
        try:
            receipt = envelope.open_receipt(row.key or b"", entry["id"], entry["receipt"])
            payload = envelope.signed_payload(content, row.row)
            return verify_strictly(attach_payload(receipt, payload), receipts.RECEIPT, self._jwks) == payload
        except (DecryptionError, SignatureError, ValueError):
            return False


def _fields(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that are in the ledger and in the index."""
    return {"bundle": content["bundle"], "id": content["envelope"]["id"], "purpose": content["envelope"]["purpose"]}
