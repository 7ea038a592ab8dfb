"""What a verification needs of its callers and checks: its scope, pages of rows, and a base class of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, Protocol

import msgspec
from sqlalchemy import Connection

from api.ledger.chain import START, EntryKind, Header, LedgerFault, Row, Tip
from api.ledger.receipts import join_canonical, split_canonical


@dataclass(frozen=True)
class Scope:
    """What a verification compares and where it starts.

    Attributes:
        checkpoint: Former tips of the chains from another place. Only with them is a removed tail surely detected.
        local: The checkpoints of the state folder, which detect a tail that the database lost.
        since: A trusted checkpoint from which on rows are verified; the row of its tip is verified again.
    """

    checkpoint: Mapping[str, Tip] | None = None
    local: Sequence[Mapping[str, Tip]] = ()
    since: Mapping[str, Tip] | None = None

    @property
    def chains(self) -> set[str]:
        """The chains of all checkpoints."""
        return {chain for checkpoint in self._all for chain in checkpoint}

    @property
    def _all(self) -> tuple[Mapping[str, Tip], ...]:
        return (self.checkpoint or {}, self.since or {}, *self.local)

    def tips(self, chain: str) -> list[Tip]:
        """Return the tips of all checkpoints that cover the chain."""
        return [checkpoint[chain] for checkpoint in self._all if chain in checkpoint and checkpoint[chain].position]

    def covered(self, chain: str) -> int:
        """Return the position up to which checkpoints from another place cover the chain."""
        return max(given.get(chain, Tip(0, START)).position for given in (self.checkpoint or {}, self.since or {}))

    def first(self, chain: str) -> int:
        """Return the position of the first row to verify."""
        return max(1, (self.since or {}).get(chain, Tip(0, START)).position)


ALL_ROWS: Final = Scope()
"""The scope of all rows, compared with no checkpoint."""


@dataclass(frozen=True)
class CheckedRow:
    """A row with its content, if that can be read, and the key of its seller."""

    row: Row
    content: bytes | None = None
    key: bytes | None = None

    @cached_property
    def parts(self) -> dict[str, bytes]:
        """The values of the content as JSON.

        Raises:
            ValueError: The content is not a JSON object.
        """
        return split_canonical(self.content or b"")

    @cached_property
    def envelope(self) -> dict[str, bytes]:
        """The values of the envelope of a score as JSON. Most of them is the assessment, which is slow to parse.

        Raises:
            ValueError: The content is not a score.
        """
        return split_canonical(self.parts.get("envelope", b""))

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The parsed content; of a score without its inputs and its assessment, which are large.

        Raises:
            ValueError: The content is not a JSON object of its kind.
        """
        if self.row.header.kind != EntryKind.SCORE:
            return _parse(self.parts)
        return {**_parse(self.parts, "envelope", "inputs"), "envelope": _parse(self.envelope, "assessment")}


def _parse(parts: Mapping[str, bytes], *without: str) -> dict[str, Any]:
    # one call for all values is much faster than one call each
    fields: dict[str, Any] = msgspec.json.decode(join_canonical({n: parts[n] for n in parts if n not in without}))
    return fields


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive rows of a chain. `after` is the last position before them; None at the start of the chain.

    `is_last` is true for the last page of a chain, which may be empty.
    """

    chain: str
    after: int | None
    rows: Sequence[CheckedRow]
    is_last: bool


class Check(Protocol):
    """A further check of the ledger, such as of an index. It is told the rows of one chain after the other."""

    def remember(self, rows: Sequence[CheckedRow]) -> None:
        """Take in rows from before the first page: the rows of `STATE_KINDS`, which were verified earlier."""

    def page(self, connection: Connection, page: Page) -> Iterator[LedgerFault]:
        """Yield the faults at the rows of a page."""

    def end_chain(self, connection: Connection, chain: str) -> Iterator[LedgerFault]:
        """Yield the faults of the whole chain, and forget it."""

    def other_chains(self, connection: Connection, chains: Set[str]) -> Iterator[LedgerFault]:
        """Yield the faults of table rows whose chain is not one of the ledger's."""


STATE_KINDS: Final = frozenset(
    {
        EntryKind.CONSENT,
        EntryKind.REVOCATION,
        EntryKind.REVIEW,
        EntryKind.DECISION,
        EntryKind.PRODUCTS,
        EntryKind.CLIENT,
    }
)
"""The kinds to which later rows refer, or which describe the current rows of a table."""


class ContentCheck:
    """A check of readable contents by kind of row.

    `methods` has for each kind a method that returns the fault of a row with this header and content, or None. If the
    method raises, the content is not of that kind.
    """

    methods: ClassVar[Mapping[str, Callable[[Any, Header, Any], str | None]]]

    def remember(self, rows: Sequence[CheckedRow]) -> None:
        """Take in rows whose faults were reported before."""
        for row in rows:
            self._fault(row)

    def page(self, connection: Connection, page: Page) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield the faults of the contents of these rows."""
        for row in page.rows:
            fault = self._fault(row)
            if fault is not None:
                yield row.row.header.fault(fault)

    def _fault(self, row: CheckedRow) -> str | None:
        header = row.row.header
        method = self.methods.get(header.kind)
        if method is None or row.content is None:
            return None
        try:
            return method(self, header, row.fields)
        except (ValueError, KeyError, TypeError):
            return f"the content is not a valid {header.kind}"
