"""Scores as they are stored, opened: between the index, the ledger and the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.errors import LedgerDamaged, ScoreErased, ScorePastRetention
from api.ledger.repository import SellerKey
from api.ledger.sealing import SealBrokenError
from api.ledger.service import Ledger, content_of
from api.scores import answer, repository
from api.scores.repository import Kept
from scoring.canonical import canonical_json


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


def find(connection: Connection, ledger: Ledger, bank_id: str, score_id: str) -> StoredScore | None:
    """Return the bank's score stored under the id, or None; another bank's is none.

    Raises:
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
    """
    kept = repository.find(connection, bank_id, score_id)
    return None if kept is None else open_kept(ledger, kept)


def every(connection: Connection, ledger: Ledger, since: datetime | None = None) -> Iterator[StoredScore]:
    """Yield every score that can be read, oldest first; erased and dropped ones are left out.

    Args:
        connection: of the database.
        ledger: that holds them.
        since: leave out what was scored before this moment.

    Raises:
        LedgerDamaged: what is stored is not what was.
    """
    for kept in repository.every(connection, since):
        if kept.key is not None and not kept.row.is_dropped:
            yield open_kept(ledger, kept)


def envelope_of(ledger: Ledger, kept: Kept) -> dict[str, Any]:
    """Return what a score says, for who shows some of it: neither its receipt nor its bytes are put together.

    Raises:
        ScoreErased: the seller's key is destroyed.
        ScorePastRetention: what it was is kept no more.
        LedgerDamaged: it does not open, or is not what was committed to.
    """
    seller = _readable(kept)
    try:
        content = answer.parsed(content_of(kept.row, ledger.unwrapped(seller)))
        found: dict[str, Any] = content["envelope"]
    except (SealBrokenError, json.JSONDecodeError, KeyError) as error:
        raise LedgerDamaged from error
    return found


def open_kept(ledger: Ledger, kept: Kept, *, committed: bool = True) -> StoredScore:
    """Open what is stored; see `content_of` for `committed`.

    Raises:
        ScoreErased: the seller's key is destroyed.
        ScorePastRetention: what it was is kept no more.
        LedgerDamaged: something does not open, or is not what was committed to.
    """
    seller = _readable(kept)
    try:
        key = ledger.unwrapped(seller)
        content = answer.parsed(content_of(kept.row, key, committed=committed))
        receipt = answer.opened_receipt(key, kept.index.id, kept.index.receipt or b"")
        body = answer.read_again(content, kept.row, receipt)
        bundle, inputs = content["bundle"], canonical_json(content["inputs"])
    except (SealBrokenError, json.JSONDecodeError, KeyError) as error:
        raise LedgerDamaged from error
    index = kept.index
    return StoredScore(index.id, index.chain, seller.seller_id, index.purpose, index.scored_at, bundle, inputs, body)


def _readable(kept: Kept) -> SellerKey:
    """Return the key of a score that is still there to be read."""
    if kept.key is None:
        raise ScoreErased
    if kept.row.is_dropped:
        raise ScorePastRetention
    return kept.key
