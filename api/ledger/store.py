"""The tables of the ledger. Text where a moment could stand, since what is hashed must be read back byte for byte.

Reads and writes the tables of the ledger; keys come and go wrapped.

Appending to the ledger, opening what it holds, and erasing a seller. Each within the caller's transaction.

How the database and the ledger in it are opened together, by the service and by every command.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Index,
    LargeBinary,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url

from api.errors import DatabaseSetupError, LedgerKeyError
from api.kit.database import metadata, open_database, transaction
from api.ledger import chain as hashing
from api.ledger.chain import ERASURE, PLAIN, RETENTION, START, Header, Row, Tip, digest_of, format_timestamp
from api.ledger.encryption import DecryptionError, decrypt, encrypt, master_key, new_key
from api.settings import Settings
from scoring.canonical import canonical_json

chains: Final = Table(
    "chains",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("position", BigInteger(), nullable=False),
    Column("head", LargeBinary(), nullable=False),
)
"""Where each chain stands; its row is the lock under which the next one is appended."""


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
)


seller_keys: Final = Table(
    "seller_keys",
    metadata,
    Column("seller_id", String(200), primary_key=True),
    Column("subject", String(32), nullable=False, unique=True),
    Column("wrapped", LargeBinary(), nullable=False),
)
"""The one place where a pseudonym meets its seller; erasing removes the row, and with it the key."""


PORTIONS: Final = {"yield_per": 200}
"""Rows of twenty kilobytes each are read in portions."""


_SOME: Final = 5


_KEY = select(seller_keys.c.seller_id, seller_keys.c.subject, seller_keys.c.wrapped)


# built once: making a statement takes longer than running it
_OF_SELLER = _KEY.where(seller_keys.c.seller_id == bindparam("seller"))


_TO_USE = _OF_SELLER.with_for_update(read=True, key_share=True)


_TO_ERASE = _OF_SELLER.with_for_update()


# in one order, as two who hold several at once would wait for one another in any other
_ALL_TO_USE = (
    _KEY.where(seller_keys.c.seller_id.in_(bindparam("sellers", expanding=True)))
    .order_by(seller_keys.c.seller_id)
    .with_for_update(read=True, key_share=True)
)


_LOCKED_TIP = select(chains.c.position, chains.c.head).where(chains.c.name == bindparam("chain")).with_for_update()


_ADD = insert(ledger)


_DROP = (
    update(ledger)
    .where(ledger.c.chain == bindparam("of"), ledger.c.position == bindparam("at"))
    .values(sealed=bindparam("digest"))
)


_MOVE = (
    update(chains)
    .where(chains.c.name == bindparam("chain"))
    .values(position=bindparam("to_position"), head=bindparam("to_head"))
)


# the one form that both databases take
_BEGIN_CHAIN = text("INSERT INTO chains (name, position, head) VALUES (:name, 0, :head) ON CONFLICT DO NOTHING")


_BEGIN_SELLER = text(
    "INSERT INTO seller_keys (seller_id, subject, wrapped) VALUES (:seller_id, :subject, :wrapped) "
    "ON CONFLICT DO NOTHING"
)


class SellerKey(NamedTuple):
    """A seller's pseudonym and wrapped key."""

    seller_id: str
    subject: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class RetentionCutoff:
    """Which contents have been kept long enough: of these kinds, recorded before a moment."""

    kinds: frozenset[str]
    before: datetime


def locked_tip(connection: Connection, chain: str) -> Tip:
    """Return where a chain stands, and hold its place until the transaction ends; other chains wait for nothing."""
    found = connection.execute(_LOCKED_TIP, {"chain": chain}).one_or_none()
    if found is None:
        connection.execute(_BEGIN_CHAIN, {"name": chain, "head": START})
        found = connection.execute(_LOCKED_TIP, {"chain": chain}).one()
    return Tip(found.position, found.head)


def insert_row(connection: Connection, rows: Sequence[Row]) -> None:
    """Add rows to chains whose tips are locked, each chain's in order, and move the tips to the last ones."""
    if not rows:
        return
    connection.execute(_ADD, [_written(row) for row in rows])
    last = {row.header.chain: row for row in rows}
    moves = [{"chain": name, "to_position": row.header.position, "to_head": row.head} for name, row in last.items()]
    connection.execute(_MOVE, moves)


