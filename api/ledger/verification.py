"""Verification of the whole ledger: checks every row of every chain, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, ClassVar, Final, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, String, Table, cast, select, type_coerce

from api.kit.database import UtcDateTime, snapshot
from api.kit.fields import format_timestamp
from api.ledger import store
from api.ledger.chain import PLAIN, START, ChainCheck, Header, LedgerFault, Row, Tip
from api.ledger.encryption import DecryptionError, WrappedSellerKey, seller_keys
from api.ledger.records import RemovalRecords, listed_ranges, read_removals
from api.ledger.store import PORTIONS, Ledger, cast_columns, read_content, to_row
from api.ledger.store import ledger as rows

_BATCH: Final = 200
_COLUMNS: Final = len(rows.c)
_NO_KEY: Final = "the content cannot be decrypted, and no erasure of its seller is recorded"
_BAD_KEY: Final = "the key of the seller was changed"
_BAD_CONTENT: Final = "the content does not match its commitment"
_DROPPED: Final = "the content is missing, and no retention of it is recorded"
_CONTENT_STAYS: Final = "a retention is recorded, but the content is still stored"
_KEY_STAYS: Final = "an erasure is recorded, but the key is still stored"
_OTHER_HEAD: Final = "the head differs from the checkpoint"


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """A row with its content, if that can be read, and the key of its seller."""

    row: Row
    content: bytes | None = None
    key: bytes | None = None


class Check(Protocol):
    """A further check of the ledger, such as of an index."""

    def batch(self, connection: Connection, rows: Sequence[CheckedRow]) -> Iterator[LedgerFault]:
        """Yield the faults at these rows, which are of one chain and in order of position."""

    def rest(self, connection: Connection) -> Iterator[LedgerFault]:
        """Yield the faults that belong to no row, after all rows."""


class ContentCheck:
    """A check of readable contents by kind of row.

    `methods` has for each kind a method that returns the fault of a row with this header and content, or None. If the
    method raises, the content is not of that kind.
    """

    methods: ClassVar[Mapping[str, Callable[[Any, Header, Any], str | None]]]

    def batch(self, connection: Connection, rows: Sequence[CheckedRow]) -> Iterator[LedgerFault]:  # noqa: ARG002
        """Yield the faults of the contents of these rows."""
        for row in rows:
            header = row.row.header
            method = self.methods.get(header.kind)
            if method is None or row.content is None:
                continue
            try:
                fault = method(self, header, json.loads(row.content))
            except (ValueError, KeyError, TypeError):
                fault = f"the content is not a valid {header.kind}"
            if fault is not None:
                yield header.fault(fault)


def stored_rows(connection: Connection, table: Table, *where: ColumnElement[bool]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table by column name, with times formatted as in the ledger.

    A damaged time is returned as it is stored, so that it differs from the ledger and does not stop the check.
    """
    times = {column.name for column in table.c if isinstance(column.type, UtcDateTime)}
    columns = [type_coerce(column, String) if column.name in times else cast(column, column.type) for column in table.c]
    for row in connection.execute(select(*columns).where(*where)):
        values = zip(table.c.keys(), row, strict=True)
        yield {name: _format_stored(value) if name in times else value for name, value in values}


def _format_stored(stored: object) -> str | None:
    if stored is None:
        return None
    try:
        return format_timestamp(datetime.fromisoformat(f"{stored}+00:00"))
    except ValueError:
        return str(stored)


def compare_row(table: str, expected: Mapping[str, Any], stored: Mapping[str, Any] | None, what: str) -> Iterator[str]:
    """Yield the fault of a table row that the ledger records.

    Example: the fault is `the consent is missing in the table of consents` if `stored` is None.

    Args:
        table: Name of the table for the message, such as `the table of consents`.
        expected: The columns that the ledger records.
        stored: The stored row, or None.
        what: What the row holds, such as `the consent`.
    """
    if stored is None:
        yield f"{what} is missing in {table}"
    elif differing := sorted(name for name, value in expected.items() if stored[name] != value):
        yield f"{table} differs from the ledger in {', '.join(differing)}"


@dataclass(frozen=True)
class Report:
    """The result of a verification: numbers of rows, and all faults.

    `retained` counts the contents dropped after their retention period, `uncovered` the rows after the checkpoint.
    """

    rows: int
    chains: int
    erased: int
    retained: int
    uncovered: int
    faults: tuple[LedgerFault, ...]


