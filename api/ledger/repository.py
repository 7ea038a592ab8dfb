"""Reads and writes the tables of the ledger; keys come and go wrapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update

from api.ledger.chain import START, Header, Row, Tip
from api.ledger.tables import chains, ledger, seller_keys

PORTIONS: Final = {"yield_per": 200}
"""Rows of twenty kilobytes each are read in portions."""

_SOME: Final = 5

_KEY = select(seller_keys.c.seller_id, seller_keys.c.subject, seller_keys.c.wrapped)
# built once: making a statement takes longer than running it
_OF_SELLER = _KEY.where(seller_keys.c.seller_id == bindparam("seller"))
_TO_USE = _OF_SELLER.with_for_update(read=True, key_share=True)
_TO_ERASE = _OF_SELLER.with_for_update()
_LOCKED_TIP = select(chains.c.position, chains.c.head).where(chains.c.name == bindparam("chain")).with_for_update()
_ADD = insert(ledger)
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


def locked_tip(connection: Connection, chain: str) -> Tip:
    """Return where a chain stands, and hold its place until the transaction ends; other chains wait for nothing."""
    found = connection.execute(_LOCKED_TIP, {"chain": chain}).one_or_none()
    if found is None:
        connection.execute(_BEGIN_CHAIN, {"name": chain, "head": START})
        found = connection.execute(_LOCKED_TIP, {"chain": chain}).one()
    return Tip(found.position, found.head)


def append(connection: Connection, row: Row) -> None:
    """Add a row to the chain whose tip is locked, and move the tip to it."""
    header = row.header
    connection.execute(
        _ADD,
        {
            "chain": header.chain,
            "position": header.position,
            "kind": header.kind,
            "recorded_at": header.recorded_at,
            "subject": header.subject,
            "commitment": row.commitment,
            "sealed": row.sealed,
            "head": row.head,
        },
    )
    connection.execute(_MOVE, {"chain": header.chain, "to_position": header.position, "to_head": row.head})


def seller_key(connection: Connection, seller_id: str, *, to_erase: bool = False) -> SellerKey | None:
    """Return a seller's key, or None; an erasure waits for whoever has it, and who comes later for the erasure."""
    found = connection.execute(_TO_ERASE if to_erase else _TO_USE, {"seller": seller_id}).one_or_none()
    return None if found is None else SellerKey(*found)


def begin_seller(connection: Connection, key: SellerKey) -> SellerKey:
    """Store a new seller's key, and return the one that counts: of two at once, the first."""
    connection.execute(_BEGIN_SELLER, key._asdict())
    found = seller_key(connection, key.seller_id)
    return key if found is None else found


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
