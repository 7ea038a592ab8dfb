"""The index of scores: where each stands in the ledger, which holds what it is. A row is written once, never changed.

Nothing here tells of a seller once their key is destroyed: the receipt is sealed under it, the rest is no secret.

Scores as they are stored, opened: between the index, the ledger and the answer.
"""

from __future__ import annotations

import json
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

from api.errors import LedgerDamaged, ScoreErased, ScorePastRetention
from api.kit.database import UtcDateTime, metadata
from api.ledger.chain import Header
from api.ledger.chain import Row as LedgerRow
from api.ledger.encryption import DecryptionError, WrappedSellerKey, seller_keys
from api.ledger.store import PORTIONS, Ledger, ledger, read_content
from api.scores import envelope
from scoring.canonical import canonical_json

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


_COLUMNS = select(scores, ledger, seller_keys).select_from(
    scores.join(ledger, _PLACE).outerjoin(seller_keys, seller_keys.c.subject == scores.c.subject)
)


# built once: making a statement takes longer than running it
_SELECT = _COLUMNS.where(scores.c.id == bindparam("wanted"), scores.c.chain == bindparam("bank"))


_PAGE = _COLUMNS.where(scores.c.chain == bindparam("bank")).order_by(scores.c.position.desc()).limit(bindparam("most"))


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
class ScoreIndexEntry:
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
class ScoreRow:
    """All that is stored of a score: its place, its row of the ledger, and the seller's key unless it is destroyed."""

    index: ScoreIndexEntry
    row: LedgerRow
    key: WrappedSellerKey | None


def insert_scores(connection: Connection, indexes: Sequence[ScoreIndexEntry]) -> None:
    """Store where scores stand, under their ids, which are new."""
    if indexes:
        connection.execute(_ADD, [vars(each) for each in indexes])


def select_score(connection: Connection, bank_id: str, score_id: str) -> ScoreRow | None:
    """Return what is stored of the bank's score under the id, or None; another bank's is none."""
    found = connection.execute(_SELECT, {"bank": bank_id, "wanted": score_id}).one_or_none()
    return None if found is None else _score_row(found)


@dataclass(frozen=True, slots=True)
class ScoreQuery:
    """Which of a bank's scores a page holds: one seller's or all, before a position of the chain or from its tip."""

    bank_id: str
    seller_id: str | None
    before: int | None
    most: int


def position_of(connection: Connection, bank_id: str, score_id: str, scored_at: datetime) -> int | None:
    """Return where in its chain the bank's score of this id and moment stands, or None; no row ever moves."""
    wanted = {"wanted": score_id, "bank": bank_id, "moment": scored_at}
    return connection.execute(_POSITION, wanted).scalar_one_or_none()


def newest(connection: Connection, listed: ScoreQuery) -> list[ScoreRow]:
    """Return a bank's scores, last recorded first; with a seller those alone that can still be read."""
    wanted = _PAGE
    if listed.seller_id is not None:
        wanted = wanted.where(seller_keys.c.seller_id == listed.seller_id)
    if listed.before is not None:
        wanted = wanted.where(scores.c.position < listed.before)
    return [_score_row(found) for found in connection.execute(wanted, {"bank": listed.bank_id, "most": listed.most})]


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


def iterate_rows(connection: Connection, since: datetime | None = None) -> Iterator[ScoreRow]:
    """Yield every stored score, or those since a moment, oldest first, without holding them all."""
    wanted = _COLUMNS.order_by(scores.c.scored_at, scores.c.id)
    if since is not None:
        wanted = wanted.where(scores.c.scored_at >= since)
    for found in connection.execute(wanted, execution_options=PORTIONS):
        yield _score_row(found)


def forget_receipts(connection: Connection, chain: str, positions: Sequence[int]) -> None:
    """Remove the receipts of scores whose contents were dropped."""
    if positions:
        connection.execute(_FORGET, [{"of": chain, "at": position} for position in positions])


_INDEX, _LEDGER = len(scores.c), len(ledger.c)


_HEADER: Final = 5


def _score_row(found: Row[Any]) -> ScoreRow:
    index, row, key = found[:_INDEX], found[_INDEX : _INDEX + _LEDGER], found[_INDEX + _LEDGER :]
    return ScoreRow(
        ScoreIndexEntry(*index),
        LedgerRow(Header(*row[:_HEADER]), *row[_HEADER:]),
        None if key[0] is None else WrappedSellerKey(*key),
    )


@dataclass(frozen=True)
class StoredScore:
    """One score: `body` is the answer as it was sent, `inputs` and `bundle` are what it can be made from again."""

    id: str
    bank_id: str
    seller_id: str
    purpose: str
    scored_at: datetime
    bundle: str
    inputs: bytes
    body: bytes


def find_score(connection: Connection, ledger: Ledger, bank_id: str, score_id: str) -> StoredScore | None:
    """Return the bank's score stored under the id, or None; another bank's is none.

    Raises:
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
    """
    kept = select_score(connection, bank_id, score_id)
    return None if kept is None else open_score(ledger, kept)


def iterate_scores(connection: Connection, ledger: Ledger, since: datetime | None = None) -> Iterator[StoredScore]:
    """Yield every score that can be read, oldest first; erased and dropped ones are left out.

    Args:
        connection: of the database.
        ledger: that holds them.
        since: leave out what was scored before this moment.

    Raises:
        LedgerDamaged: what is stored is not what was.
    """
    for kept in iterate_rows(connection, since):
        if kept.key is not None and not kept.row.is_dropped:
            yield open_score(ledger, kept)


def envelope_of(ledger: Ledger, kept: ScoreRow) -> dict[str, Any]:
    """Return what a score says, for who shows some of it: neither its receipt nor its bytes are put together.

    Raises:
        ScoreErased: the seller's key is destroyed.
        ScorePastRetention: what it was is kept no more.
        LedgerDamaged: it does not open, or is not what was committed to.
    """
    seller = _require_readable(kept)
    try:
        content = envelope.parse_content(read_content(kept.row, ledger.unwrapped(seller)))
        found: dict[str, Any] = content["envelope"]
    except (DecryptionError, json.JSONDecodeError, KeyError) as error:
        raise LedgerDamaged from error
    return found


def open_score(ledger: Ledger, kept: ScoreRow, *, committed: bool = True) -> StoredScore:
    """Open what is stored; see `content_of` for `committed`.

    Raises:
        ScoreErased: the seller's key is destroyed.
        ScorePastRetention: what it was is kept no more.
        LedgerDamaged: something does not open, or is not what was committed to.
    """
    seller = _require_readable(kept)
    try:
        key = ledger.unwrapped(seller)
        content = envelope.parse_content(read_content(kept.row, key, committed=committed))
        receipt = envelope.open_receipt(key, kept.index.id, kept.index.receipt or b"")
        body = envelope.rebuild_response(content, kept.row, receipt)
        bundle, inputs = content["bundle"], canonical_json(content["inputs"])
    except (DecryptionError, json.JSONDecodeError, KeyError) as error:
        raise LedgerDamaged from error
    index = kept.index
    return StoredScore(index.id, index.chain, seller.seller_id, index.purpose, index.scored_at, bundle, inputs, body)


def _require_readable(kept: ScoreRow) -> WrappedSellerKey:
    """Return the key of a score that is still there to be read."""
    if kept.key is None:
        raise ScoreErased
    if kept.row.is_dropped:
        raise ScorePastRetention
    return kept.key
