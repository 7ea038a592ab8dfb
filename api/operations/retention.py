"""Retention and erasure: deletes expired contents of scores, and all data of a seller, while the evidence remains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from api.auth import sessions
from api.auth.sessions import UserKind
from api.auth.signing_keys import KeyRing
from api.consents import repository as consents
from api.errors import SellerKeyMissing, SellerUnknown
from api.kit import database
from api.kit.database import transaction
from api.ledger.encryption import seller_key
from api.ledger.records import count_past_retention, drop_contents, erase_subject
from api.reviews import repository as reviews
from api.scores import repository as scores
from api.scores import shadow
from features.ingest.erasure import erase_rows
from features.store.vectors import VectorStore

_TABLES: Final = ("ledger", "scores", "shadow_scores")


def retention_cutoff(engine: Engine, before: datetime) -> Mapping[str, int]:
    """Return the number of expired contents by chain, in order of name.

    Example: `{"bank-3f9c": 4812}`.

    Raises:
        DatabaseUnavailable: The database does not respond.
    """
    with transaction(engine) as connection:
        return count_past_retention(connection, before)


def drop_expired(
    engine: Engine, ring: KeyRing, *, before: datetime, now: datetime, advance: Callable[[int], None] | None = None
) -> Mapping[str, int]:
    """Drop the contents of all scores recorded before a time, with their receipts and shadow scores.

    Each transaction drops some hundreds of contents and records them, signed with the keys of receipts. If the call is
    interrupted, the next call continues. Return the number of dropped contents by chain.

    Raises:
        DatabaseUnavailable: The database does not respond. What was dropped before is recorded.
    """
    dropped = dict[str, int]()
    for chain in retention_cutoff(engine, before):
        after = 0
        while True:
            with transaction(engine, writes=True) as connection:
                positions = drop_contents(connection, ring, chain, before=before, after=after, now=now)
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
"""The tables that hold seller IDs in clear."""


@dataclass(frozen=True)
class ErasureReport:
    """The result of an erasure: positions of unreadable ledger rows by chain, and numbers of deleted records.

    `had_key` is False if the seller had no key: they never had a score, a consent or a review, or it was removed.
    """

    positions: Mapping[str, list[int]]
    vectors: int
    consents: int
    requests: int
    rows: int = 0
    had_key: bool = True


def erase_seller(
    engine: Engine,
    ring: KeyRing,
    vectors: VectorStore,
    *,
    seller_id: str,
    reason: str,
    now: datetime,
    operating: Path | None = None,
) -> ErasureReport:
    """Destroy the key of a seller and record it; delete their vectors, consents, reviews and shadow scores.

    The record is signed with the keys of receipts.
    With the folder of operating data, their delivered rows are deleted too, and later ones are rejected. Otherwise new
    vectors could be computed and scored under a new key.

    Raises:
        SellerUnknown: Nothing about the seller is stored.
        SellerKeyMissing: The seller has consents or reviews, but no key. The database is unchanged.
        StoreError: Delivered rows or vectors cannot be deleted. The key is unchanged; repeat the call to continue.
        DatabaseUnavailable: The database does not respond. The key is unchanged; repeat the call to continue.
    """
    rows = 0 if operating is None else erase_rows(operating, seller_id)
    # vectors first, so that a concurrent request with a new consent cannot score the seller
    removed = vectors.remove(seller_id)
    with transaction(engine, writes=True) as connection:
        # the lock order of all writers: sessions, the key, then chains
        sessions.delete_sessions_of(connection, UserKind.SELLER, seller_id)
        key = seller_key(connection, seller_id, to_erase=True)
        granted, requested = consents.delete_consents(connection, seller_id)
        reviewed = reviews.delete_reviews(connection, seller_id)
        # a key that was created later belongs to a later consent
        if key is None and (granted or reviewed):
            raise SellerKeyMissing(
                "This seller has consents or reviews, but no key in the table seller_keys, so their ledger rows cannot "
                "be erased. Run `sellerscore ledger verify`, restore the key from a backup, then erase the seller."
            )
        positions = {} if key is None else erase_subject(connection, ring, seller_id, reason, now)
        if key is not None:
            # after the chains, as for retention
            shadow.delete_shadow_scores(connection, key.subject)
    database.scrub_deleted(engine, *_SCRUBBED)
    if key is None and not (removed or requested or reviewed or rows):
        raise SellerUnknown(
            "Nothing about this seller is stored. Check the seller_id. After an earlier erasure, this is as it must be."
        )
    return ErasureReport(positions, removed, granted, requested, rows, had_key=key is not None)
