"""Hash chains of the ledger, without a database: commitments, heads, entry kinds, and verification of a chain.

A row commits to its content by `SHA-256(salt ‖ content)`, so that the commitment reveals nothing once the content is
deleted. Its head is `SHA-256(previous head ‖ canonical JSON of the public fields of the row)`, so that no earlier row
can be changed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from scoring.canonical import canonical_json

START: Final = bytes(32)
"""The head before the first row."""

SALT_BYTES: Final = 32

SELF_CHAIN: Final = "self"
"""The chain of all self views, and of reviews. It stands for a bank there; no client ID has this form."""

CLIENTS_CHAIN: Final = "clients"
"""The chain of all changes of clients. No client ID has this form."""

CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""How much earlier than the previous row a row may be: the clocks of several hosts differ a little."""

DIGEST_BYTES: Final = 32
"""Length of a digest. An encrypted content is always longer, because its nonce, salt and tag alone are."""


class EntryKind(StrEnum):
    """Kinds of ledger rows, as stored."""

    SCORE = "score"
    CONSENT = "consent"
    REVOCATION = "revocation"
    REVIEW = "review"
    """A review was opened, or assigned to an operator."""
    DECISION = "decision"
    """The decision on a review and its reason."""
    VIEW = "view"
    """A bank viewed the profile of a seller."""
    ERASURE = "erasure"
    """A seller was erased, so their rows can no longer be read. Not encrypted, but signed."""
    RETENTION = "retention"
    """Contents were deleted at the end of their retention period. Not encrypted, but signed."""
    PRODUCTS = "products"
    """A bank replaced its products. Not encrypted, but signed."""
    CLIENT = "client"
    """A client was created, got a new credential, or was revoked. Not encrypted, but signed."""


REMOVALS: Final = frozenset({EntryKind.ERASURE, EntryKind.RETENTION})
"""The kinds that record contents which can no longer be read."""

PLAIN: Final = REMOVALS | {EntryKind.PRODUCTS, EntryKind.CLIENT}
"""The kinds whose contents are not encrypted, but signed."""

EXPIRING: Final = frozenset({EntryKind.SCORE})
"""The kinds whose contents are deleted after the retention period. Other contents are kept."""

NO_SELLER: Final = ""
"""The subject of a row that is about no particular seller."""


@dataclass(frozen=True, slots=True)
class LedgerFault:
    """A fault and the row that has it."""

    chain: str
    position: int
    what: str


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a row that need no key. `subject` is the pseudonym of a seller."""

    chain: str
    position: int
    kind: str
    recorded_at: str
    subject: str

    @property
    def bound(self) -> bytes:
        """The associated data of the encryption: a content that was moved to another row cannot be decrypted."""
        return canonical_json([self.chain, self.position, self.kind, self.recorded_at, self.subject])

    def fault(self, what: str) -> LedgerFault:
        """Return a fault of the row."""
        return LedgerFault(self.chain, self.position, what)


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `sealed` is the salt and the content, encrypted unless the kind is plain.

    If the content was dropped, `sealed` is the SHA-256 of its former value, which is all that the head depends on.
    """

    header: Header
    commitment: bytes
    sealed: bytes
    head: bytes

    @property
    def is_dropped(self) -> bool:
        """Whether the content was dropped. A retention row must record that."""
        return _is_digest(self.header, self.sealed)

    @property
    def tip(self) -> Tip:
        """The tip of the chain if this is its last row."""
        return Tip(self.header.position, self.head, self.header.recorded_at)


@dataclass(frozen=True, slots=True)
class Tip:
    """The position and head of the last row of a chain, and its time, if known. `Tip(0, START)` has no rows."""

    position: int
    head: bytes
    recorded_at: str = field(default="", compare=False)


def is_earlier(recorded_at: datetime, previous: str) -> bool:
    """Return whether a time is earlier than the time of the previous row of its chain, beyond the tolerance."""
    return bool(previous) and recorded_at < datetime.fromisoformat(previous) - CLOCK_TOLERANCE


def salted(content: bytes) -> bytes:
    """Return a content behind a new salt."""
    return secrets.token_bytes(SALT_BYTES) + content


def commit(salt_and_content: bytes) -> bytes:
    """Return the commitment to a salted content."""
    return hashlib.sha256(salt_and_content).digest()


def digest_of(header: Header, sealed: bytes) -> bytes:
    """Return the digest of the sealed content. A row whose content was dropped holds this digest instead."""
    return sealed if _is_digest(header, sealed) else hashlib.sha256(sealed).digest()


def _is_digest(header: Header, sealed: bytes) -> bool:
    return header.kind not in PLAIN and len(sealed) == DIGEST_BYTES


def head(before: bytes, header: Header, commitment: bytes, sealed: bytes) -> bytes:
    """Return the head of a row that follows the head `before`.

    It includes the digest of the sealed content. Changed cipher text is therefore detected even if its key was
    destroyed, and a content can be dropped if its digest remains.
    """
    public = {
        "chain": header.chain,
        "commitment": commitment.hex(),
        "kind": header.kind,
        "position": header.position,
        "recorded_at": header.recorded_at,
        "sealed": digest_of(header, sealed).hex(),
        "subject": header.subject,
    }
    return hashlib.sha256(before + canonical_json(public)).digest()


class ChainCheck:
    """Checks the rows of one chain in order of position. A changed head also makes the next row a fault.

    Example: `[fault for row in rows for fault in check.check(row)]`, then `check.end(tip)`.

    Args:
        chain: Name of the chain.
        first: The position of the first row. The row before a later first row is not known, so its link is not checked.
    """

    def __init__(self, chain: str, first: int = 1) -> None:
        self._chain = chain
        self._next = first
        self._before: bytes | None = START if first == 1 else None
        self._time = ""

    def check(self, row: Row) -> Iterator[LedgerFault]:
        """Yield the faults of the next row."""
        position = row.header.position
        if position < self._next:
            yield row.header.fault("the position is not one that the chain has")
            return
        if position > self._next:
            yield self._missing(position - 1)
            self._before = None
        self._next = position + 1
        if self._before is not None and row.head != head(self._before, row.header, row.commitment, row.sealed):
            yield row.header.fault("the row does not follow from the previous row: it was changed or moved")
        self._before = row.head
        try:
            if is_earlier(datetime.fromisoformat(row.header.recorded_at), self._time):
                yield row.header.fault("the time is earlier than that of the previous row")
        except ValueError:
            return  # a damaged time no longer fits the head, which is a fault already
        self._time = row.header.recorded_at

    def end(self, tip: Tip) -> Iterator[LedgerFault]:
        """Yield the faults between the last row and the tip of the chain."""
        if tip.position >= self._next:
            yield self._missing(tip.position)
        elif tip.position < self._next - 1:
            yield LedgerFault(
                self._chain, tip.position + 1, "the row is after the end of its chain: it was added from outside"
            )
        elif self._before is not None and tip.head != self._before:
            yield LedgerFault(self._chain, tip.position, "the head of the last row is not the head of its chain")
        elif tip.recorded_at != self._time:
            # with a time in the future, the service would append no row
            yield LedgerFault(self._chain, tip.position, "the time of the last row is not the time of its chain")

    def _missing(self, last: int) -> LedgerFault:
        what = "the row is missing" if last == self._next else f"the rows from here to {last} are missing"
        return LedgerFault(self._chain, self._next, what)
