"""Stored scores: the index with the position of each score in the ledger, and reading a score from both.

Index rows are written once. The receipt is encrypted under the seller's key; the other columns do not identify a
seller after that key is destroyed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

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
from api.kit.database import UtcDateTime, metadata, write_rows
from api.ledger.chain import Row as LedgerRow
from api.ledger.encryption import DecryptionError, WrappedSellerKey, is_erased, seller_keys
from api.ledger.store import PORTIONS, Ledger, ledger, read_content, to_row
from api.scores import envelope
from scoring import Assessment
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


_INDEX, _LEDGER = len(scores.c), len(ledger.c)
_COLUMNS = select(scores, ledger, seller_keys).select_from(
    scores.join(ledger, (scores.c.chain == ledger.c.chain) & (scores.c.position == ledger.c.position)).outerjoin(
        # a key that was put back after an erasure reads nothing
        seller_keys,
        (seller_keys.c.subject == scores.c.subject) & ~is_erased(scores.c.subject),
    )
)

# built once: building a statement takes longer than running it
_SELECT = _COLUMNS.where(scores.c.id == bindparam("score"), scores.c.chain == bindparam("bank"))
_PAGE = _COLUMNS.where(scores.c.chain == bindparam("bank")).order_by(scores.c.position.desc()).limit(bindparam("most"))
_POSITION = select(scores.c.position).where(
    scores.c.id == bindparam("score"),
    scores.c.chain == bindparam("bank"),
    scores.c.scored_at == bindparam("moment", type_=scores.c.scored_at.type),
)
_INSERT = insert(scores)
_FORGET = (
    update(scores).where(scores.c.chain == bindparam("of"), scores.c.position == bindparam("at")).values(receipt=None)
)


@dataclass(frozen=True)
class ScoreIndexEntry:
    """The index row of a score. `chain` is the ID of the requesting bank, the only one that can read the score.

    `receipt` is encrypted, and None after the content was dropped.
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
    """The stored rows of a score: index entry, ledger row, and the seller's key unless it is destroyed."""

    index: ScoreIndexEntry
    row: LedgerRow
    key: WrappedSellerKey | None


def insert_scores(connection: Connection, indexes: Sequence[ScoreIndexEntry]) -> None:
    """Store index entries under new IDs."""
    if indexes:
        write_rows(connection, _INSERT, [vars(entry) for entry in indexes], rows=len(indexes))


def select_score(connection: Connection, bank_id: str, score_id: str) -> ScoreRow | None:
    """Return the bank's score with the ID, or None; also None for another bank's score."""
    row = connection.execute(_SELECT, {"bank": bank_id, "score": score_id}).one_or_none()
    return None if row is None else _score_row(row)


@dataclass(frozen=True, slots=True)
class ScoreQuery:
    """A page of a bank's scores: of one seller or all, before a position of the chain or from its tip."""

    bank_id: str
    seller_id: str | None
    before: int | None
    most: int


def position_of(connection: Connection, bank_id: str, score_id: str, scored_at: datetime) -> int | None:
    """Return the position of the bank's score with this ID and time in its chain, or None."""
    parameters = {"score": score_id, "bank": bank_id, "moment": scored_at}
    return connection.execute(_POSITION, parameters).scalar_one_or_none()


def newest(connection: Connection, query: ScoreQuery) -> list[ScoreRow]:
    """Return a bank's scores, newest first. With a seller, scores of erased sellers are left out."""
    statement = _PAGE
    if query.seller_id is not None:
        statement = statement.where(seller_keys.c.seller_id == query.seller_id)
    if query.before is not None:
        statement = statement.where(scores.c.position < query.before)
    return [_score_row(row) for row in connection.execute(statement, {"bank": query.bank_id, "most": query.most})]


def ids_of(connection: Connection, seller_id: str) -> list[tuple[str, str]]:
    """Return chain and id of every score of a seller, oldest first."""
    of_seller = scores.join(seller_keys, seller_keys.c.subject == scores.c.subject)
    query = select(scores.c.chain, scores.c.id).select_from(of_seller).where(seller_keys.c.seller_id == seller_id)
    rows = connection.execute(query.order_by(scores.c.scored_at, scores.c.id))
    return [(chain, score_id) for chain, score_id in rows]


def forget_receipts(connection: Connection, chain: str, positions: Sequence[int]) -> None:
    """Remove the receipts of scores whose contents were dropped."""
    if positions:
        connection.execute(_FORGET, [{"of": chain, "at": position} for position in positions])


