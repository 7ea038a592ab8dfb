"""The ledger rows of erasures and retention, which record the contents that can no longer be read."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update

from api.kit.fields import format_timestamp
from api.ledger.chain import DIGEST_BYTES, NO_SELLER, PLAIN, REMOVALS, EntryKind, Header, digest_of
from api.ledger.encryption import DecryptionError, destroy_key, seller_key
from api.ledger.store import EntryDraft, append_plain, cast_columns, ledger, lock_chain, read_content, to_row
from scoring.canonical import canonical_json

_DROP_LIMIT: Final = 500
"""Rows dropped in one transaction, during which the other writers of the chain wait. A row has about 20 kB."""

_DROP = (
    update(ledger)
    .where(ledger.c.chain == bindparam("of"), ledger.c.position == bindparam("at"))
    .values(sealed=bindparam("digest"))
)


@dataclass(frozen=True, slots=True)
class RetentionCutoff:
    """The contents whose retention period has ended: rows of these kinds, recorded before a time."""

    kinds: frozenset[str]
    before: datetime

    @property
    def condition(self) -> tuple[ColumnElement[bool], ...]:
        """The SQL conditions for rows whose content is still stored and due."""
        stored = func.length(ledger.c.sealed) > DIGEST_BYTES
        return stored, ledger.c.kind.in_(self.kinds), ledger.c.recorded_at < format_timestamp(self.before)


def erase_subject(connection: Connection, seller_id: str, reason: str, now: datetime) -> Mapping[str, list[int]]:
    """Destroy the key of a seller, and record it in every chain that has rows about them.

    Return the positions that can no longer be read, by chain; empty if the seller has no rows.
    """
    key = seller_key(connection, seller_id, to_erase=True)
    if key is None:
        return {}
    positions: dict[str, list[int]] = {}
    query = select(ledger.c.chain, ledger.c.position).where(ledger.c.subject == key.subject)
    for chain, position in connection.execute(query.order_by(ledger.c.chain, ledger.c.position)):
        positions.setdefault(chain, []).append(position)
    destroy_key(connection, seller_id)
    # in order of name, so that two concurrent erasures cannot deadlock
    positions = dict(sorted(positions.items()))
    for chain, erased in positions.items():
        content = canonical_json({"positions": erased, "reason": reason})
        append_plain(connection, key.subject, EntryDraft(chain, EntryKind.ERASURE, content, now))
    return positions


def count_past_retention(connection: Connection, cutoff: RetentionCutoff) -> dict[str, int]:
    """Return the number of due contents by chain, in order of name."""
    query = select(ledger.c.chain, func.count()).where(*cutoff.condition).group_by(ledger.c.chain)
    return {str(chain): int(rows) for chain, rows in connection.execute(query.order_by(ledger.c.chain))}


def drop_contents(connection: Connection, chain: str, cutoff: RetentionCutoff, after: int, now: datetime) -> list[int]:
    """Replace the next due contents of a chain by their digests, and record their positions.

    Return the positions, at most 500 after the position `after`; empty if no content is due.
    """
    # the lock makes sure that the record follows the rows that it lists
    lock_chain(connection, chain)
    query = select(ledger).where(ledger.c.chain == chain, ledger.c.position > after, *cutoff.condition)
    rows = [to_row(row) for row in connection.execute(query.order_by(ledger.c.position).limit(_DROP_LIMIT))]
    if not rows:
        return []
    digests = [{"of": chain, "at": row.header.position, "digest": digest_of(row.header, row.sealed)} for row in rows]
    connection.execute(_DROP, digests)
    positions = [row.header.position for row in rows]
    content = canonical_json({"before": format_timestamp(cutoff.before), "positions": to_ranges(positions)})
    append_plain(connection, NO_SELLER, EntryDraft(chain, EntryKind.RETENTION, content, now))
    return positions


def to_ranges(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return ascending positions as ranges of the first and the last.

    Example:
        >>> to_ranges([1, 2, 3, 7])
        [(1, 3), (7, 7)]
    """
    found: list[tuple[int, int]] = []
    for position in positions:
        first = found.pop()[0] if found and found[-1][1] == position - 1 else position
        found.append((first, position))
    return found


class Positions:
    """A set of positions, given as ranges in order of their first position; they may be long and may overlap.

    Example: `7 in Positions([(1, 3), (7, 9)])`.
    """

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._firsts = [first for first, _ in ranges]
        self._farthest = list(accumulate((last for _, last in ranges), max))

    def __contains__(self, position: int) -> bool:
        """Return whether a range contains the position."""
        before = bisect_right(self._firsts, position)
        return before > 0 and self._farthest[before - 1] >= position

    def __eq__(self, other: object) -> bool:
        """Return whether both were built from the same ranges."""
        return isinstance(other, Positions) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class RemovalRecords:
    """The positions of a chain that erasures and retentions list, by kind and subject of the record."""

    _positions: Mapping[tuple[str, str], Positions]

    def erased(self, header: Header) -> bool:
        """Return whether an erasure of its seller lists the row."""
        return header.position in self._positions.get((EntryKind.ERASURE, header.subject), ())

    def dropped(self, header: Header) -> bool:
        """Return whether a retention lists the row. The records themselves are never dropped."""
        listed = self._positions.get((EntryKind.RETENTION, NO_SELLER), ())
        return header.kind not in PLAIN and header.position in listed


def read_removals(connection: Connection, chain: str) -> RemovalRecords:
    """Return all valid records of a chain. Invalid ones are reported when their rows are verified."""
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    query = select(*cast_columns(ledger)).where(ledger.c.chain == chain, ledger.c.kind.in_(REMOVALS))
    for row in map(to_row, connection.execute(query)):
        header = row.header
        with suppress(DecryptionError):
            listed = listed_ranges(header, read_content(row, None)) or ()
            ranges.setdefault((header.kind, header.subject), []).extend(listed)
    return RemovalRecords({key: Positions(sorted(listed)) for key, listed in ranges.items()})


def listed_ranges(header: Header, content: bytes) -> list[tuple[int, int]] | None:
    """Return the positions that a record lists, as ranges of the first and the last; None if it is not valid.

    An erasure lists single positions, a retention lists ranges of rows before itself.
    """
    try:
        positions = json.loads(content)["positions"]
        if header.kind == EntryKind.ERASURE:
            return [(int(position), int(position)) for position in positions]
        ranges = [(int(first), int(last)) for first, last in positions]
    except (ValueError, KeyError, TypeError):
        return None
    return ranges if all(1 <= first <= last < header.position for first, last in ranges) else None
