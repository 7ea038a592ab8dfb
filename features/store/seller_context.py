"""Seller context in the vector file: country, base currency and exchange rates as of the latest snapshot."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

CONTEXT_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS rates (
    snapshot_id INTEGER PRIMARY KEY REFERENCES snapshots (id),
    usd_per_unit TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS circumstances (
    seller_id TEXT PRIMARY KEY,
    snapshot_id INTEGER NOT NULL REFERENCES snapshots (id),
    country TEXT,
    base_currency TEXT
) WITHOUT ROWID;
"""

_READ: Final = (
    "SELECT country, base_currency, usd_per_unit FROM rates LEFT JOIN circumstances "
    "ON circumstances.snapshot_id = rates.snapshot_id AND seller_id = CAST(? AS TEXT) WHERE rates.snapshot_id = ?"
)


@dataclass(frozen=True)
class SellerContext:
    """A seller's country and base currency, None if unknown, and US dollars for one unit of each known currency.

    Example: `SellerContext("CN", "CNY", {"CNY": 0.145, "USD": 1.0})`.
    """

    country: str | None = None
    base_currency: str | None = None
    usd_per_unit: Mapping[str, float] = field(default_factory=dict)


UNKNOWN_CONTEXT: Final = SellerContext()
"""The context of a seller without a stored context."""


@dataclass(frozen=True)
class SellerContextSet:
    """The contexts of one snapshot: shared rates, and seller id, country and base currency of each seller."""

    usd_per_unit: Mapping[str, float]
    sellers: Iterable[tuple[str, str | None, str | None]]


def delete_context(connection: sqlite3.Connection) -> None:
    """Delete all stored contexts, within the caller's transaction."""
    connection.execute("DELETE FROM circumstances")
    connection.execute("DELETE FROM rates")


def write_context(connection: sqlite3.Connection, snapshot_id: int, contexts: SellerContextSet | None) -> None:
    """Add the contexts of a snapshot, within the caller's transaction."""
    if contexts is None:
        return
    rates = json.dumps(dict(sorted(contexts.usd_per_unit.items())), allow_nan=False)
    connection.execute("INSERT INTO rates VALUES (?, ?)", (snapshot_id, rates))
    rows = ((seller, snapshot_id, country, currency) for seller, country, currency in contexts.sellers)
    connection.executemany("INSERT INTO circumstances VALUES (?, ?, ?, ?)", rows)


def remove_context(connection: sqlite3.Connection, seller_id: str) -> None:
    """Remove a seller's context, within the caller's transaction."""
    connection.execute("DELETE FROM circumstances WHERE seller_id = ?", (seller_id,))


def read_rates(connection: sqlite3.Connection, snapshot_id: int) -> dict[str, float] | None:
    """Return US dollars for one unit of each currency; None if the snapshot has no rates."""
    row = connection.execute("SELECT usd_per_unit FROM rates WHERE snapshot_id = ?", (snapshot_id,)).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def read_context(connection: sqlite3.Connection, seller_id: bytes, snapshot_id: int) -> SellerContext:
    """Return a seller's context in a snapshot."""
    row = connection.execute(_READ, (seller_id, snapshot_id)).fetchone()
    return UNKNOWN_CONTEXT if row is None else SellerContext(row[0], row[1], json.loads(row[2]))
