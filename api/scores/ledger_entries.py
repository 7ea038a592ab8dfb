"""Holds the index of scores, and the receipts in it, against the ledger: what differs was changed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from api.errors import SignatureError
from api.ledger import receipts
from api.ledger.chain import EntryKind, LedgerFault
from api.ledger.encryption import DecryptionError
from api.ledger.receipts import attach_payload, verify_strictly
from api.ledger.store import ledger
from api.ledger.verification import CheckedRow, stored_rows
from api.scores import envelope
from api.scores.repository import scores


class ScoreIndexCheck:
    """The index against the rows of the ledger, and every receipt against the keys that are known.

    Example: `verify(engine, ledger, [IndexCheck(ring.jwks)])`.
    """

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._jwks = jwks

    def batch(self, connection: Connection, looked: Sequence[CheckedRow]) -> Iterator[LedgerFault]:
        """Yield where the index differs from these rows."""
        if not looked:
            return
        first, last = looked[0].row.header, looked[-1].row.header
        place = (scores.c.chain == first.chain) & scores.c.position.between(first.position, last.position)
        index = {each["position"]: each for each in stored_rows(connection, scores, place)}
        for each in looked:
            header = each.row.header
            found = index.pop(header.position, None)
            if found is not None or header.kind == EntryKind.SCORE:
                yield from (LedgerFault(header.chain, header.position, what) for what in self._differing(each, found))

    def rest(self, connection: Connection) -> Iterator[LedgerFault]:
        """Yield what the index holds and the ledger does not."""
        beside = (ledger.c.chain == scores.c.chain) & (ledger.c.position == scores.c.position)
        wanted = select(scores.c.chain, scores.c.position).select_from(scores.outerjoin(ledger, beside))
        for chain, position in connection.execute(wanted.where(ledger.c.chain.is_(None))):
            yield LedgerFault(chain, position, "the index holds a score that the ledger does not")

    def _differing(self, each: CheckedRow, found: Mapping[str, Any] | None) -> Iterator[str]:
        header = each.row.header
        if found is None:
            yield "the index does not hold the score"
            return
        if header.kind != EntryKind.SCORE:
            yield "the index holds a score, but the row is none"
            return
        expected = {"subject": header.subject, "scored_at": header.recorded_at}
        try:
            kept = None if each.content is None else envelope.parse_content(each.content)
            expected |= {} if kept is None else _fields(kept)
        except (ValueError, KeyError, TypeError):
            yield "the content is no score"
            return
        differing = sorted(name for name, value in expected.items() if found[name] != value)
        if differing:
            yield f"the index differs from the ledger in {', '.join(differing)}"
        if each.row.is_dropped:
            if found["receipt"] is not None:
                yield "the receipt of a content that was dropped is still there"
        elif found["receipt"] is None:
            yield "the receipt is missing"
        elif kept is not None and not self._is_genuine(each, kept, found):
            yield "the receipt was changed"

    def _is_genuine(self, each: CheckedRow, kept: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
        try:
            receipt = envelope.open_receipt(each.key or b"", found["id"], found["receipt"])
            payload = envelope.signed_payload(kept, each.row)
            return verify_strictly(attach_payload(receipt, payload), receipts.RECEIPT, self._jwks) == payload
        except (DecryptionError, SignatureError, ValueError):
            return False


def _fields(kept: Mapping[str, Any]) -> dict[str, str]:
    """Return what the ledger tells of a score that the index tells too."""
    return {"bundle": kept["bundle"], "id": kept["envelope"]["id"], "purpose": kept["envelope"]["purpose"]}
