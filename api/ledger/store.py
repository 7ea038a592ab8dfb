"""The ledger in the database: tables, appending entries, and reading rows; each within the caller's transaction.

Times are stored as text, because hashed values must be read back byte for byte.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Cast,
    Column,
    Connection,
    Engine,
    Index,
    LargeBinary,
    String,
    Table,
    bindparam,
    cast,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url

from api.errors import ClockSetBack, ClockSetForward, DatabaseSetupError, LedgerKeyError
from api.kit.clock_watch import watch
from api.kit.database import metadata, open_database, transaction, write_rows
from api.kit.fields import format_timestamp
from api.ledger import chain as hashing
from api.ledger import encryption
from api.ledger.chain import PLAIN, START, Header, Row, Tip
from api.ledger.encryption import DecryptionError, SellerKey, WrappedSellerKey, decrypt, encrypt
from api.ledger.master_key import MASTER, MasterKeys
from api.settings import Settings

logger = logging.getLogger(__name__)

PORTIONS: Final = {"yield_per": 200}
"""Rows of twenty kilobytes each are read in portions."""

chains: Final = Table(
    "chains",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("position", BigInteger(), nullable=False),
    Column("head", LargeBinary(), nullable=False),
    Column("recorded_at", String(27), nullable=False, server_default=""),
)
"""The tip of each chain. Its row is the lock for appending."""

ledger: Final = Table(
    "ledger",
    metadata,
    Column("chain", String(80), primary_key=True),
    Column("position", BigInteger(), primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("recorded_at", String(27), nullable=False),
    Column("subject", String(32), nullable=False),
    Column("commitment", LargeBinary(), nullable=False),
    Column("sealed", LargeBinary(), nullable=False),
    Column("head", LargeBinary(), nullable=False),
    Index("ledger_subject", "subject"),
    Index("ledger_kind", "chain", "kind", "position"),
)

# built once: building a statement takes longer than running it
_LOCKED_TIP = (
    select(chains.c.position, chains.c.head, chains.c.recorded_at)
    .where(chains.c.name == bindparam("chain"))
    .with_for_update()
)
_INSERT = insert(ledger)
_MOVE_TIP = (
    update(chains)
    .where(chains.c.name == bindparam("chain"))
    .values(position=bindparam("to_position"), head=bindparam("to_head"), recorded_at=bindparam("to_time"))
)
# the syntax that both databases support
_CREATE_CHAIN = text(
    "INSERT INTO chains (name, position, head, recorded_at) VALUES (:name, 0, :head, '') ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry to append: canonical JSON of a kind, for a chain, at a time."""

    chain: str
    kind: str
    content: bytes
    recorded_at: datetime


@dataclass(frozen=True)
class Ledger:
    """The ledger under one master key.

    Example:
        >>> with transaction(engine, writes=True) as connection:  # doctest: +SKIP
        ...     seller = ledger.seller(connection, "S-1")
        ...     row = ledger.append(connection, seller, EntryDraft("bank-1", EntryKind.SCORE, content, now))
    """

    master: MasterKeys

    @classmethod
    def open(cls, folder: Path, engine: Engine) -> Ledger:
        """Read the master key and check that it unwraps the stored keys. Create it if the ledger is empty.

        Raises:
            LedgerKeyError: The key is missing although the ledger has sellers, is wrong, or is accessible to others.
            DatabaseUnavailable: The database does not respond.
        """
        path = folder / MASTER
        with transaction(engine) as connection:
            sample = encryption.sample_seller_keys(connection)
        if sample and not path.exists():
            raise LedgerKeyError(f"The ledger key {path} is missing. Restore it from a backup.")
        opened = cls(MasterKeys.open(folder))
        # a single damaged key is for `ledger verify` to report
        if sample and not any(map(opened._can_unwrap, sample)):
            raise LedgerKeyError(f"The key {path} belongs to another ledger. Restore the right one from a backup.")
        return opened

    def _can_unwrap(self, key: WrappedSellerKey) -> bool:
        try:
            self.unwrapped(key)
        except DecryptionError:
            return False
        return True

    def seller(self, connection: Connection, seller_id: str) -> SellerKey:
        """Return the pseudonym and key of a seller, and lock them. Create them for a new seller.

        Call it before any chain is locked. In this order, erasures and appends cannot deadlock.
        """
        key = encryption.seller_key(connection, seller_id)
        if key is None:
            key = encryption.create_seller_key(connection, self.master.current, seller_id)
        return SellerKey(key.subject, self.unwrapped(key))

    def sellers(self, connection: Connection, seller_ids: Sequence[str]) -> dict[str, SellerKey]:
        """Return the keys of those of the sellers who have one, and lock them like `seller`."""
        existing = encryption.existing_seller_keys(connection, seller_ids)
        return {key.seller_id: SellerKey(key.subject, self.unwrapped(key)) for key in existing}

    def unwrapped(self, key: WrappedSellerKey) -> bytes:
        """Return the key of a seller.

        Raises:
            DecryptionError: It was changed, or wrapped by another master key.
        """
        return self.master.unwrap(key)

    def lock_chain(self, connection: Connection, chain: str) -> Tip:
        """Return the tip of a chain, and lock the chain until the transaction ends.

        Reads after this call include everything that was committed before the next row of the chain.
        """
        return lock_chain(connection, chain)

    def append(self, connection: Connection, seller: SellerKey, draft: EntryDraft, tip: Tip | None = None) -> Row:
        """Append an entry about a seller, and lock the chain until the transaction ends.

        Args:
            connection: Connection of a write transaction.
            seller: The result of `seller`, which was called before any chain was locked.
            draft: The entry.
            tip: The tip of the chain, if the caller locked it already.
        """
        row = build_entry(seller, draft, lock_chain(connection, draft.chain) if tip is None else tip)
        append_rows(connection, [row])
        return row