def _written(row: Row) -> dict[str, object]:
    header = row.header
    return {
        "chain": header.chain,
        "position": header.position,
        "kind": header.kind,
        "recorded_at": header.recorded_at,
        "subject": header.subject,
        "commitment": row.commitment,
        "sealed": row.sealed,
        "head": row.head,
    }


def rows_past_retention(connection: Connection, chain: str, due: RetentionCutoff, after: int, limit: int) -> list[Row]:
    """Return the first rows of a chain behind a position whose contents are there and have been kept long enough."""
    wanted = select(ledger).where(ledger.c.chain == chain, ledger.c.position > after, *_is_due(due))
    found = connection.execute(wanted.order_by(ledger.c.position).limit(limit))
    return [Row(Header(*each[:5]), *each[5:]) for each in found]


def count_past_retention(connection: Connection, due: RetentionCutoff) -> dict[str, int]:
    """Return by chain how many contents are there that have been kept long enough."""
    wanted = select(ledger.c.chain, func.count()).where(*_is_due(due)).group_by(ledger.c.chain)
    return {str(chain): int(rows) for chain, rows in connection.execute(wanted.order_by(ledger.c.chain))}


def drop_contents(connection: Connection, rows: Sequence[Row]) -> None:
    """Put the digests of contents in their place."""
    dropped = [
        {"of": row.header.chain, "at": row.header.position, "digest": digest_of(row.header, row.sealed)} for row in rows
    ]
    connection.execute(_DROP, dropped)


def _is_due(due: RetentionCutoff) -> tuple[ColumnElement[bool], ...]:
    there = func.length(ledger.c.sealed) > len(START)
    return there, ledger.c.kind.in_(due.kinds), ledger.c.recorded_at < format_timestamp(due.before)


def seller_key(connection: Connection, seller_id: str, *, to_erase: bool = False) -> SellerKey | None:
    """Return a seller's key, or None; an erasure waits for whoever has it, and who comes later for the erasure."""
    found = connection.execute(_TO_ERASE if to_erase else _TO_USE, {"seller": seller_id}).one_or_none()
    return None if found is None else SellerKey(*found)


def seller_keys_of(connection: Connection, seller_ids: Sequence[str]) -> list[SellerKey]:
    """Return the keys of those of these sellers who have one; an erasure waits for whoever has it, as for one."""
    return [SellerKey(*found) for found in connection.execute(_ALL_TO_USE, {"sellers": seller_ids})]


def begin_seller(connection: Connection, key: SellerKey) -> SellerKey:
    """Store a new seller's key, and return the one that counts: of two at once, the first."""
    found = None
    # who was first may be erased before they are read
    while found is None:
        connection.execute(_BEGIN_SELLER, key._asdict())
        found = seller_key(connection, key.seller_id)
    return found


def some_seller_keys(connection: Connection) -> list[SellerKey]:
    """Return the keys of a few sellers; none where there are none."""
    return [SellerKey(*found) for found in connection.execute(_KEY.limit(_SOME))]


def destroy_key(connection: Connection, seller_id: str) -> None:
    """Remove a seller's key; nothing sealed under it opens again."""
    connection.execute(delete(seller_keys).where(seller_keys.c.seller_id == seller_id))


def positions_of(connection: Connection, subject: str) -> Mapping[str, list[int]]:
    """Return the positions of a subject's rows by chain, chains in order of name."""
    wanted = (
        select(ledger.c.chain, ledger.c.position)
        .where(ledger.c.subject == subject)
        .order_by(ledger.c.chain, ledger.c.position)
    )
    found: dict[str, list[int]] = {}
    for chain, position in connection.execute(wanted):
        found.setdefault(chain, []).append(position)
    return dict(sorted(found.items()))


def tips(connection: Connection) -> dict[str, Tip]:
    """Return where every chain stands."""
    found = connection.execute(select(chains.c.name, chains.c.position, chains.c.head).order_by(chains.c.name))
    return {name: Tip(position, head) for name, position, head in found}


def count(connection: Connection) -> int:
    """Return the number of rows in all chains."""
    return int(connection.execute(select(func.count()).select_from(ledger)).scalar_one())


