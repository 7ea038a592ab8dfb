"""Checks of the rows of one chain: their links, checkpoints, keys and contents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.ledger.chain import PLAIN, REMOVALS, ChainCheck, LedgerFault, Row, Tip
from api.ledger.checks import CheckedRow, Scope
from api.ledger.encryption import DecryptionError, WrappedSellerKey
from api.ledger.records import RemovalRecords, removal_fault
from api.ledger.store import ledger, read_content, to_row

COLUMNS: Final = len(ledger.c)
"""Number of the columns of a ledger row, which the columns of its seller's key follow."""

_NO_KEY: Final = "the content cannot be decrypted, and no erasure of its seller is recorded"
_BAD_KEY: Final = "the key of the seller was changed"
_BAD_CONTENT: Final = "the content does not match its commitment"
_DROPPED: Final = "the content is missing, and no retention of it is recorded"
_CONTENT_STAYS: Final = "a retention is recorded, but the content is still stored"
_KEY_STAYS: Final = "an erasure is recorded, but the key is still stored"
_OTHER_HEAD: Final = "the head differs from the checkpoint"

Unwrap = Callable[[WrappedSellerKey], bytes]
"""Returns the key of a seller; raises `DecryptionError` if it was changed."""


@dataclass
class Counts:
    """Numbers of rows, as in the report."""

    rows: int = 0
    erased: int = 0
    retained: int = 0
    uncovered: int = 0


class ChainRows:
    """The rows of one chain, checked in order: their links, checkpoints and contents."""

    def __init__(self, name: str, unwrap: Unwrap, scope: Scope, removals: RemovalRecords) -> None:
        first = scope.first(name)
        self.counts = Counts()
        self.faults: list[LedgerFault] = []
        self.last: int | None = None if first == 1 else first - 1
        self._links = ChainCheck(name, first)
        self._name, self._unwrap, self._removals = name, unwrap, removals
        self._tips, self._covered = scope.tips(name), scope.covered(name)

    def check(self, values: Sequence[Any]) -> CheckedRow:
        """Check the next row, with the key of its seller."""
        row = to_row(values[:COLUMNS])
        position = row.header.position
        self.last = position if self.last is None else max(self.last, position)
        self.faults += self._links.check(row)
        if any(tip.position == position and tip.head != row.head for tip in self._tips):
            self.faults.append(row.header.fault(_OTHER_HEAD))
        checked, found = examine(self._unwrap, self._removals, self.counts, row, values[COLUMNS:-1])
        self.faults += map(row.header.fault, found)
        self.counts.rows += 1
        self.counts.uncovered += position > self._covered
        return checked

    def end(self, tip: Tip) -> None:
        """Check the end of the chain."""
        self.faults += self._links.end(tip)
        last, most = self.last or 0, max((each.position for each in self._tips), default=0)
        if last < most:
            what = f"the chain was cut: the checkpoint has rows up to {most}"
            self.faults.append(LedgerFault(self._name, last + 1, what))


def examine(
    unwrap: Unwrap, removals: RemovalRecords, counts: Counts, row: Row, key: Sequence[Any]
) -> tuple[CheckedRow, list[str]]:
    """Return a row with its content, and its faults; count it if it was erased or dropped."""
    header, has_key = row.header, key[0] is not None
    is_plain = header.kind in PLAIN
    erased, dropped = removals.erased(header), removals.dropped(header)
    faults = []
    if has_key and (is_plain or erased):
        faults.append(_KEY_STAYS)
    if not has_key and not is_plain:
        counts.erased += erased
        if not erased:
            faults.append(_NO_KEY)
    if row.is_dropped is not dropped:
        faults.append(_DROPPED if row.is_dropped else _CONTENT_STAYS)
    counts.retained += row.is_dropped and dropped
    if row.is_dropped or not (has_key or is_plain):
        return CheckedRow(row), faults
    try:
        unwrapped = None if is_plain else unwrap(WrappedSellerKey(*key))
    except DecryptionError:
        return CheckedRow(row), [*faults, _BAD_KEY]
    try:
        content = read_content(row, unwrapped)
    except DecryptionError:
        return CheckedRow(row, key=unwrapped), [*faults, _BAD_CONTENT]
    if header.kind in REMOVALS and (fault := removal_fault(removals.keys, header, content)) is not None:
        faults.append(fault)
    return CheckedRow(row, content, unwrapped), faults
