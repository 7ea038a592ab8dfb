"""Seller profiles in the vector file: their types, their JSON, and reading and writing those of the latest snapshot."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

PROFILE_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS picture_sets (
    snapshot_id INTEGER PRIMARY KEY REFERENCES snapshots (id),
    definitions TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS pictures (
    seller_id TEXT PRIMARY KEY,
    snapshot_id INTEGER NOT NULL REFERENCES snapshots (id),
    content TEXT NOT NULL
);
"""

Steps = tuple[int, ...]

StoredStanding = tuple[int | None, int | None, int]
"""Percent of peers with a value at most, and at least, the seller's; number of peers with a value."""


class PeerScope(StrEnum):
    """The group with which a seller is compared."""

    CATEGORY_AND_SIZE = "category_and_size"
    CATEGORY = "category"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True)
class PeerGroup:
    """The peers of one seller: their scope, category and size third, and their number without the seller."""

    scope: PeerScope
    category: str | None
    size: str | None
    others: int


@dataclass(frozen=True)
class Coverage:
    """The rows of one table of a seller as of T: first and last day with a row, and days with rows by step.

    Example: a store opened 40 days ago that sells daily has orders on 10 days of step 10 and on 30 of step 11.
    """

    first: date
    last: date
    days: tuple[int, ...]


@dataclass(frozen=True)
class StoredProfile:
    """The stored values of one seller's profile.

    Attributes:
        peers: the group with which the seller is compared.
        sums: the series of `SUMS`, by step; None if its table was never delivered.
        standings: the position among peers of each feature, in catalogue order.
        coverage: coverage by table; tables without rows of the seller are absent.
    """

    peers: PeerGroup
    sums: tuple[Steps | None, ...]
    standings: tuple[StoredStanding, ...]
    coverage: Mapping[str, Coverage]


@dataclass(frozen=True)
class ProfileSet:
    """The profiles of one snapshot, and the digest of the definitions from which they were computed."""

    definitions: str
    profiles: Iterable[tuple[str, StoredProfile]]


def delete_profiles(connection: sqlite3.Connection) -> None:
    """Delete all stored profiles, within the caller's transaction."""
    connection.execute("DELETE FROM pictures")
    connection.execute("DELETE FROM picture_sets")


def write_profiles(connection: sqlite3.Connection, snapshot_id: int, profiles: ProfileSet | None) -> None:
    """Add the profiles of a snapshot, within the caller's transaction."""
    if profiles is None:
        return
    connection.execute("INSERT INTO picture_sets VALUES (?, ?)", (snapshot_id, profiles.definitions))
    rows = ((seller, snapshot_id, encode(profile)) for seller, profile in profiles.profiles)
    connection.executemany("INSERT INTO pictures VALUES (?, ?, ?)", rows)


def remove_profile(connection: sqlite3.Connection, seller_id: str) -> None:
    """Remove a seller's profile, within the caller's transaction."""
    connection.execute("DELETE FROM pictures WHERE seller_id = ?", (seller_id,))


def read_definitions(connection: sqlite3.Connection, snapshot_id: int) -> str | None:
    """Return the digest of the definitions of a snapshot's profiles; None if it has no profiles."""
    row = connection.execute("SELECT definitions FROM picture_sets WHERE snapshot_id = ?", (snapshot_id,)).fetchone()
    return None if row is None else str(row[0])


def read_profile(connection: sqlite3.Connection, seller_id: bytes, snapshot_id: int) -> StoredProfile | None:
    """Return a seller's profile in a snapshot; the id is bytes, since it may not be valid text."""
    row = connection.execute(
        "SELECT content FROM pictures WHERE seller_id = CAST(? AS TEXT) AND snapshot_id = ?", (seller_id, snapshot_id)
    ).fetchone()
    return None if row is None else decode(row[0])


def encode(profile: StoredProfile) -> str:
    """Return a profile as compact JSON.

    Example: a coverage is `"orders":["2024-01-01","2024-02-29",[0,30]]`.
    """
    peers = profile.peers
    content = {
        "peers": [peers.scope, peers.category, peers.size, peers.others],
        "sums": profile.sums,
        "standings": profile.standings,
        "coverage": {
            name: [each.first.isoformat(), each.last.isoformat(), each.days] for name, each in profile.coverage.items()
        },
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def decode(content: str) -> StoredProfile:
    """Return the profile from the text of `encode`."""
    fields = json.loads(content)
    scope, category, size, others = fields["peers"]
    return StoredProfile(
        PeerGroup(PeerScope(scope), category, size, others),
        tuple(None if steps is None else tuple(steps) for steps in fields["sums"]),
        tuple(map(tuple, fields["standings"])),
        {
            name: Coverage(date.fromisoformat(first), date.fromisoformat(last), tuple(days))
            for name, (first, last, days) in fields["coverage"].items()
        },
    )
