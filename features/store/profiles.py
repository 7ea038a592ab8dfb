"""What is stored of each seller's picture, as text, in the file of the vectors: of the latest snapshot alone."""

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
"""Percent of others whose value is at most, and at least, the seller's; how many others have one."""


@dataclass(frozen=True)
class Coverage:
    """What one table holds of one seller as of T: his first and last day with a row, and days with rows by step.

    Example: a store opened 40 days ago that sells daily has orders on 10 days of step 10 and on 30 of step 11.
    """

    first: date
    last: date
    days: tuple[int, ...]


@dataclass(frozen=True)
class StoredProfile:
    """What was computed of one seller when the data landed.

    Attributes:
        peers: whom the seller is compared with.
        sums: each of `SUMS`, by step; None where its table was never delivered.
        standings: of each feature, in catalogue order.
        coverage: by table; one that holds no row of the seller is absent.
    """

    peers: PeerGroup
    sums: tuple[Steps | None, ...]
    standings: tuple[StoredStanding, ...]
    coverage: Mapping[str, Coverage]


@dataclass(frozen=True)
class ProfileSet:
    """The pictures of one snapshot, and the digest of what they were made by."""

    definitions: str
    pictures: Iterable[tuple[str, StoredProfile]]


def write_profiles(connection: sqlite3.Connection, snapshot_id: int, made: ProfileSet | None) -> None:
    """Put the pictures of a snapshot, if any, in the place of all that are stored, within the caller's transaction."""
    connection.execute("DELETE FROM pictures")
    connection.execute("DELETE FROM picture_sets")
    if made is None:
        return
    connection.execute("INSERT INTO picture_sets VALUES (?, ?)", (snapshot_id, made.definitions))
    rows = ((seller, snapshot_id, encode(picture)) for seller, picture in made.pictures)
    connection.executemany("INSERT INTO pictures VALUES (?, ?, ?)", rows)


def remove_profiles(connection: sqlite3.Connection, seller_id: str) -> None:
    """Remove a seller's picture, within the caller's transaction."""
    connection.execute("DELETE FROM pictures WHERE seller_id = ?", (seller_id,))


def definitions_of(connection: sqlite3.Connection, snapshot_id: int) -> str | None:
    """Return what the pictures of a snapshot were made by; None where it has none."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'picture_sets'").fetchone() is None:
        return None  # a file from before there were pictures
    found = connection.execute("SELECT definitions FROM picture_sets WHERE snapshot_id = ?", (snapshot_id,)).fetchone()
    return None if found is None else str(found[0])


def read_profile(connection: sqlite3.Connection, seller_id: bytes, snapshot_id: int) -> StoredProfile | None:
    """Return a seller's picture in a snapshot; the id in bytes, which may be no text."""
    found = connection.execute(
        "SELECT content FROM pictures WHERE seller_id = CAST(? AS TEXT) AND snapshot_id = ?",
        (seller_id, snapshot_id),
    ).fetchone()
    return None if found is None else decode(found[0])


def encode(picture: StoredProfile) -> str:
    """Return a picture as compact JSON.

    Example: a coverage is `"orders":["2024-01-01","2024-02-29",[0,30]]`.
    """
    peers = picture.peers
    content = {
        "peers": [peers.scope, peers.category, peers.size, peers.others],
        "sums": picture.sums,
        "standings": picture.standings,
        "coverage": {
            name: [each.first.isoformat(), each.last.isoformat(), each.days] for name, each in picture.coverage.items()
        },
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def decode(content: str) -> StoredProfile:
    """Return the picture that `encoded` wrote."""
    found = json.loads(content)
    scope, category, size, others = found["peers"]
    return StoredProfile(
        PeerGroup(PeerScope(scope), category, size, others),
        tuple(None if steps is None else tuple(steps) for steps in found["sums"]),
        tuple(map(tuple, found["standings"])),
        {
            name: Coverage(date.fromisoformat(first), date.fromisoformat(last), tuple(days))
            for name, (first, last, days) in found["coverage"].items()
        },
    )


class PeerScope(StrEnum):
    """Whom a seller is compared with."""

    CATEGORY_AND_SIZE = "category_and_size"
    CATEGORY = "category"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True)
class PeerGroup:
    """The peers of one seller: how they were chosen, of what category and third, and how many they are beside him."""

    scope: PeerScope
    category: str | None
    size: str | None
    others: int
