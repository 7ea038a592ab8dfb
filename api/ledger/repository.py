"""Reads and writes the tables of the ledger; keys come and go wrapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, text, update

from api.ledger.chain import START, Header, Row, Tip, digest_of, written
from api.ledger.tables import chains, ledger, seller_keys

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
class Due:
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


def append(connection: Connection, rows: Sequence[Row]) -> None:
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


def past(connection: Connection, chain: str, due: Due, after: int, limit: int) -> list[Row]:
    """Return the first rows of a chain behind a position whose contents are there and have been kept long enough."""
    wanted = select(ledger).where(ledger.c.chain == chain, ledger.c.position > after, *_is_due(due))
    found = connection.execute(wanted.order_by(ledger.c.position).limit(limit))
    return [Row(Header(*each[:5]), *each[5:]) for each in found]


def counted_past(connection: Connection, due: Due) -> dict[str, int]:
    """Return by chain how many contents are there that have been kept long enough."""
    wanted = select(ledger.c.chain, func.count()).where(*_is_due(due)).group_by(ledger.c.chain)
    return {str(chain): int(rows) for chain, rows in connection.execute(wanted.order_by(ledger.c.chain))}


def drop(connection: Connection, rows: Sequence[Row]) -> None:
    """Put the digests of contents in their place."""
    dropped = [
        {"of": row.header.chain, "at": row.header.position, "digest": digest_of(row.header, row.sealed)} for row in rows
    ]
    connection.execute(_DROP, dropped)


def _is_due(due: Due) -> tuple[ColumnElement[bool], ...]:
    there = func.length(ledger.c.sealed) > len(START)
    return there, ledger.c.kind.in_(due.kinds), ledger.c.recorded_at < written(due.before)


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