def rows_of(connection: Connection, chain: str) -> Iterator[Row]:
    """Yield the rows of a chain in order of position."""
    wanted = select(ledger).where(ledger.c.chain == chain).order_by(ledger.c.position)
    for found in connection.execute(wanted, execution_options=PORTIONS):
        yield Row(Header(*found[:5]), *found[5:])


MASTER: Final = "ledger-master"
"""The name of the file of the master key, in the folder of keys."""


_SUBJECT_BYTES: Final = 16


_NO_SELLER: Final = ""
"""The subject of a record that speaks of no one seller."""


_DROPPED_AT_ONCE: Final = 500
"""Rows of twenty kilobytes each, for which those who append to the chain wait."""


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """What is to be appended: canonical JSON, to a chain, of a kind, at a moment."""

    chain: str
    kind: str
    content: bytes
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class BoundSeller:
    """A seller as the ledger knows them: a pseudonym, and the key of all that is sealed about them."""

    subject: str
    key: bytes


@dataclass(frozen=True)
class Ledger:
    """The ledger under one master key.

    Example:
        >>> with transaction(engine, writes=True) as connection:  # doctest: +SKIP
        ...     seller = ledger.seller(connection, "S-1")
        ...     row = ledger.append(connection, seller, Draft("bank-1", "score", content, now))
    """

    master: bytes

    @classmethod
    def open(cls, folder: Path, engine: Engine) -> Ledger:
        """Read the master key, making it where the ledger is empty, and prove that it opens what is there.

        Raises:
            LedgerKeyError: the key is missing although the ledger holds sellers, is another, or no secret.
            DatabaseUnavailable: the database does not answer.
        """
        path = folder / MASTER
        with transaction(engine) as connection:
            known = some_seller_keys(connection)
        if known and not path.exists():
            raise LedgerKeyError(f"The key of the ledger {path} is missing; put it back from a backup.")
        found = cls(master_key(path))
        # one that was damaged is for `ledger verify` to tell
        if known and not any(map(found._opens, known)):
            raise LedgerKeyError(f"The key {path} is of another ledger; put the right one back.")
        return found

    def _opens(self, known: SellerKey) -> bool:
        try:
            self.unwrapped(known)
        except DecryptionError:
            return False
        return True

    def seller(self, connection: Connection, seller_id: str) -> BoundSeller:
        """Return the seller's pseudonym and key, making them at the seller's first row.

        Taken before any chain: in this order an erasure and those who append never wait for one another in a ring.
        """
        known = seller_key(connection, seller_id)
        if known is None:
            subject = secrets.token_hex(_SUBJECT_BYTES)
            wrapped = encrypt(self.master, new_key(), seller_bound(seller_id, subject))
            known = begin_seller(connection, SellerKey(seller_id, subject, wrapped))
        return BoundSeller(known.subject, self.unwrapped(known))

    def sellers(self, connection: Connection, seller_ids: Sequence[str]) -> dict[str, BoundSeller]:
        """Return those of these sellers who have rows, and hold their keys as `seller` does, making none."""
        known = seller_keys_of(connection, seller_ids)
        return {each.seller_id: BoundSeller(each.subject, self.unwrapped(each)) for each in known}

    def unwrapped(self, known: SellerKey) -> bytes:
        """Return a seller's key.

        Raises:
            SealBrokenError: it was changed, or wrapped by another master key.
        """
        return decrypt(self.master, known.wrapped, seller_bound(known.seller_id, known.subject))

    def hold(self, connection: Connection, chain: str) -> Tip:
        """Return where a chain stands, and let others who append to it wait until the transaction ends.

        What is read from then on is as of this place in the chain: what stands before was committed before.
        """
        return locked_tip(connection, chain)

    def append(self, connection: Connection, seller: BoundSeller, draft: EntryDraft, tip: Tip | None = None) -> Row:
        """Append a content about a seller; others who append to the same chain wait until the transaction ends.

        Args:
            connection: of a transaction that writes.
            seller: as `seller` gave them, before any chain.
            draft: what to append.
            tip: where the chain stands, from who holds it already.
        """
        row = build_entry(seller, draft, locked_tip(connection, draft.chain) if tip is None else tip)
        insert_row(connection, [row])
        return row

    def erase(self, connection: Connection, seller_id: str, reason: str, now: datetime) -> Mapping[str, list[int]]:
        """Destroy a seller's key and record it in every chain that holds rows about them.

        Returns the positions that can be read no more, by chain; empty where the seller has no rows.
        """
        known = seller_key(connection, seller_id, to_erase=True)
        if known is None:
            return {}
        positions = positions_of(connection, known.subject)
        destroy_key(connection, seller_id)
        # in order of name, as two erasures at once would wait for one another in any other
        for chain, erased in positions.items():
            content = canonical_json({"positions": erased, "reason": reason})
            _record(connection, known.subject, EntryDraft(chain, ERASURE, content, now))
        return positions

    def drop(self, connection: Connection, chain: str, due: RetentionCutoff, after: int, now: datetime) -> list[int]:
        """Drop some of the contents of a chain that have been kept long enough, and record which.

        Returns the positions, at most some hundreds behind `after`; empty where none is due.
        """
        # who appends meanwhile waits, so that the record follows what it speaks of
        locked_tip(connection, chain)
        rows = rows_past_retention(connection, chain, due, after, _DROPPED_AT_ONCE)
        if not rows:
            return []
        drop_contents(connection, rows)
        positions = [row.header.position for row in rows]
        content = canonical_json({"before": hashing.format_timestamp(due.before), "positions": ranges(positions)})
        _record(connection, _NO_SELLER, EntryDraft(chain, RETENTION, content, now))
        return positions


