"""What is known of a seller as of T that is no feature: the country, the base currency, and what currencies are worth.

Computed when data has landed (`landing`), stored beside the vectors (`stored`).

What is stored of sellers' circumstances and of rates, in the file of the vectors: of the latest snapshot alone.
"""

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
    """A seller's country and base currency, None where not known, and US dollars for a unit of each known currency.

    Example: `Circumstances("CN", "CNY", {"CNY": 0.145, "USD": 1.0})`.
    """

    country: str | None = None
    base_currency: str | None = None
    usd_per_unit: Mapping[str, float] = field(default_factory=dict)


UNKNOWN_CONTEXT: Final = SellerContext()
"""What a snapshot from before circumstances were stored tells."""


@dataclass(frozen=True)
class SellerContextSet:
    """The circumstances of one snapshot: rates that all share, and seller id, country and base currency of each."""

    usd_per_unit: Mapping[str, float]
    sellers: Iterable[tuple[str, str | None, str | None]]


def write_context(connection: sqlite3.Connection, snapshot_id: int, made: SellerContextSet | None) -> None:
    """Put those of a snapshot, if any, in the place of all that are stored, within the caller's transaction."""
    connection.execute("DELETE FROM circumstances")
    connection.execute("DELETE FROM rates")
    if made is None:
        return
    rates = json.dumps(dict(sorted(made.usd_per_unit.items())), allow_nan=False)
    connection.execute("INSERT INTO rates VALUES (?, ?)", (snapshot_id, rates))
    rows = ((seller, snapshot_id, country, currency) for seller, country, currency in made.sellers)
    connection.executemany("INSERT INTO circumstances VALUES (?, ?, ?, ?)", rows)


def remove_context(connection: sqlite3.Connection, seller_id: str) -> None:
    """Remove a seller's circumstances, within the caller's transaction."""
    connection.execute("DELETE FROM circumstances WHERE seller_id = ?", (seller_id,))


def rates_of(connection: sqlite3.Connection, snapshot_id: int) -> dict[str, float] | None:
    """Return US dollars for a unit of each currency; None where none were stored with the snapshot."""
    if not _table_exists(connection):
        return None
    found = connection.execute("SELECT usd_per_unit FROM rates WHERE snapshot_id = ?", (snapshot_id,)).fetchone()
    return None if found is None else dict(json.loads(found[0]))


def read_context(connection: sqlite3.Connection, seller_id: bytes, snapshot_id: int) -> SellerContext:
    """Return a seller's circumstances in a snapshot."""
    found = connection.execute(_READ, (seller_id, snapshot_id)).fetchone() if _table_exists(connection) else None
    return UNKNOWN_CONTEXT if found is None else SellerContext(found[0], found[1], json.loads(found[2]))


def _table_exists(connection: sqlite3.Connection) -> bool:
    # a file from before there were circumstances has no such table
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rates'").fetchone() is not None