def lock_chain(connection: Connection, chain: str) -> Tip:
    """Return the tip of a chain, and lock the chain until the transaction ends. Create the chain if necessary."""
    row = connection.execute(_LOCKED_TIP, {"chain": chain}).one_or_none()
    if row is None:
        connection.execute(_CREATE_CHAIN, {"name": chain, "head": START})
        row = connection.execute(_LOCKED_TIP, {"chain": chain}).one()
    return Tip(row.position, row.head, row.recorded_at)


def build_entry(seller: SellerKey, draft: EntryDraft, tip: Tip) -> Row:
    """Return the encrypted row of an entry about a seller, after the tip of its chain. Nothing is stored."""
    return _build_row(draft, tip, seller.subject, seller.key)


def append_plain(connection: Connection, subject: str, draft: EntryDraft) -> None:
    """Append an entry that is not encrypted."""
    append_rows(connection, [_build_row(draft, lock_chain(connection, draft.chain), subject, None)])


def _build_row(draft: EntryDraft, tip: Tip, subject: str, key: bytes | None) -> Row:
    if hashing.is_earlier(draft.recorded_at, tip.recorded_at):
        logger.error("the clock was set back: the last row of the chain %s is of %s", draft.chain, tip.recorded_at)
        raise ClockSetBack
    if step := watch.step():
        logger.error("the clock was set forward by %.0f seconds while the service runs", step)
        raise ClockSetForward
    content = hashing.salted(draft.content)
    commitment = hashing.commit(content)
    header = Header(draft.chain, tip.position + 1, draft.kind, format_timestamp(draft.recorded_at), subject)
    sealed = content if key is None else encrypt(key, content, header.bound)
    return Row(header, commitment, sealed, hashing.head(tip.head, header, commitment, sealed))


def append_rows(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert rows of locked chains, in order within each chain, and move the tips.

    Raises:
        DatabaseUnavailable: The database dropped a row, for example because of a trigger.
    """
    if not rows:
        return
    values = [
        {**asdict(row.header), "commitment": row.commitment, "sealed": row.sealed, "head": row.head} for row in rows
    ]
    write_rows(connection, _INSERT, values, rows=len(values))
    last = {row.header.chain: row for row in rows}
    moves = [
        {"chain": name, "to_position": row.header.position, "to_head": row.head, "to_time": row.header.recorded_at}
        for name, row in last.items()
    ]
    write_rows(connection, _MOVE_TIP, moves, rows=len(moves))


def to_row(values: Sequence[Any]) -> Row:
    """Return the row of the columns of the table `ledger`."""
    return Row(Header(*values[:5]), *values[5:])


def read_content(row: Row, key: bytes | None, *, committed: bool = True) -> bytes:
    """Return the decrypted content of a row.

    Args:
        row: The stored row.
        key: The key of the seller; None for a plain row.
        committed: Whether to check the commitment as well.

    Raises:
        DecryptionError: The content was changed or moved, or has another key.
    """
    content = row.sealed if row.header.kind in PLAIN else decrypt(key or b"", row.sealed, row.header.bound)
    if committed and hashing.commit(content) != row.commitment:
        raise DecryptionError
    return content[hashing.SALT_BYTES :]


def cast_columns(*tables: Table) -> list[Cast[Any]]:
    """Return the columns of tables, cast to their types: SQLite stores a value of any type in any column."""
    return [cast(column, column.type) for table in tables for column in table.c]


def tips(connection: Connection, chain: str | None = None) -> dict[str, Tip]:
    """Return the tip of every chain, or of one, in order of name."""
    query = select(*cast_columns(chains)).order_by(chains.c.name)
    rows = connection.execute(query if chain is None else query.where(chains.c.name == chain))
    return {name: Tip(position, head, recorded_at) for name, position, head, recorded_at in rows}


def newest_time(connection: Connection) -> str:
    """Return the latest time of a row, as the ledger stores it; empty if there are no rows."""
    return max((tip.recorded_at for tip in tips(connection).values()), default="")


def rows_of(connection: Connection, chain: str) -> Iterator[Row]:
    """Yield the rows of a chain in order of position."""
    query = select(ledger).where(ledger.c.chain == chain).order_by(ledger.c.position)
    yield from map(to_row, connection.execute(query, execution_options=PORTIONS))


def require_there(database_url: str) -> None:
    """Reject a missing SQLite file: a command would create an empty ledger and report it as whole.

    Raises:
        DatabaseSetupError: The file does not exist.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise DatabaseSetupError(
            "The database does not exist. Set SELLERSCORE_HOME or SELLERSCORE_DATABASE_URL as for the service."
        )


def open_ledger(settings: Settings, *, tables_only: bool = True) -> tuple[Engine, Ledger]:
    """Open the database at the newest schema, and the ledger under its master key. See `open_database`.

    Raises:
        DatabaseSetupError: The database cannot be opened or migrated, or is not durable.
        LedgerKeyError: The master key is missing, wrong, or accessible to others.
        DatabaseUnavailable: The database does not respond.
    """
    engine = open_database(settings.database_url, tables_only=tables_only)
    try:
        return engine, Ledger.open(settings.keys_path, engine)
    except BaseException:
        engine.dispose()
        raise
