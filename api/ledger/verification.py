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

from api.auth.signing_keys import PublicKeys
from api.kit.database import snapshot
from api.ledger import store
from api.ledger.chain import START, LedgerFault, Tip
from api.ledger.checks import ALL_ROWS, STATE_KINDS, Check, Page, Scope
from api.ledger.encryption import seller_keys
from api.ledger.records import RemovalRecords, read_removals
from api.ledger.row_checks import COLUMNS, ChainRows, Counts, Unwrap, examine
from api.ledger.store import Ledger, cast_columns, to_row
from api.ledger.store import ledger as rows

_PAGE: Final = 200
"""Rows of a page; a row has about 20 kB."""

_ATTEMPTS: Final = 3
"""How often a chain is verified while erasures or retentions change it."""

_CACHED_KEYS: Final = 1_000

_SHOWN: Final = 80
"""Characters of a damaged name that are reported."""

_raw_position: Final[ColumnClause[Any]] = literal_column("ledger.position")
_raw_chain: Final[ColumnClause[Any]] = literal_column("ledger.chain")
"""As stored: SQLite stores a value of any type in any column, and a page must follow its last row whatever its type."""

_SELECT = (
    select(*cast_columns(rows, seller_keys), _raw_position)
    .select_from(rows.outerjoin(seller_keys, seller_keys.c.subject == rows.c.subject))
    .order_by(rows.c.position)
)
_CHAINS = select(_raw_chain).select_from(rows).distinct()


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
    """A verification with trusted keys: `connect` begins a short transaction that reads a snapshot."""

    connect: Callable[[], AbstractContextManager[Connection]]
    ledger: Ledger
    keys: PublicKeys
    checks: Sequence[Check] = ()
    scope: Scope = ALL_ROWS
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
        # SQLite stores bytes as a name, too; the rows are missing in their chain
        damaged = {name for name in stored if not isinstance(name, str)}
        names = sorted({*stored, *tips, *self.scope.chains} - damaged)
        counts, found = Counts(), 0
        faults = [LedgerFault(str(name)[:_SHOWN], 0, "the name of the chain is not text") for name in damaged]
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

    def _chain_with_attempts(self, name: str) -> tuple[Counts, list[LedgerFault]]:
        """Verify a chain; verify it again if an erasure or retention was recorded since, which explains faults."""
        for attempt in range(_ATTEMPTS):
            with self.connect() as connection:
                removals = read_removals(connection, name, self.keys)
            counts, faults = self._chain(name, removals)
            if not faults or attempt == _ATTEMPTS - 1:
                break
            with self.connect() as connection:
                if read_removals(connection, name, self.keys) == removals:
                    break
        self._done += counts.rows
        return counts, faults

    def _chain(self, name: str, removals: RemovalRecords) -> tuple[Counts, list[LedgerFault]]:
        chain, first, after = ChainRows(name, self._unwrap, self.scope, removals), self.scope.first(name), None
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
            row, _ = examine(self._unwrap, removals, Counts(), to_row(values[:COLUMNS]), values[COLUMNS:-1])
            for check in self.checks:
                check.remember([row])


def verify(
    engine: Engine,
    ledger: Ledger,
    jwks: Mapping[str, Any],
    checks: Sequence[Check] = (),
    *,
    scope: Scope = ALL_ROWS,
    advance: Callable[[int], None] = lambda _: None,
) -> Report:
    """Verify the ledger of a database, while the service may go on writing.

    Example: `verify(engine, ledger, ring.jwks).faults` is `()` if the ledger is whole.

    Args:
        engine: Engine of the database.
        ledger: The ledger with its master key.
        jwks: The trusted public keys, with which entries were signed.
        checks: Further checks.
        scope: Checkpoints to compare with, and where to start.
        advance: Called with the number of rows verified so far.

    Raises:
        DatabaseUnavailable: The database does not respond.
    """
    return Verifier(partial(snapshot, engine), ledger, PublicKeys(jwks), checks, scope, advance).run()
