"""Erasing a seller: the key that opens what the ledger holds of them, and what is stored of them beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from api import durability
from api.consents import service as consents
from api.database import transaction
from api.errors import SellerUnknown
from api.ledger import repository
from api.ledger.service import Ledger
from api.reviews import repository as reviews
from api.seller_sessions import repository as sessions
from api.seller_sessions.repository import Person
from api.shadow import repository as shadow
from features.ingest.erasure import erase_rows
from features.store.vectors import VectorStore

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
class Erased:
    """What was erased: rows of the ledger that can be read no more, by chain, and how much else was removed."""

    positions: Mapping[str, list[int]]
    vectors: int
    consents: int
    requests: int
    rows: int = 0


def erase(
    engine: Engine,
    ledger: Ledger,
    vectors: VectorStore,
    *,
    seller_id: str,
    reason: str,
    now: datetime,
    operating: Path | None = None,
) -> Erased:
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
        sessions.end_all(connection, Person.SELLER, seller_id)
        known = repository.seller_key(connection, seller_id, to_erase=True)
        granted, asked = consents.forget(connection, seller_id)
        reviewed = reviews.forget(connection, seller_id)
        # a key that was made since is of a consent that was given since
        positions = {} if known is None else ledger.erase(connection, seller_id, reason, now)
        if known is not None:
            # behind the chains, as retention does
            shadow.forget(connection, known.subject)
    durability.scrub(engine, *_SCRUBBED)
    if known is None and not (removed or asked or reviewed or rows):
        raise SellerUnknown("Nothing is stored of that seller; check the seller_id.")
    return Erased(positions, removed, granted, asked, rows)
