"""Looks at the whole ledger, row by row, and says what is wrong and where; it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, islice
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, String, Table, select, type_coerce

from api.kit.database import UtcDateTime, snapshot
from api.ledger import store
from api.ledger.chain import PLAIN, START, ChainCheck, Header, LedgerFault, Row, Tip, format_timestamp
from api.ledger.encryption import DecryptionError
from api.ledger.records import RemovalRecords, read_removals
from api.ledger.store import PORTIONS, Ledger, SellerKey, read_content, seller_keys
from api.ledger.store import ledger as rows

_BATCH: Final = 200
_COLUMNS: Final = len(rows.c)
_NO_KEY: Final = "the row cannot be read, and no erasure of its seller is recorded"
_BAD_KEY: Final = "the key of the row's seller was changed"
_BAD_CONTENT: Final = "the content is not what was committed to"
_DROPPED: Final = "the content is gone, and no retention of it is recorded"
_CONTENT_STAYS: Final = "a retention is recorded, but the content is still there"
_KEY_STAYS: Final = "an erasure is recorded, but the key is still there"
_OTHER_HEAD: Final = "the row is another than the one that the checkpoint tells"


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row, its content where it can be read, and its seller's key; a content that was dropped is not looked for."""

    row: Row
    content: bytes | None = None
    key: bytes | None = None


class Check(Protocol):
    """What else is held against the ledger, such as an index into it."""

    def batch(self, connection: Connection, looked: Sequence[CheckedRow]) -> Iterator[LedgerFault]:
        """Yield what differs beside these rows, which are of one chain and in order of position."""

    def rest(self, connection: Connection) -> Iterator[LedgerFault]:
        """Yield what stands beside no row at all."""


LedgerCheck = Callable[[Any, Header, Mapping[str, Any]], str | None]
"""A method of a check that is told a row's header and content, and says what is wrong, None where nothing is."""


def check_row(check: Check, looks: Mapping[str, LedgerCheck], each: CheckedRow) -> Iterator[LedgerFault]:
    """Yield what a check finds wrong with one row, if it looks at rows of its kind and the content can be read.

    Example: `yield from judged(self, {"score": ScoreCheck.score}, looked)`.

    Args:
        check: whose methods look.
        looks: the method that looks at each kind of row; one that fails on a content finds that it is none.
        each: the row.
    """
    header = each.row.header
    look = looks.get(header.kind)
    if look is None or each.content is None:
        return
    try:
        found = look(check, header, json.loads(each.content))
    except (ValueError, KeyError, TypeError):
        found = f"the content is no {header.kind}"
    if found is not None:
        yield LedgerFault(header.chain, header.position, found)


