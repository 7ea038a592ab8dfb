"""The mathematics of a chain of rows, with no database: commitments, heads, and what is wrong with a sequence.

A row commits to its content by `SHA-256(salt ‖ content)`, so that the commitment tells nothing once the content is
gone.
Its head is `SHA-256(head before ‖ canonical JSON of what is public of the row)`, so that no row before it can change.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from scoring.canonical import canonical_json

START: Final = bytes(32)
"""What stands for the head before the first row."""


SALT_BYTES: Final = 32


ERASURE: Final = "erasure"
"""The kind of a row that records that a seller's rows can be read no more; its own content is not encrypted."""


RETENTION: Final = "retention"
"""The kind of a row that records whose contents were dropped since they had been kept long enough; not encrypted."""


PLAIN: Final = frozenset({ERASURE, RETENTION})


_DIGEST_BYTES: Final = 32
"""A sealed content is longer: nonce, salt and tag alone are."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is seen of a row without a key; `subject` is the pseudonym of a seller, `recorded_at` as `written`."""

    chain: str
    position: int
    kind: str
    recorded_at: str
    subject: str

    @property
    def bound(self) -> bytes:
        """What the encryption of the content is bound to, so that a content moved to another row opens no more."""
        return canonical_json([self.chain, self.position, self.kind, self.recorded_at, self.subject])


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `sealed` is salt and content, encrypted unless the kind is plain.

    Of a content that was dropped `sealed` is the SHA-256 of what it was, which is all that the head takes of it.
    """

    header: Header
    commitment: bytes
    sealed: bytes
    head: bytes

    @property
    def is_dropped(self) -> bool:
        """Whether the content is here no more; that it may be so, a record must say."""
        return _is_digest(self.header, self.sealed)

    @property
    def tip(self) -> Tip:
        """Where the chain stands once this is its last row."""
        return Tip(self.header.position, self.head)


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a chain stands: the position and head of its last row.

    Example: `Tip(0, START)` is a chain without rows.
    """

    position: int
    head: bytes


@dataclass(frozen=True, slots=True)
class LedgerFault:
    """What is wrong, and at which row of which chain."""

    chain: str
    position: int
    what: str


def format_timestamp(moment: datetime) -> str:
    """Return a moment as rows hold it.

    Example:
        >>> written(datetime(2026, 2, 1, 9, 30, tzinfo=UTC))
        '2026-02-01T09:30:00.000000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def salted(content: bytes) -> bytes:
    """Return a content behind a fresh salt, as it is committed to and sealed."""
    return secrets.token_bytes(SALT_BYTES) + content


def commit(salt_and_content: bytes) -> bytes:
    """Return the commitment to a content behind its salt."""
    return hashlib.sha256(salt_and_content).digest()


def digest_of(header: Header, sealed: bytes) -> bytes:
    """Return the digest of what is sealed, which a row whose content was dropped holds in its place."""
    return sealed if _is_digest(header, sealed) else hashlib.sha256(sealed).digest()


def _is_digest(header: Header, sealed: bytes) -> bool:
    return header.kind not in PLAIN and len(sealed) == _DIGEST_BYTES


def head(before: bytes, header: Header, commitment: bytes, sealed: bytes) -> bytes:
    """Return the head of a row after another.

    The digest of what is sealed is part of it, so that an altered cipher text is found where its key is destroyed, and
    that a content can be dropped and leave its digest.
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
    """Looks at the rows of one chain in order of position, and says what is wrong with each.

    Example: `[fault for row in rows for fault in check.look(row)]`, then `check.end(tip)`.
    """

    def __init__(self, chain: str) -> None:
        self._chain = chain
        self._next = 1
        # after a damaged row either its stored or its computed head is what the next one was made with
        self._before: tuple[bytes, ...] = (START,)

    def look(self, row: Row) -> Iterator[LedgerFault]:
        """Yield what is wrong with the next row."""
        position = row.header.position
        if position < self._next:
            yield LedgerFault(self._chain, position, "a row at a position that the chain does not have")
            return
        if position > self._next:
            yield self._missing(position - 1)
            self._before = ()
        self._next = position + 1
        computed = [head(before, row.header, row.commitment, row.sealed) for before in self._before]
        if self._before and row.head not in computed:
            yield LedgerFault(
                self._chain, position, "the row does not follow from the one before: it or its place was changed"
            )
        self._before = (row.head, *computed)

    def end(self, tip: Tip) -> Iterator[LedgerFault]:
        """Yield what is missing before where the chain should stand."""
        if tip.position >= self._next:
            yield self._missing(tip.position)
        elif tip.position < self._next - 1:
            yield LedgerFault(
                self._chain, tip.position + 1, "the row is not counted by its chain: it was added from outside"
            )
        elif self._before and tip.head not in self._before[:1]:
            yield LedgerFault(self._chain, tip.position, "the last row is not the one that its chain stands at")

    def _missing(self, last: int) -> LedgerFault:
        what = "the row is missing" if last == self._next else f"the rows from here to {last} are missing"
        return LedgerFault(self._chain, self._next, what)


def verify(chain: str, rows: Iterable[Row], tip: Tip | None = None) -> list[LedgerFault]:
    """Return what is wrong with a whole chain; nothing for a chain that is whole.

    Example: `verify("bank-1", [])` is `[]`.

    Args:
        chain: its name.
        rows: in order of position.
        tip: where the chain should stand; without it a tail that was cut is not seen.
    """
    check = ChainCheck(chain)
    faults = [fault for row in rows for fault in check.look(row)]
    return faults if tip is None else [*faults, *check.end(tip)]


SELF_CHAIN: Final = "self"
"""The chain of all self views, and what stands for a bank in them; clients' ids have another form."""


SCORE: Final = "score"
"""The kind of a row that holds a score."""


DECISION: Final = "decision"
"""The kind of a row that records what was decided of a review, and why."""


CONSENT: Final = "consent"
"""The kind of a row that records a consent."""


REVOCATION: Final = "revocation"
"""The kind of a row that records that a consent holds no more."""


VIEW: Final = "view"
"""The kind of a row of the ledger that records that a bank looked at a seller's picture."""
