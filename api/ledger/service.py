"""Appending to the ledger, opening what it holds, and erasing a seller. Each within the caller's transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from api.database import transaction
from api.errors import LedgerKeyError
from api.ledger import chain as chains
from api.ledger import repository
from api.ledger.chain import ERASURE, PLAIN, RETENTION, Header, Row, Tip
from api.ledger.repository import Due, SellerKey
from api.ledger.sealing import SealBrokenError, master_key, new_key, opened, seal
from scoring.canonical import canonical_json

MASTER: Final = "ledger-master"
"""The name of the file of the master key, in the folder of keys."""

_SUBJECT_BYTES: Final = 16
_NOBODY: Final = ""
"""The subject of a record that speaks of no one seller."""

_DROPPED_AT_ONCE: Final = 500
"""Rows of twenty kilobytes each, for which those who append to the chain wait."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be appended: canonical JSON, to a chain, of a kind, at a moment."""

    chain: str
    kind: str
    content: bytes
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Seller:
    """A seller as the ledger knows them: a pseudonym, and the key of all that is sealed about them."""

    subject: str
    key: bytes


@dataclass(frozen=True)
class Ledger:
    """The ledger under one master key.

    Example:
        >>> with transaction(engine, writes=True) as connection:  # doctest: +SKIP
        ...     seller = ledger.seller(connection, "S-1")
        ...     row = ledger.append(connection, seller, Draft("bank-1", "score", content, now))
    """

    master: bytes

    @classmethod
    def open(cls, folder: Path, engine: Engine) -> Ledger:
        """Read the master key, making it where the ledger is empty, and prove that it opens what is there.

        Raises:
            LedgerKeyError: the key is missing although the ledger holds sellers, is another, or no secret.
            DatabaseUnavailable: the database does not answer.
        """
        path = folder / MASTER
        with transaction(engine) as connection:
            known = repository.some_seller_keys(connection)
        if known and not path.exists():
            raise LedgerKeyError(f"The key of the ledger {path} is missing; put it back from a backup.")
        found = cls(master_key(path))
        # one that was damaged is for `ledger verify` to tell
        if known and not any(map(found._opens, known)):
            raise LedgerKeyError(f"The key {path} is of another ledger; put the right one back.")
        return found

    def _opens(self, known: SellerKey) -> bool:
        try:
            self.unwrapped(known)
        except SealBrokenError:
            return False
        return True

    def seller(self, connection: Connection, seller_id: str) -> Seller:
        """Return the seller's pseudonym and key, making them at the seller's first row.

        Taken before any chain: in this order an erasure and those who append never wait for one another in a ring.
        """
        known = repository.seller_key(connection, seller_id)
        if known is None:
            subject = secrets.token_hex(_SUBJECT_BYTES)
            wrapped = seal(self.master, new_key(), seller_bound(seller_id, subject))
            known = repository.begin_seller(connection, SellerKey(seller_id, subject, wrapped))
        return Seller(known.subject, self.unwrapped(known))

    def sellers(self, connection: Connection, seller_ids: Sequence[str]) -> dict[str, Seller]:
        """Return those of these sellers who have rows, and hold their keys as `seller` does, making none."""
        known = repository.seller_keys_of(connection, seller_ids)
        return {each.seller_id: Seller(each.subject, self.unwrapped(each)) for each in known}

    def unwrapped(self, known: SellerKey) -> bytes:
        """Return a seller's key.

        Raises:
            SealBrokenError: it was changed, or wrapped by another master key.
        """
        return opened(self.master, known.wrapped, seller_bound(known.seller_id, known.subject))

    def hold(self, connection: Connection, chain: str) -> Tip:
        """Return where a chain stands, and let others who append to it wait until the transaction ends.

        What is read from then on is as of this place in the chain: what stands before was committed before.
        """
        return repository.locked_tip(connection, chain)

    def append(self, connection: Connection, seller: Seller, draft: Draft, tip: Tip | None = None) -> Row:
        """Append a content about a seller; others who append to the same chain wait until the transaction ends.

        Args:
            connection: of a transaction that writes.
            seller: as `seller` gave them, before any chain.
            draft: what to append.
            tip: where the chain stands, from who holds it already.
        """
        row = drafted(seller, draft, repository.locked_tip(connection, draft.chain) if tip is None else tip)
        repository.append(connection, [row])
        return row

    def erase(self, connection: Connection, seller_id: str, reason: str, now: datetime) -> Mapping[str, list[int]]:
        """Destroy a seller's key and record it in every chain that holds rows about them.

        Returns the positions that can be read no more, by chain; empty where the seller has no rows.
        """
        known = repository.seller_key(connection, seller_id, to_erase=True)
        if known is None:
            return {}
        positions = repository.positions_of(connection, known.subject)
        repository.destroy_key(connection, seller_id)
        # in order of name, as two erasures at once would wait for one another in any other
        for chain, erased in positions.items():
            content = canonical_json({"positions": erased, "reason": reason})
            _record(connection, known.subject, Draft(chain, ERASURE, content, now))
        return positions

    def drop(self, connection: Connection, chain: str, due: Due, after: int, now: datetime) -> list[int]:
        """Drop some of the contents of a chain that have been kept long enough, and record which.

        Returns the positions, at most some hundreds behind `after`; empty where none is due.
        """
        # who appends meanwhile waits, so that the record follows what it speaks of
        repository.locked_tip(connection, chain)
        rows = repository.past(connection, chain, due, after, _DROPPED_AT_ONCE)
        if not rows:
            return []
        repository.drop(connection, rows)
        positions = [row.header.position for row in rows]
        content = canonical_json({"before": chains.written(due.before), "positions": ranges(positions)})
        _record(connection, _NOBODY, Draft(chain, RETENTION, content, now))
        return positions


