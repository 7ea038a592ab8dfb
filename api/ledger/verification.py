"""Verification of the ledger: checks the rows of every chain, and changes nothing.

Rows are read in pages, each in a short transaction, so that the service keeps writing and memory stays bounded. All
checks of a page, and of the end of a chain, read the other tables in the same transaction as the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final

from sqlalchemy import ColumnClause, Connection, Engine, literal_column, select

from api.kit.database import snapshot
from api.ledger import store
from api.ledger.chain import PLAIN, REMOVALS, START, ChainCheck, LedgerFault, Row, Tip
from api.ledger.checks import STATE_KINDS, Check, CheckedRow, Page
from api.ledger.encryption import DecryptionError, WrappedSellerKey, seller_keys
from api.ledger.records import RemovalRecords, listed_ranges, read_removals
from api.ledger.store import Ledger, cast_columns, read_content, to_row
from api.ledger.store import ledger as rows

_PAGE: Final = 200
"""Rows of a page; a row has about 20 kB."""

_ATTEMPTS: Final = 3
"""How often a chain is verified while erasures or retentions change it."""

_CACHED_KEYS: Final = 1_000

_COLUMNS: Final = len(rows.c)
_raw_position: Final[ColumnClause[Any]] = literal_column("ledger.position")
_raw_chain: Final[ColumnClause[Any]] = literal_column("ledger.chain")
"""As stored: SQLite stores a value of any type in any column, and a page must follow its last row whatever its type."""

_SELECT = (
    select(*cast_columns(rows, seller_keys), _raw_position)
    .select_from(rows.outerjoin(seller_keys, seller_keys.c.subject == rows.c.subject))
    .order_by(rows.c.position)
)
_CHAINS = select(_raw_chain).select_from(rows).distinct()
_NO_KEY: Final = "the content cannot be decrypted, and no erasure of its seller is recorded"
_BAD_KEY: Final = "the key of the seller was changed"
_BAD_CONTENT: Final = "the content does not match its commitment"
_DROPPED: Final = "the content is missing, and no retention of it is recorded"
_CONTENT_STAYS: Final = "a retention is recorded, but the content is still stored"
_KEY_STAYS: Final = "an erasure is recorded, but the key is still stored"
_OTHER_HEAD: Final = "the head differs from the checkpoint"


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


Unwrap = Callable[[WrappedSellerKey], bytes]
"""Returns the key of a seller; raises `DecryptionError` if it was changed."""


@dataclass
class _Counts:
    rows: int = 0
    erased: int = 0
    retained: int = 0
    uncovered: int = 0


@dataclass
class Verifier:
    """A verification: `connect` begins a short transaction that reads a snapshot."""

    connect: Callable[[], AbstractContextManager[Connection]]
    ledger: Ledger
    checks: Sequence[Check] = ()
    scope: Scope = Scope()
    advance: Callable[[int], None] = lambda _: None
    page_rows: int = _PAGE
    _done: int = field(default=0, init=False)
    _unwrap: Unwrap = field(init=False)

    def __post_init__(self) -> None:
        """Cache the keys of sellers: most have several rows."""
        self._unwrap = lru_cache(_CACHED_KEYS)(self.ledger.unwrapped)

    def run(self) -> Report:
        """Verify every row of every chain."""
        with self.connect() as connection:
            stored = list(connection.execute(_CHAINS).scalars())
            tips = store.tips(connection)
        names = sorted({*stored, *tips, *self.scope.chains})
        counts, found = _Counts(), 0
        faults: list[LedgerFault] = []
        for name in names:
            chain_counts, chain_faults = self._chain_with_attempts(name)
            found += chain_counts.rows > 0
            for each in vars(counts):
                setattr(counts, each, getattr(counts, each) + getattr(chain_counts, each))
            faults += chain_faults
            if name in stored and not chain_counts.rows:
                faults.append(LedgerFault(str(name), 0, "the name of the chain was damaged"))
        with self.connect() as connection:
            # also the chains that were created meanwhile
            chains = {*names, *connection.execute(_CHAINS).scalars()}
            for check in self.checks:
                faults += check.other_chains(connection, chains)
        return Report(counts.rows, found, counts.erased, counts.retained, counts.uncovered, tuple(faults))

    def _chain_with_attempts(self, name: str) -> tuple[_Counts, list[LedgerFault]]:
        """Verify a chain; verify it again if an erasure or retention was recorded since, which explains faults."""
        for attempt in range(_ATTEMPTS):
            with self.connect() as connection:
                removals = read_removals(connection, name)
            counts, faults = self._chain(name, removals)
            if not faults or attempt == _ATTEMPTS - 1:
                break
            with self.connect() as connection:
                if read_removals(connection, name) == removals:
                    break
        self._done += counts.rows
        return counts, faults

    def _chain(self, name: str, removals: RemovalRecords) -> tuple[_Counts, list[LedgerFault]]:
        chain, first, after = _ChainRows(name, self._unwrap, self.scope, removals), self.scope.first(name), None
        while True:
            with self.connect() as connection:
                values = self._read(connection, name, after, first)
                if after is None and first > 1:
                    self._remember(connection, name, first, removals)
                before = chain.last
                checked = [chain.check(each) for each in values]
                page = Page(name, before, checked, is_last=len(values) < self.page_rows)
                for other in self.checks:
                    chain.faults += other.page(connection, page)
                self.advance(self._done + chain.counts.rows)
                if page.is_last:
                    chain.end(store.tips(connection, name).get(name, Tip(0, START)))
                    for other in self.checks:
                        chain.faults += other.end_chain(connection, name)
                    # in order of rows; a fault of the whole chain has the position 0 and comes last
                    return chain.counts, sorted(chain.faults, key=lambda fault: (fault.position == 0, fault.position))
            after = values[-1][-1]

    def _read(self, connection: Connection, chain: str, after: Any, first: int) -> Sequence[Any]:
        query = _SELECT.where(_raw_chain == chain).limit(self.page_rows)
        if after is not None:
            query = query.where(_raw_position > after)
        elif first > 1:
            query = query.where(_raw_position >= first)
        return connection.execute(query).all()

    def _remember(self, connection: Connection, chain: str, first: int, removals: RemovalRecords) -> None:
        query = _SELECT.where(_raw_chain == chain, _raw_position < first, rows.c.kind.in_(STATE_KINDS))
        for values in connection.execute(query):
            row, _ = _examine(self._unwrap, removals, _Counts(), to_row(values[:_COLUMNS]), values[_COLUMNS:-1])
            for check in self.checks:
                check.remember([row])


class _ChainRows:
    """The rows of one chain, checked in order: their links, checkpoints and contents."""

    def __init__(self, name: str, unwrap: Unwrap, scope: Scope, removals: RemovalRecords) -> None:
        first = scope.first(name)
        self.counts = _Counts()
        self.faults: list[LedgerFault] = []
        self.last: int | None = None if first == 1 else first - 1
        self._links = ChainCheck(name, first)
        self._name, self._unwrap, self._removals = name, unwrap, removals
        self._tips, self._covered = scope.tips(name), scope.covered(name)

    def check(self, values: Sequence[Any]) -> CheckedRow:
        """Check the next row, with the key of its seller."""
        row = to_row(values[:_COLUMNS])
        position = row.header.position
        self.last = position if self.last is None else max(self.last, position)
        self.faults += self._links.check(row)
        if any(tip.position == position and tip.head != row.head for tip in self._tips):
            self.faults.append(row.header.fault(_OTHER_HEAD))
        checked, found = _examine(self._unwrap, self._removals, self.counts, row, values[_COLUMNS:-1])
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


def _examine(
    unwrap: Unwrap, removals: RemovalRecords, counts: _Counts, row: Row, key: Sequence[Any]
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
    if header.kind in REMOVALS and listed_ranges(header, content) is None:
        faults.append(_BAD_CONTENT)
    return CheckedRow(row, content, unwrapped), faults


def verify(
    engine: Engine,
    ledger: Ledger,
    checks: Sequence[Check] = (),
    scope: Scope = Scope(),
    advance: Callable[[int], None] = lambda _: None,
) -> Report:
    """Verify the ledger of a database, while the service may go on writing.

    Example: `verify(engine, ledger).faults` is `()` if the ledger is whole.

    Args:
        engine: Engine of the database.
        ledger: The ledger with its master key.
        checks: Further checks.
        scope: Checkpoints to compare with, and where to start.
        advance: Called with the number of rows verified so far.

    Raises:
        DatabaseUnavailable: The database does not respond.
    """
    return Verifier(partial(snapshot, engine), ledger, checks, scope, advance).run()