def _score_row(joined: Row[Any]) -> ScoreRow:
    index, row, key = joined[:_INDEX], joined[_INDEX : _INDEX + _LEDGER], joined[_INDEX + _LEDGER :]
    return ScoreRow(ScoreIndexEntry(*index), to_row(row), None if key[0] is None else WrappedSellerKey(*key))


@dataclass(frozen=True)
class StoredScore:
    """One readable score: `body` is the original response; `inputs` and `bundle` reproduce its assessment."""

    id: str
    bank_id: str
    seller_id: str
    purpose: str
    scored_at: datetime
    bundle: str
    inputs: bytes
    body: bytes

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The score object of `body`."""
        fields: dict[str, Any] = json.loads(self.body)
        return fields

    @cached_property
    def assessment(self) -> Assessment:
        """The assessment as a typed value; raises as `parse_assessment` does."""
        return envelope.parse_assessment(self.body)

    @cached_property
    def expires_at(self) -> datetime:
        """The time when the score expires."""
        return datetime.fromisoformat(self.fields["expires_at"])


def find_score(connection: Connection, ledger: Ledger, bank_id: str, score_id: str) -> StoredScore | None:
    """Return the bank's score with the ID, or None; also None for another bank's score.

    Raises:
        ScoreErased: the seller was erased.
        LedgerDamaged: the stored score does not match its commitment.
    """
    row = select_score(connection, bank_id, score_id)
    return None if row is None else open_score(ledger, row)


def iterate_scores(connection: Connection, ledger: Ledger) -> Iterator[StoredScore]:
    """Yield every readable score, oldest first, without erased and dropped scores.

    Raises:
        LedgerDamaged: a stored score does not match its commitment.
    """
    query = _COLUMNS.order_by(scores.c.scored_at, scores.c.id)
    for row in map(_score_row, connection.execute(query, execution_options=PORTIONS)):
        if row.key is not None and not row.row.is_dropped:
            yield open_score(ledger, row)


def read_envelope(ledger: Ledger, row: ScoreRow) -> dict[str, Any]:
    """Return the envelope of a score without its receipt, for a list of scores.

    Raises:
        LedgerDamaged: the content of the ledger row is not this score; all else as `open_score`.
    """
    fields: dict[str, Any] = _open_content(ledger, row, committed=True)[2]["envelope"]
    return fields


def read_key_name(ledger: Ledger, row: ScoreRow) -> str | None:
    """Return the stored name of the Idempotency-Key of a score; None if its request had none.

    Raises:
        LedgerDamaged: the content is not that of a score; all else as `open_score`.
    """
    try:
        name: str | None = _open_content(ledger, row, committed=True)[2].get("idempotency_key", {}).get("name")
    except AttributeError as error:
        raise LedgerDamaged from error
    return name


def open_score(ledger: Ledger, row: ScoreRow, *, committed: bool = True) -> StoredScore:
    """Decrypt a stored score; see `read_content` for `committed`.

    Raises:
        ScoreErased: the seller's key is destroyed.
        ScorePastRetention: the content was dropped after its retention period.
        LedgerDamaged: the score cannot be decrypted, does not match its commitment, or is not that of the index.
    """
    index = row.index
    seller_id, key, content = _open_content(ledger, row, committed=committed)
    try:
        body = envelope.rebuild_response(content, row.row, envelope.open_receipt(key, index.id, index.receipt or b""))
        bundle, inputs = content["bundle"], canonical_json(content["inputs"])
    except (DecryptionError, KeyError) as error:
        raise LedgerDamaged from error
    return StoredScore(index.id, index.chain, seller_id, index.purpose, index.scored_at, bundle, inputs, body)


def _open_content(ledger: Ledger, row: ScoreRow, *, committed: bool) -> tuple[str, bytes, dict[str, Any]]:
    """Return the seller's ID and key, and the content of the ledger row."""
    if row.key is None:
        raise ScoreErased
    if row.row.is_dropped:
        raise ScorePastRetention
    try:
        key = ledger.unwrapped(row.key)
        content = envelope.parse_content(read_content(row.row, key, committed=committed))
        # the index could refer to the row of another score
        if content["envelope"]["id"] != row.index.id:
            raise LedgerDamaged
    except (DecryptionError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    return row.key.seller_id, key, content