def stored_rows(connection: Connection, table: Table, *where: ColumnElement[bool]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table by column name, with moments as the ledger writes them.

    A moment that was damaged stays as it is stored, so that it differs from the ledger and does not end the check.
    """
    moments = {column.name for column in table.c if isinstance(column.type, UtcDateTime)}
    columns = [type_coerce(column, String) if column.name in moments else column for column in table.c]
    for row in connection.execute(select(*columns).where(*where)):
        values = zip(table.c.keys(), row, strict=True)
        yield {name: _moment(value) if name in moments else value for name, value in values}


def _moment(stored: object) -> str | None:
    if stored is None:
        return None
    try:
        return format_timestamp(datetime.fromisoformat(f"{stored}+00:00"))
    except ValueError:
        return str(stored)


@dataclass(frozen=True)
class Report:
    """What was looked at, and what is wrong.

    `retained` counts the contents dropped after their time, `uncovered` the rows that no checkpoint given vouches for.
    """

    rows: int
    chains: int
    erased: int
    retained: int
    uncovered: int
    faults: tuple[LedgerFault, ...]


@dataclass
class Verifier:
    """What looking at a ledger takes and counts; use `verify`, or `looker` within a transaction of one's own."""

    connection: Connection
    ledger: Ledger
    checks: Sequence[Check]
    checkpoint: Mapping[str, Tip]
    recorded: RemovalRecords
    keys: dict[bytes, bytes | None] = field(default_factory=dict)
    looked_at: int = 0
    unreadable: int = 0
    dropped: int = 0
    uncovered: int = 0

    def chain(self, name: str, found: Iterator[Any], tip: Tip) -> Iterator[LedgerFault]:
        """Yield what is wrong with one chain."""
        check, last = ChainCheck(name), 0
        while batch := list(islice(found, _BATCH)):
            looked: list[CheckedRow] = []
            for each in batch:
                row = Row(Header(*each[:5]), *each[5:_COLUMNS])
                yield from check.look(row)
                last = max(last, row.header.position)
                yield from self._against_checkpoint(row)
                yield from self._content(row, each[_COLUMNS:], looked)
            for other in self.checks:
                yield from other.batch(self.connection, looked)
            self.looked_at += len(batch)
        yield from check.end(tip)
        known = self.checkpoint.get(name, Tip(0, START))
        if last < known.position:
            what = f"the chain is cut: the checkpoint tells of rows up to {known.position}"
            yield LedgerFault(name, last + 1, what)

    def _against_checkpoint(self, row: Row) -> Iterator[LedgerFault]:
        known = self.checkpoint.get(row.header.chain, Tip(0, START))
        self.uncovered += row.header.position > known.position
        if row.header.position == known.position and row.head != known.head:
            yield LedgerFault(row.header.chain, known.position, _OTHER_HEAD)

    def _content(self, row: Row, key: Sequence[Any], looked: list[CheckedRow]) -> Iterator[LedgerFault]:
        """Yield what is wrong with a row's content, and add the row to those looked at."""
        header, has_key = row.header, key[0] is not None
        is_record = header.kind in PLAIN
        erased = self.recorded.erased(header)
        if has_key and (is_record or erased):
            yield LedgerFault(header.chain, header.position, _KEY_STAYS)
        if not has_key and not is_record:
            self.unreadable += erased
            if not erased:
                yield LedgerFault(header.chain, header.position, _NO_KEY)
        dropped = self.recorded.dropped(header)
        if row.is_dropped is not dropped:
            yield LedgerFault(header.chain, header.position, _DROPPED if row.is_dropped else _CONTENT_STAYS)
        self.dropped += row.is_dropped and dropped
        if row.is_dropped or not (has_key or is_record):
            looked.append(CheckedRow(row))
            return
        yield from self._readable(row, None if is_record else self._key(key), looked)

    def _readable(self, row: Row, key: bytes | None, looked: list[CheckedRow]) -> Iterator[LedgerFault]:
        """Yield what is wrong with a content that should open."""
        header = row.header
        is_record = header.kind in PLAIN
        content = _decrypt_row(row, key) if is_record or key is not None else None
        looked.append(CheckedRow(row, content, key))
        if content is None or (is_record and not self.recorded.understands(row, content)):
            fault = _BAD_CONTENT if is_record or key is not None else _BAD_KEY
            yield LedgerFault(header.chain, header.position, fault)

    def _key(self, found: Sequence[Any]) -> bytes | None:
        key = SellerKey(*found)
        if key.wrapped not in self.keys:
            try:
                self.keys[key.wrapped] = self.ledger.unwrapped(key)
            except DecryptionError:
                self.keys[key.wrapped] = None
        return self.keys[key.wrapped]


def verify(
    engine: Engine,
    ledger: Ledger,
    checks: Sequence[Check] = (),
    checkpoint: Mapping[str, Tip] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Report:
    """Look at every row of every chain, as of one moment.

    Example: `verify(engine, ledger).faults` is `()` where nothing is wrong.

    Args:
        engine: of the database.
        ledger: with the key that opens contents.
        checks: what else is held against the rows.
        checkpoint: where each chain stood once; a tail that was cut since is seen by it alone.
        advance: told how many rows were looked at so far.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with snapshot(engine) as connection:
        return check_ledger(open_verifier(connection, ledger, checks, checkpoint), advance)


def open_verifier(
    connection: Connection, ledger: Ledger, checks: Sequence[Check] = (), checkpoint: Mapping[str, Tip] | None = None
) -> Verifier:
    """Return what `look` takes; the records are read first, since they come after the rows they speak of."""
    return Verifier(connection, ledger, checks, checkpoint or {}, read_removals(connection))


def check_ledger(at: Verifier, advance: Callable[[int], None] | None = None) -> Report:
    """Look at every row of every chain within a transaction that is open already."""
    connection, tips, seen = at.connection, store.tips(at.connection), set()
    faults: list[LedgerFault] = []
    for name, found in groupby(_iterate_rows(connection, advance), key=lambda each: str(each[0])):
        seen.add(name)
        faults += at.chain(name, found, tips.get(name, Tip(0, START)))
    for name in sorted({*tips, *at.checkpoint} - seen):
        faults += at.chain(name, iter(()), tips.get(name, Tip(0, START)))
    for check in at.checks:
        faults += check.rest(connection)
    return Report(at.looked_at, len(seen), at.unreadable, at.dropped, at.uncovered, tuple(faults))


def _iterate_rows(connection: Connection, advance: Callable[[int], None] | None) -> Iterator[Any]:
    wanted = (
        select(rows, seller_keys)
        .select_from(rows.outerjoin(seller_keys, seller_keys.c.subject == rows.c.subject))
        .order_by(rows.c.chain, rows.c.position)
    )
    for done, found in enumerate(connection.execute(wanted, execution_options=PORTIONS), 1):
        if advance is not None:
            advance(done)
        yield found


def _decrypt_row(row: Row, key: bytes | None) -> bytes | None:
    try:
        return read_content(row, key)
    except DecryptionError:
        return None
