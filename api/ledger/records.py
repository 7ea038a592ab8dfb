"""The ledger rows of erasures and retention, which record the contents that can no longer be read.

They are signed: otherwise a person who can write to the database could remove contents and append a row that explains
it. A signed row is valid at its position only, for the seller whom it names.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update

from api.auth.signing_keys import KeyRing, PublicKeys
from api.kit.database import write_rows
from api.kit.fields import format_timestamp
from api.ledger.chain import DIGEST_BYTES, EXPIRING, REMOVALS, EntryKind, Header, digest_of
from api.ledger.encryption import DecryptionError, destroy_key, seller_key
from api.ledger.signed_entries import append_signed, signature_fault
from api.ledger.store import EntryDraft, cast_columns, ledger, lock_chain, read_content, to_row
from scoring.canonical import canonical_json

_DROP_LIMIT: Final = 500
"""Rows dropped in one transaction, during which the other writers of the chain wait. A row has about 20 kB."""

_DROP = (
    update(ledger)
    .where(ledger.c.chain == bindparam("of"), ledger.c.position == bindparam("at"))
    .values(sealed=bindparam("digest"))
)


def erase_subject(
    connection: Connection, ring: KeyRing, seller_id: str, reason: str, now: datetime
) -> Mapping[str, list[int]]:
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
        append_signed(connection, ring, EntryDraft(chain, EntryKind.ERASURE, content, now), key.subject)
    return positions


def _is_due(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions for rows whose content is still stored and was recorded before a time."""
    stored = func.length(ledger.c.sealed) > DIGEST_BYTES
    return stored, ledger.c.kind.in_(EXPIRING), ledger.c.recorded_at < format_timestamp(before)


def count_past_retention(connection: Connection, before: datetime) -> dict[str, int]:
    """Return the number of contents recorded before a time by chain, in order of name."""
    query = select(ledger.c.chain, func.count()).where(*_is_due(before)).group_by(ledger.c.chain)
    return {str(chain): int(rows) for chain, rows in connection.execute(query.order_by(ledger.c.chain))}


def drop_contents(
    connection: Connection, ring: KeyRing, chain: str, *, before: datetime, after: int, now: datetime
) -> list[int]:
    """Replace the next contents of a chain that were recorded before a time by their digests; record their positions.

    Return the positions, at most 500 after the position `after`; empty if no content is due.
    """
    # the lock makes sure that the record follows the rows that it lists
    lock_chain(connection, chain)
    query = select(ledger).where(ledger.c.chain == chain, ledger.c.position > after, *_is_due(before))
    rows = [to_row(row) for row in connection.execute(query.order_by(ledger.c.position).limit(_DROP_LIMIT))]
    if not rows:
        return []
    digests = [{"of": chain, "at": row.header.position, "digest": digest_of(row.header, row.sealed)} for row in rows]
    write_rows(connection, _DROP, digests, rows=len(digests))
    positions = [row.header.position for row in rows]
    content = canonical_json({"before": format_timestamp(before), "positions": to_ranges(positions)})
    append_signed(connection, ring, EntryDraft(chain, EntryKind.RETENTION, content, now))
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


class DroppedRange(NamedTuple):
    """Positions that a retention lists, and the time before which their rows were recorded."""

    first: int
    last: int
    before: str


def parse_erasure(header: Header, content: bytes) -> list[int]:
    """Return the positions that an erasure lists.

    Raises:
        ValueError: The content is not of an erasure, or lists other rows than earlier ones.
    """
    try:
        positions = [int(position) for position in json.loads(content)["positions"]]
    except (KeyError, TypeError) as error:
        raise ValueError from error
    if not all(1 <= position < header.position for position in positions):
        raise ValueError
    return positions


def parse_retention(header: Header, content: bytes) -> list[DroppedRange]:
    """Return the positions that a retention lists.

    Raises:
        ValueError: The content is not of a retention, or lists other rows than earlier ones.
    """
    try:
        fields = json.loads(content)
        before = str(fields["before"])
        ranges = [DroppedRange(int(first), int(last), before) for first, last in fields["positions"]]
    except (KeyError, TypeError) as error:
        raise ValueError from error
    if before > header.recorded_at or not all(1 <= each.first <= each.last < header.position for each in ranges):
        raise ValueError
    return ranges


@dataclass(frozen=True)
class RemovalRecords:
    """What the valid erasures and retentions of a chain list.

    Attributes:
        keys: The trusted keys of their signatures.
        erased_positions: The erased positions by the pseudonym of the seller.
        dropped_ranges: The dropped positions in ascending order. A content can be dropped only once.
    """

    keys: PublicKeys
    erased_positions: Mapping[str, frozenset[int]]
    dropped_ranges: Sequence[DroppedRange]

    def erased(self, header: Header) -> bool:
        """Return whether an erasure of its seller lists the row."""
        return header.position in self.erased_positions.get(header.subject, ())

    def dropped(self, header: Header) -> bool:
        """Return whether a retention lists the row, and the row is of a kind and a time that can have been due."""
        index = bisect_right(self.dropped_ranges, header.position, key=lambda each: each.first) - 1
        if index < 0 or header.kind not in EXPIRING:
            return False
        dropped = self.dropped_ranges[index]
        return header.position <= dropped.last and header.recorded_at < dropped.before


def removal_fault(keys: PublicKeys, header: Header, content: bytes) -> str | None:
    """Return the fault of an erasure or a retention, or None."""
    if (fault := signature_fault(keys, header, content)) is not None:
        return fault
    try:
        (parse_erasure if header.kind == EntryKind.ERASURE else parse_retention)(header, content)
    except ValueError:
        return f"the content is not a valid {header.kind}"
    return None


def read_removals(connection: Connection, chain: str, keys: PublicKeys) -> RemovalRecords:
    """Return the valid erasures and retentions of a chain. Invalid ones are reported when their rows are verified."""
    erased: dict[str, set[int]] = {}
    dropped: list[DroppedRange] = []
    query = select(*cast_columns(ledger)).where(ledger.c.chain == chain, ledger.c.kind.in_(REMOVALS))
    for row in map(to_row, connection.execute(query)):
        header = row.header
        try:
            content = read_content(row, None)
        except DecryptionError:
            continue
        if removal_fault(keys, header, content) is not None:
            continue
        if header.kind == EntryKind.ERASURE:
            erased.setdefault(header.subject, set()).update(parse_erasure(header, content))
        else:
            dropped += parse_retention(header, content)
    return RemovalRecords(keys, {subject: frozenset(found) for subject, found in erased.items()}, sorted(dropped))