def ranges(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return rising positions as ranges of the first and the last.

    Example:
        >>> ranges([1, 2, 3, 7])
        [(1, 3), (7, 7)]
    """
    found: list[tuple[int, int]] = []
    for each in positions:
        first = found.pop()[0] if found and found[-1][1] == each - 1 else each
        found.append((first, each))
    return found


def content_of(row: Row, key: bytes | None, *, committed: bool = True) -> bytes:
    """Return a row's content, opened by the seller's key.

    Args:
        row: as stored.
        key: of the seller; a record needs none.
        committed: also refuse a content that its commitment does not hold for.

    Raises:
        SealBrokenError: the content was changed or moved, or the key is another.
    """
    both = row.sealed if row.header.kind in PLAIN else opened(key or b"", row.sealed, row.header.bound)
    if committed and chains.commit(both) != row.commitment:
        raise SealBrokenError
    return both[chains.SALT_BYTES :]


def drafted(seller: Seller, draft: Draft, tip: Tip) -> Row:
    """Return the row of a content about a seller, behind the last one of its chain; nothing is stored."""
    return _row(draft, tip, seller.subject, seller.key)


def _record(connection: Connection, subject: str, draft: Draft) -> None:
    """Append what anyone may read."""
    repository.append(connection, [_row(draft, repository.locked_tip(connection, draft.chain), subject, None)])


def _row(draft: Draft, tip: Tip, subject: str, key: bytes | None) -> Row:
    both = chains.salted(draft.content)
    commitment = chains.commit(both)
    header = Header(draft.chain, tip.position + 1, draft.kind, chains.written(draft.recorded_at), subject)
    sealed = both if key is None else seal(key, both, header.bound)
    return Row(header, commitment, sealed, chains.head(tip.head, header, commitment, sealed))


def seller_bound(seller_id: str, subject: str) -> bytes:
    """Return what the wrapping of a seller's key is bound to, so that no key passes for another seller's."""
    return canonical_json(["seller key", seller_id, subject])