def ranges(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return rising positions as ranges of the first and the last.

    Example:
        >>> ranges([1, 2, 3, 7])
        [(1, 3), (7, 7)]
    """
    found: list[tuple[int, int]] = []
    for each in positions:
        first = found.pop()[0] if found and found[-1][1] == each - 1 else each
        found.append((first, each))
    return found


def read_content(row: Row, key: bytes | None, *, committed: bool = True) -> bytes:
    """Return a row's content, opened by the seller's key.

    Args:
        row: as stored.
        key: of the seller; a record needs none.
        committed: also refuse a content that its commitment does not hold for.

    Raises:
        SealBrokenError: the content was changed or moved, or the key is another.
    """
    both = row.sealed if row.header.kind in PLAIN else decrypt(key or b"", row.sealed, row.header.bound)
    if committed and hashing.commit(both) != row.commitment:
        raise DecryptionError
    return both[hashing.SALT_BYTES :]


def build_entry(seller: BoundSeller, draft: EntryDraft, tip: Tip) -> Row:
    """Return the row of a content about a seller, behind the last one of its chain; nothing is stored."""
    return _row(draft, tip, seller.subject, seller.key)


def _record(connection: Connection, subject: str, draft: EntryDraft) -> None:
    """Append what anyone may read."""
    insert_row(connection, [_row(draft, locked_tip(connection, draft.chain), subject, None)])


def _row(draft: EntryDraft, tip: Tip, subject: str, key: bytes | None) -> Row:
    both = hashing.salted(draft.content)
    commitment = hashing.commit(both)
    header = Header(draft.chain, tip.position + 1, draft.kind, hashing.format_timestamp(draft.recorded_at), subject)
    sealed = both if key is None else encrypt(key, both, header.bound)
    return Row(header, commitment, sealed, hashing.head(tip.head, header, commitment, sealed))


def seller_bound(seller_id: str, subject: str) -> bytes:
    """Return what the wrapping of a seller's key is bound to, so that no key passes for another seller's."""
    return canonical_json(["seller key", seller_id, subject])


def require_there(database_url: str) -> None:
    """Refuse a file that is not there: a ledger that was just made would be said to be whole.

    Raises:
        DatabaseSetupError: there is no such file.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise DatabaseSetupError(
            "There is no database where the settings say; set SELLERSCORE_HOME or SELLERSCORE_DATABASE_URL to those of "
            "the service."
        )


def open_ledger(settings: Settings) -> tuple[Engine, Ledger]:
    """Open the database at the newest schema, and the ledger under its key.

    Raises:
        DatabaseSetupError: the database cannot be opened or migrated, or is not durable.
        LedgerKeyError: the ledger's key is missing, another, or no secret.
        DatabaseUnavailable: the database does not answer.
    """
    engine = open_database(settings.database_url)
    try:
        return engine, Ledger.open(settings.keys_path, engine)
    except BaseException:
        engine.dispose()
        raise
