"""Retention: what scores were is dropped after its time; that they were given stays provable, row by row.

Erasing a seller: the key that opens what the ledger holds of them, and what is stored of them beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from api.auth import sessions
from api.auth.sessions import UserKind
from api.consents import service as consents
from api.errors import SellerUnknown
from api.kit import database
from api.kit.database import transaction
from api.ledger import store
from api.ledger.chain import SCORE
from api.ledger.store import Ledger, RetentionCutoff
from api.reviews import repository as reviews
from api.scores import repository as scores
from api.scores import shadow
from features.ingest.erasure import erase_rows
from features.store.vectors import VectorStore

KINDS: Final = frozenset({SCORE})
"""Kinds of rows whose contents are dropped; records of the ledger itself are kept."""


_TABLES: Final = ("ledger", "scores", "shadow_scores")


def retention_cutoff(engine: Engine, before: datetime) -> Mapping[str, int]:
    """Return by chain how many contents would be dropped, in order of name; nothing is changed.

    Example: `{"bank-3f9c": 4812}`.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(engine) as connection:
        return store.count_past_retention(connection, RetentionCutoff(KINDS, before))


def drop_expired(
    engine: Engine, ledger: Ledger, *, before: datetime, now: datetime, advance: Callable[[int], None] | None = None
) -> Mapping[str, int]:
    """Drop the contents of all scores recorded before a moment, with their receipts and what challengers said of them.

    It goes by some hundreds of rows, each with its record in one transaction: stopped in between, it has done a part
    and recorded it, and the next time goes on.

    Returns by chain how many contents were dropped.

    Raises:
        DatabaseUnavailable: the database does not answer; what was dropped until then is recorded.
    """
    wanted, dropped = RetentionCutoff(KINDS, before), dict[str, int]()
    for chain in retention_cutoff(engine, before):
        after = 0
        while True:
            with transaction(engine, writes=True) as connection:
                positions = ledger.drop(connection, chain, wanted, after, now)
                shadow.delete_shadow_scores_at(connection, chain, positions)
                scores.forget_receipts(connection, chain, positions)
            if not positions:
                break
            after = positions[-1]
            dropped[chain] = dropped.get(chain, 0) + len(positions)
            if advance is not None:
                advance(sum(dropped.values()))
    database.scrub_deleted(engine, *_TABLES)
    return dropped


_SCRUBBED: Final = (
    "seller_keys",
    "consents",
    "consent_requests",
    "reviews",
    "corrections",
    "login_links",
    "sessions",
)
"""The tables in which a seller stands in clear."""


@dataclass(frozen=True)
class ErasureReport:
    """What was erased: rows of the ledger that can be read no more, by chain, and how much else was removed."""

    positions: Mapping[str, list[int]]
    vectors: int
    consents: int
    requests: int
    rows: int = 0


def erase_seller(
    engine: Engine,
    ledger: Ledger,
    vectors: VectorStore,
    *,
    seller_id: str,
    reason: str,
    now: datetime,
    operating: Path | None = None,
) -> ErasureReport:
    """Destroy a seller's key and record it, and remove their vectors, consents and what a challenger said of them.

    With the folder of operating data, their delivered rows go too, and none is let in again: of what stays, vectors
    could be made that would be scored under a new key.

    Raises:
        SellerUnknown: nothing is stored of the seller.
        StoreError: delivered rows or vectors cannot be removed; the key is as it was, and erasing again goes on.
        DatabaseUnavailable: the database does not answer; the key is as it was, and erasing again goes on.
    """
    rows = 0 if operating is None else erase_rows(operating, seller_id)
    # vectors first: a request that comes after finds none, so that nothing new is scored by a new consent
    removed = vectors.remove(seller_id)
    with transaction(engine, writes=True) as connection:
        # sessions before the key, and the key before any chain: in the order in which those who act take them
        sessions.delete_sessions_of(connection, UserKind.SELLER, seller_id)
        known = store.seller_key(connection, seller_id, to_erase=True)
        granted, asked = consents.forget_consents(connection, seller_id)
        reviewed = reviews.delete_reviews(connection, seller_id)
        # a key that was made since is of a consent that was given since
        positions = {} if known is None else ledger.erase(connection, seller_id, reason, now)
        if known is not None:
            # behind the chains, as retention does
            shadow.delete_shadow_scores(connection, known.subject)
    database.scrub_deleted(engine, *_SCRUBBED)
    if known is None and not (removed or asked or reviewed or rows):
        raise SellerUnknown("Nothing is stored of that seller; check the seller_id.")
    return ErasureReport(positions, removed, granted, asked, rows)
