"""What the ledger itself says may not be read any more: erasures of sellers, and contents dropped after their time."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from sqlalchemy import Connection, select

from api.ledger.chain import ERASURE, PLAIN, RETENTION, Header, Row
from api.ledger.encryption import DecryptionError
from api.ledger.store import ledger as rows
from api.ledger.store import read_content


class Positions:
    """Positions as ranges, which may be long and may overlap.

    Example: `7 in Positions([(1, 3), (7, 9)])`.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(ranges)
        self._firsts = [first for first, _ in ordered]
        self._farthest = list(accumulate((last for _, last in ordered), max))

    def __contains__(self, position: int) -> bool:
        """Return whether a range holds the position."""
        before = bisect_right(self._firsts, position)
        return before > 0 and self._farthest[before - 1] >= position


_NONE = Positions(())


@dataclass(frozen=True)
class RemovalRecords:
    """All that whole records say, by chain and subject, and by chain."""

    _erased: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    _dropped: dict[str, Positions] = field(default_factory=dict)

    def erased(self, header: Header) -> bool:
        """Return whether an erasure lists a row of its seller."""
        return header.position in self._erased.get((header.chain, header.subject), ())

    def dropped(self, header: Header) -> bool:
        """Return whether a retention lists a row; records themselves are kept."""
        return header.kind not in PLAIN and header.position in self._dropped.get(header.chain, _NONE)

    @staticmethod
    def understands(row: Row, content: bytes) -> bool:
        """Return whether the content of a record is one."""
        return (_listed(content) if row.header.kind == ERASURE else _ranges(row, content)) is not None


def read_removals(connection: Connection) -> RemovalRecords:
    """Read all records that are whole; what is wrong with others is told where they stand."""
    erased: dict[tuple[str, str], set[int]] = {}
    dropped: dict[str, list[tuple[int, int]]] = {}
    for row, content in _records(connection):
        header = row.header
        if header.kind == ERASURE:
            erased.setdefault((header.chain, header.subject), set()).update(_listed(content) or ())
        elif header.kind == RETENTION:
            dropped.setdefault(header.chain, []).extend(_ranges(row, content) or ())
    return RemovalRecords(erased, {chain: Positions(ranges) for chain, ranges in dropped.items()})


def _records(connection: Connection) -> Iterator[tuple[Row, bytes]]:
    for found in connection.execute(select(rows).where(rows.c.kind.in_(PLAIN))):
        row = Row(Header(*found[:5]), *found[5:])
        try:
            yield row, read_content(row, None)
        except DecryptionError:
            continue


def _listed(content: bytes) -> set[int] | None:
    try:
        return {int(each) for each in json.loads(content)["positions"]}
    except (ValueError, KeyError, TypeError):
        return None


def _ranges(row: Row, content: bytes) -> list[tuple[int, int]] | None:
    """Return the ranges of a retention; one that speaks of rows after itself is none."""
    try:
        found = [(int(first), int(last)) for first, last in json.loads(content)["positions"]]
    except (ValueError, KeyError, TypeError):
        return None
    return found if all(1 <= first <= last < row.header.position for first, last in found) else None
