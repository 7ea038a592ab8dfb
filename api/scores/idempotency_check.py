"""Check of the table of idempotency keys against the scores of the ledger, whose contents record their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, String, cast, func, select

from api.kit.fields import format_timestamp
from api.kit.idempotency import idempotency_keys
from api.ledger.chain import CLOCK_TOLERANCE, DIGEST_BYTES, EntryKind, LedgerFault
from api.ledger.checks import CheckedRow, Page
from api.ledger.encryption import seller_keys
from api.ledger.store import ledger
from api.ledger.table_checks import compare_row, stored_rows
from api.scores.repository import scores

_TABLE: Final = "the table of idempotency keys"
_NOT_IN_LEDGER: Final = f"{_TABLE} has a key that is not in the ledger"
_USED_TWICE: Final = "the idempotency key of the score was already used by an earlier score, and had not expired"

_keys = idempotency_keys.c
# of each key, the position of its score, if the bank of the key has it and its content can be read
_POSITIONS = select(
    cast(_keys.name, String),
    cast(scores.c.position, BigInteger),
    seller_keys.c.subject.is_not(None) & (func.length(ledger.c.sealed) > DIGEST_BYTES),
).select_from(
    idempotency_keys.outerjoin(scores, (scores.c.id == _keys.resource_id) & (scores.c.chain == _keys.owner))
    .outerjoin(ledger, (ledger.c.chain == scores.c.chain) & (ledger.c.position == scores.c.position))
    .outerjoin(seller_keys, seller_keys.c.subject == ledger.c.subject)
)


class IdempotencyKeyCheck:
    """Compares each key in the table with the score that records it, and each unexpired key of a score with the table.

    The key of a score whose content cannot be read, because its seller was erased or its retention period has ended,
    must only refer to that score.

    Expired keys may be missing: the service deletes them, or uses them again. A score that uses a key before it has
    expired for an earlier score is a fault, also after both have expired.

    Example: `verify(engine, ledger, [IdempotencyKeyCheck()])`.
    """

    def __init__(self) -> None:
        self._confirmed: set[str] = set()
        self._expiry: dict[str, str] = {}
        self._trusted: int | None = None

    def remember(self, rows: Sequence[CheckedRow]) -> None:
        """Ignore earlier rows: none of them is a score."""

    def page(self, connection: Connection, page: Page) -> Iterator[LedgerFault]:
        """Yield the differences between the keys of these scores and the table."""
        if self._trusted is None:
            self._trusted = page.after or 0
        recorded = [(row, expected) for row in page.rows if (expected := _recorded(row)) is not None]
        if not recorded:
            return
        # keys also expire while the check runs, and the clock of a service may be ahead
        now = format_timestamp(datetime.now(UTC) + CLOCK_TOLERANCE)
        names = [expected["name"] for _, expected in recorded]
        stored = {key["name"]: key for key in stored_rows(connection, idempotency_keys, _keys.name.in_(names))}
        for row, expected in recorded:
            if row.row.header.recorded_at < self._expiry.get(expected["name"], ""):
                yield row.row.header.fault(_USED_TWICE)
            self._expiry[expected["name"]] = expected["expires_at"]
            key = stored.get(expected["name"])
            is_same = key is not None and key["resource_id"] == expected["resource_id"]
            if is_same:
                self._confirmed.add(expected["name"])
            if is_same or expected["expires_at"] > now:
                yield from map(row.row.header.fault, compare_row(_TABLE, expected, key, "the idempotency key"))

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:
        """Yield the keys of the bank that no score confirms."""
        confirmed, self._confirmed, self._expiry = self._confirmed, set(), {}
        trusted, self._trusted = self._trusted or 0, None
        for name, position, is_readable in connection.execute(_POSITIONS.where(_keys.owner == chain)):
            if name in confirmed or (position is not None and (position <= trusted or not is_readable)):
                continue
            yield LedgerFault(chain, position or 0, _NOT_IN_LEDGER)

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:
        """Yield the banks in the table that have no chain."""
        for owner in connection.execute(select(cast(_keys.owner, String)).distinct()).scalars():
            if owner not in chains:
                yield LedgerFault(owner, 0, _NOT_IN_LEDGER)


def _recorded(row: CheckedRow) -> dict[str, Any] | None:
    """Return the expected row of the table; None if the request had no key, or the content cannot be read."""
    header = row.row.header
    if row.content is None or header.kind != EntryKind.SCORE:
        return None
    try:
        if "idempotency_key" not in row.parts:
            return None
        key, score_id = row.fields["idempotency_key"], row.fields["envelope"]["id"]
        return {name: str(key[name]) for name in ("name", "operation", "request", "expires_at")} | {
            "owner": header.chain,
            "resource_id": score_id,
        }
    except (ValueError, KeyError, TypeError):
        return None  # `ScoreIndexCheck` reports it
