"""The tables of the vector file: their schema, and reading and writing of snapshots and vectors."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import msgspec

from features.errors import StoreError
from features.store import profiles as profile_tables
from features.store import seller_context as context_tables
from features.store.profiles import ProfileSet
from features.store.seller_context import UNKNOWN_CONTEXT, SellerContext, SellerContextSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = 1
"""The version of the tables; a file of another version is computed again."""

TABLES: Final = ("circumstances", "rates", "pictures", "picture_sets", "vectors", "snapshots")
SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS snapshots (
    id INTEGER PRIMARY KEY,
    as_of TEXT NOT NULL,
    data_version TEXT NOT NULL,
    catalogue TEXT NOT NULL,
    covers_through TEXT NOT NULL,
    computation INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS snapshots_of_computation ON snapshots (computation);
CREATE TABLE IF NOT EXISTS vectors (
    seller_id TEXT NOT NULL,
    snapshot_id INTEGER NOT NULL REFERENCES snapshots (id),
    feature_values TEXT NOT NULL,
    PRIMARY KEY (seller_id, snapshot_id)
) WITHOUT ROWID;
{profile_tables.PROFILE_SCHEMA}
{context_tables.CONTEXT_SCHEMA}
"""
_COLUMNS: Final = "id, as_of, data_version, catalogue, covers_through"
IN_LATEST: Final = "computation = (SELECT max(computation) FROM snapshots)"
_VECTOR: Final = (
    f"SELECT {_COLUMNS}, feature_values FROM snapshots JOIN vectors ON snapshot_id = id "  # noqa: S608 - our own text
    f"WHERE seller_id = CAST(? AS TEXT) AND {IN_LATEST}"
)
_LATEST: Final = f"SELECT {_COLUMNS} FROM snapshots WHERE {IN_LATEST} ORDER BY as_of DESC, id"  # noqa: S608

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Snapshot:
    """What the vectors of sellers with the same coverage share; `covers_through` names the delivered tables only."""

    as_of: date
    data_version: str
    catalogue: str
    covers_through: Mapping[str, date]


@dataclass(frozen=True)
class StoredVector:
    """One seller's values in catalogue order (None is missing), with their snapshot.

    `context` is set by `VectorStore.latest` only.
    """

    seller_id: str
    snapshot: Snapshot
    values: Values
    context: SellerContext = UNKNOWN_CONTEXT


@dataclass(frozen=True)
class VectorBlock:
    """The vectors of sellers with one snapshot, as a matrix of shape (sellers, features), NaN if missing."""

    snapshot: Snapshot
    seller_ids: list[str]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class SnapshotRows:
    """A snapshot to store, with the vectors, profiles and contexts of its sellers."""

    snapshot: Snapshot
    rows: Iterable[tuple[str, Values]]
    profiles: ProfileSet | None = None
    contexts: SellerContextSet | None = None


def has_format(connection: sqlite3.Connection) -> bool:
    """Return whether a file has the tables of this version, or none yet."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    return bool(version == FORMAT or not tables)


def to_bytes(seller_id: str) -> bytes:
    """Return an id for a query. From the command line it may be invalid UTF-8, which SQLite does not accept as text."""
    return seller_id.encode("utf-8", "surrogateescape")


def delete_equal(connection: sqlite3.Connection, snapshots: Iterable[Snapshot]) -> int:
    """Delete what the snapshots and their profiles and contexts replace; return the number of the new computation."""
    profile_tables.delete_profiles(connection)
    context_tables.delete_context(connection)
    for each in snapshots:
        key = (each.as_of.isoformat(), each.data_version, each.catalogue)
        connection.execute(
            "DELETE FROM vectors WHERE snapshot_id IN "
            "(SELECT id FROM snapshots WHERE (as_of, data_version, catalogue) = (?, ?, ?))",
            key,
        )
        connection.execute("DELETE FROM snapshots WHERE (as_of, data_version, catalogue) = (?, ?, ?)", key)
    (last,) = connection.execute("SELECT max(computation) FROM snapshots").fetchone()
    return int(last or 0) + 1


def write_snapshot(connection: sqlite3.Connection, part: SnapshotRows, computation: int) -> int:
    """Write a snapshot and return its number of sellers."""
    snapshot = part.snapshot
    covers = json.dumps({name: day.isoformat() for name, day in sorted(snapshot.covers_through.items())})
    key = connection.execute(
        "INSERT INTO snapshots (as_of, data_version, catalogue, covers_through, computation) VALUES (?, ?, ?, ?, ?)",
        (snapshot.as_of.isoformat(), snapshot.data_version, snapshot.catalogue, covers, computation),
    ).lastrowid
    snapshot_id = int(key or 0)
    count = connection.executemany(
        "INSERT INTO vectors (seller_id, snapshot_id, feature_values) VALUES (?, ?, ?)",
        ((seller, snapshot_id, _encode(seller, values)) for seller, values in part.rows),
    ).rowcount
    profile_tables.write_profiles(connection, snapshot_id, part.profiles)
    context_tables.write_context(connection, snapshot_id, part.contexts)
    return count


def _encode(seller: str, values: Values) -> str:
    try:
        return json.dumps(values, allow_nan=False)
    except ValueError as error:
        raise StoreError(
            f"The vector of seller {seller} contains NaN or an infinite number, so nothing was stored. "
            "Use None for a missing value."
        ) from error


def decode_values(values: str) -> Values:
    """Return the values of a stored vector."""
    return tuple(json.loads(values))


def decode_matrix(rows: Iterable[str]) -> NDArray[np.float64]:
    """Return the values of stored vectors, shape (vectors, features), NaN if missing."""
    import numpy as np

    return np.array(msgspec.json.decode(f"[{','.join(rows)}]", type=list[list[float | None]]), dtype=np.float64)


def read_snapshots(connection: sqlite3.Connection) -> dict[int, Snapshot]:
    """Return the snapshots of the latest computation by key, that of the latest midnight first."""
    return {key: read_snapshot(*rest) for key, *rest in connection.execute(_LATEST)}


def read_vector(connection: sqlite3.Connection, seller_id: str) -> tuple[int, StoredVector] | None:
    """Return the key of a seller's snapshot in the latest computation, and the vector; None without the seller."""
    row = connection.execute(_VECTOR, (to_bytes(seller_id),)).fetchone()
    if row is None:
        return None
    return row[0], StoredVector(seller_id, read_snapshot(*row[1:5]), decode_values(row[5]))


def read_snapshot(as_of: str, data_version: str, catalogue: str, covers: str) -> Snapshot:
    """Return a snapshot from the columns of its row."""
    through = {name: date.fromisoformat(day) for name, day in json.loads(covers).items()}
    return Snapshot(date.fromisoformat(as_of), data_version, catalogue, through)
