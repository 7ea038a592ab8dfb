"""The index of scores: where each stands in the ledger, which holds what it is. A row is written once, never changed.

Nothing here tells of a seller once their key is destroyed: the receipt is sealed under it, the rest is no secret.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    insert,
    select,
    update,
)

from api.database import UtcDateTime, metadata
from api.ledger.chain import Header
from api.ledger.chain import Row as LedgerRow
from api.ledger.repository import PORTIONS, SellerKey
from api.ledger.tables import ledger, seller_keys

scores = Table(
    "scores",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("chain", String(80), nullable=False),
    Column("position", BigInteger(), nullable=False),
    Column("subject", String(32), nullable=False),
    Column("purpose", String(40), nullable=False),
    Column("scored_at", UtcDateTime(), nullable=False),
    Column("bundle", String(71), nullable=False),
    Column("receipt", LargeBinary(), nullable=True),
    UniqueConstraint("chain", "position"),
    Index("scores_subject", "subject"),
)


_PLACE = (scores.c.chain == ledger.c.chain) & (scores.c.position == ledger.c.position)
_KEPT = select(scores, ledger, seller_keys).select_from(
    scores.join(ledger, _PLACE).outerjoin(seller_keys, seller_keys.c.subject == scores.c.subject)
)
# built once: making a statement takes longer than running it
_FIND = _KEPT.where(scores.c.id == bindparam("wanted"), scores.c.chain == bindparam("bank"))
_PAGE = _KEPT.where(scores.c.chain == bindparam("bank")).order_by(scores.c.position.desc()).limit(bindparam("most"))
_POSITION = select(scores.c.position).where(
    scores.c.id == bindparam("wanted"),
    scores.c.chain == bindparam("bank"),
    scores.c.scored_at == bindparam("moment", type_=scores.c.scored_at.type),
)
_ADD = insert(scores)
_FORGET = (
    update(scores).where(scores.c.chain == bindparam("of"), scores.c.position == bindparam("at")).values(receipt=None)
)
_LATEST = (
    select(scores.c.id)
    .select_from(scores.join(seller_keys, seller_keys.c.subject == scores.c.subject))
    .where(scores.c.chain == bindparam("chain"), seller_keys.c.seller_id == bindparam("seller"))
    .order_by(scores.c.position.desc())
    .limit(bindparam("most"))
)


@dataclass(frozen=True)
class Indexed:
    """Where a score stands: `chain` is the id of the bank that asked, which alone reads it.

    `receipt` is encrypted, and None once the content was dropped.
    """

    id: str
    chain: str
    position: int
    subject: str
    purpose: str
    scored_at: datetime
    bundle: str
    receipt: bytes | None


@dataclass(frozen=True)
class Kept:
    """All that is stored of a score: its place, its row of the ledger, and the seller's key unless it is destroyed."""

    index: Indexed
    row: LedgerRow
    key: SellerKey | None


def add(connection: Connection, indexes: Sequence[Indexed]) -> None:
    """Store where scores stand, under their ids, which are new."""
    if indexes:
        connection.execute(_ADD, [vars(each) for each in indexes])


def find(connection: Connection, bank_id: str, score_id: str) -> Kept | None:
    """Return what is stored of the bank's score under the id, or None; another bank's is none."""
    found = connection.execute(_FIND, {"bank": bank_id, "wanted": score_id}).one_or_none()
    return None if found is None else _read(found)


@dataclass(frozen=True, slots=True)
class Listed:
    """Which of a bank's scores a page holds: one seller's or all, before a position of the chain or from its tip."""

    bank_id: str
    seller_id: str | None
    before: int | None
    most: int


def position_of(connection: Connection, bank_id: str, score_id: str, scored_at: datetime) -> int | None:
    """Return where in its chain the bank's score of this id and moment stands, or None; no row ever moves."""
    wanted = {"wanted": score_id, "bank": bank_id, "moment": scored_at}
    return connection.execute(_POSITION, wanted).scalar_one_or_none()


def newest(connection: Connection, listed: Listed) -> list[Kept]:
    """Return a bank's scores, last recorded first; with a seller those alone that can still be read."""
    wanted = _PAGE
    if listed.seller_id is not None:
        wanted = wanted.where(seller_keys.c.seller_id == listed.seller_id)
    if listed.before is not None:
        wanted = wanted.where(scores.c.position < listed.before)
    return [_read(found) for found in connection.execute(wanted, {"bank": listed.bank_id, "most": listed.most})]


def latest_of(connection: Connection, chain: str, seller_id: str, most: int) -> list[str]:
    """Return the ids of a seller's latest scores in a chain, latest first."""
    return list(connection.scalars(_LATEST, {"chain": chain, "seller": seller_id, "most": most}))


def ids_of(connection: Connection, seller_id: str) -> list[tuple[str, str]]:
    """Return chain and id of every score of a seller, oldest first."""
    of_seller = scores.join(seller_keys, seller_keys.c.subject == scores.c.subject)
    wanted = select(scores.c.chain, scores.c.id).select_from(of_seller).where(seller_keys.c.seller_id == seller_id)
    return [
        (chain, score_id) for chain, score_id in connection.execute(wanted.order_by(scores.c.scored_at, scores.c.id))
    ]


def every(connection: Connection, since: datetime | None = None) -> Iterator[Kept]:
    """Yield every stored score, or those since a moment, oldest first, without holding them all."""
    wanted = _KEPT.order_by(scores.c.scored_at, scores.c.id)
    if since is not None:
        wanted = wanted.where(scores.c.scored_at >= since)
    for found in connection.execute(wanted, execution_options=PORTIONS):
        yield _read(found)


def forget_receipts(connection: Connection, chain: str, positions: Sequence[int]) -> None:
    """Remove the receipts of scores whose contents were dropped."""
    if positions:
        connection.execute(_FORGET, [{"of": chain, "at": position} for position in positions])


_INDEX, _LEDGER = len(scores.c), len(ledger.c)
_HEADER: Final = 5


def _read(found: Row[Any]) -> Kept:
    index, row, key = found[:_INDEX], found[_INDEX : _INDEX + _LEDGER], found[_INDEX + _LEDGER :]
    return Kept(
        Indexed(*index),
        LedgerRow(Header(*row[:_HEADER]), *row[_HEADER:]),
        None if key[0] is None else SellerKey(*key),
    )