@dataclass
class Verifier:
    """The state of a verification within one transaction."""

    connection: Connection
    ledger: Ledger
    checks: Sequence[Check]
    checkpoint: Mapping[str, Tip]
    removals: RemovalRecords
    keys: dict[bytes, bytes | None] = field(default_factory=dict)
    rows: int = 0
    unreadable: int = 0
    dropped: int = 0
    uncovered: int = 0

    def chain(self, name: str, values: Iterator[Any], tip: Tip) -> Iterator[LedgerFault]:
        """Yield the faults of one chain."""
        check, last = ChainCheck(name), 0
        while batch := list(islice(values, _BATCH)):
            checked: list[CheckedRow] = []
            for each in batch:
                row = to_row(each[:_COLUMNS])
                yield from check.check(row)
                last = max(last, row.header.position)
                yield from self._check_head(row)
                yield from self._check_content(row, each[_COLUMNS:], checked)
            for other in self.checks:
                yield from other.batch(self.connection, checked)
            self.rows += len(batch)
        yield from check.end(tip)
        covered = self.checkpoint.get(name, Tip(0, START)).position
        if last < covered:
            yield LedgerFault(name, last + 1, f"the chain was cut: the checkpoint has rows up to {covered}")

    def _check_head(self, row: Row) -> Iterator[LedgerFault]:
        covered = self.checkpoint.get(row.header.chain, Tip(0, START))
        self.uncovered += row.header.position > covered.position
        if row.header.position == covered.position and row.head != covered.head:
            yield row.header.fault(_OTHER_HEAD)

    def _check_content(self, row: Row, key: Sequence[Any], checked: list[CheckedRow]) -> Iterator[LedgerFault]:
        """Yield the faults of a content, and add the row to the checked ones."""
        header, has_key = row.header, key[0] is not None
        is_plain = header.kind in PLAIN
        erased, dropped = self.removals.erased(header), self.removals.dropped(header)
        if has_key and (is_plain or erased):
            yield header.fault(_KEY_STAYS)
        if not has_key and not is_plain:
            self.unreadable += erased
            if not erased:
                yield header.fault(_NO_KEY)
        if row.is_dropped is not dropped:
            yield header.fault(_DROPPED if row.is_dropped else _CONTENT_STAYS)
        self.dropped += row.is_dropped and dropped
        if row.is_dropped or not (has_key or is_plain):
            checked.append(CheckedRow(row))
            return
        unwrapped = None if is_plain else self._unwrap(key)
        has_bad_key = not is_plain and unwrapped is None
        content = None if has_bad_key else _decrypt_row(row, unwrapped)
        checked.append(CheckedRow(row, content, unwrapped))
        if content is None or (is_plain and listed_ranges(header, content) is None):
            yield header.fault(_BAD_KEY if has_bad_key else _BAD_CONTENT)

    def _unwrap(self, values: Sequence[Any]) -> bytes | None:
        key = WrappedSellerKey(*values)
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
    """Verify every row of every chain in one snapshot.

    Example: `verify(engine, ledger).faults` is `()` if the ledger is whole.

    Args:
        engine: Engine of the database.
        ledger: The ledger with its master key.
        checks: Further checks.
        checkpoint: Former tips of the chains. Only with them is a removed tail detected.
        advance: Called with the number of rows verified so far.

    Raises:
        DatabaseUnavailable: The database does not respond.
    """
    with snapshot(engine) as connection:
        return check_ledger(open_verifier(connection, ledger, checks, checkpoint), advance)


def open_verifier(
    connection: Connection, ledger: Ledger, checks: Sequence[Check] = (), checkpoint: Mapping[str, Tip] | None = None
) -> Verifier:
    """Return a verifier for a transaction. Records are read first, because they follow the rows that they list."""
    return Verifier(connection, ledger, checks, checkpoint or {}, read_removals(connection))


def check_ledger(verifier: Verifier, advance: Callable[[int], None] | None = None) -> Report:
    """Verify every row of every chain in the transaction of the verifier."""
    connection, tips, names = verifier.connection, store.tips(verifier.connection), set()
    faults: list[LedgerFault] = []
    for name, values in groupby(_iterate_rows(connection, advance), key=itemgetter(0)):
        names.add(name)
        faults += verifier.chain(name, values, tips.get(name, Tip(0, START)))
    for name in sorted({*tips, *verifier.checkpoint} - names):
        faults += verifier.chain(name, iter(()), tips.get(name, Tip(0, START)))
    for check in verifier.checks:
        faults += check.rest(connection)
    counts = (verifier.rows, len(names), verifier.unreadable, verifier.dropped, verifier.uncovered)
    return Report(*counts, tuple(faults))


def _iterate_rows(connection: Connection, advance: Callable[[int], None] | None) -> Iterator[Any]:
    query = (
        select(*cast_columns(rows, seller_keys))
        .select_from(rows.outerjoin(seller_keys, seller_keys.c.subject == rows.c.subject))
        .order_by(rows.c.chain, rows.c.position)
    )
    for done, values in enumerate(connection.execute(query, execution_options=PORTIONS), 1):
        if advance is not None:
            advance(done)
        yield values


def _decrypt_row(row: Row, key: bytes | None) -> bytes | None:
    try:
        return read_content(row, key)
    except DecryptionError:
        return None
