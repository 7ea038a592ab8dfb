"""The vector store: feature vectors, profiles and contexts by seller in one SQLite file, computed when data arrive.

A snapshot is the sellers with the same coverage, as of its latest midnight, from one version of the operating data. A
computation has one snapshot, or several if the data of sellers end on different days. It is written in one transaction,
so readers see the previous computation or the new one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from features.errors import StoreError
from features.profile.series import digest as profile_digest
from features.store import profiles as profile_tables
from features.store import seller_context as context_tables
from features.store.profiles import ProfileSet, StoredProfile
from features.store.seller_context import UNKNOWN_CONTEXT, SellerContext, SellerContextSet

_DELETE: Final = "delete the file and "
_ALLOW: Final = "give this user read and write permission for its folder, then "
_REMEDIES: Final = {
    sqlite3.SQLITE_NOTADB: _DELETE,
    sqlite3.SQLITE_CORRUPT: _DELETE,
    sqlite3.SQLITE_CANTOPEN: _ALLOW,
    sqlite3.SQLITE_READONLY: _ALLOW,
}
"""What to do before the vectors are computed again, by SQLite's result code."""

_NO_VECTORS: Final = "No feature vectors are stored yet. Run `sellerscore features` after an ingest."
_FORMAT: Final = 1
"""The version of the tables; a file of another version is computed again."""

_OTHER_FORMAT: Final = "The feature vectors were stored by another version of SellerScore. Run `sellerscore features`."
_TABLES: Final = ("circumstances", "rates", "pictures", "picture_sets", "vectors", "snapshots")
_SCHEMA: Final = f"""
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
_IN_LATEST: Final = "computation = (SELECT max(computation) FROM snapshots)"
_VECTOR: Final = (
    f"SELECT {_COLUMNS}, feature_values FROM snapshots JOIN vectors ON snapshot_id = id "  # noqa: S608 - our own text
    f"WHERE seller_id = CAST(? AS TEXT) AND {_IN_LATEST}"
)
_LATEST: Final = f"SELECT {_COLUMNS} FROM snapshots WHERE {_IN_LATEST} ORDER BY as_of DESC, id"  # noqa: S608

_File = tuple[int, int, int]
"""Process, device and inode."""

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
class SnapshotRows:
    """A snapshot to store, with the vectors, profiles and contexts of its sellers."""

    snapshot: Snapshot
    rows: Iterable[tuple[str, Values]]
    profiles: ProfileSet | None = None
    contexts: SellerContextSet | None = None


class VectorStore:
    """Read and write vectors in one SQLite file.

    Reading methods raise StoreError if no snapshot is stored or the file cannot be read.

    Example:
        >>> store = VectorStore(Path("var/vectors.db"))
        >>> store.latest("S-000001").values[:2]  # doctest: +SKIP
        (10.4, 0.031)
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._idle: list[tuple[_File, sqlite3.Connection]] = []

    def replace(
        self,
        snapshot: Snapshot,
        rows: Iterable[tuple[str, Values]],
        profiles: ProfileSet | None = None,
        contexts: SellerContextSet | None = None,
    ) -> int:
        """Store one snapshot as the latest computation, see `replace_all`, and return its number of sellers."""
        return sum(self.replace_all([SnapshotRows(snapshot, rows, profiles, contexts)]))

    def replace_all(self, parts: Sequence[SnapshotRows]) -> tuple[int, ...]:
        """Store snapshots as the latest computation, in place of equal ones; return the number of sellers of each.

        Snapshots are equal if midnight, data version and catalogue are. Profiles and contexts are stored for the latest
        computation only.

        Raises:
            StoreError: a value is NaN or infinite, a seller occurs twice, or the file cannot be written. The stored
                snapshots do not change.
        """
        with _map_errors(self._path, "written"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path)) as connection:
                # an error of the commit is raised after the first row
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                # a deleted profile must not stay readable in free pages
                connection.execute("PRAGMA secure_delete = ON")
                if not _has_format(connection):
                    connection.executescript("".join(f"DROP TABLE IF EXISTS {name};" for name in _TABLES))
                connection.executescript(f"{_SCHEMA} PRAGMA user_version = {_FORMAT};")
                with connection:
                    computation = _delete_equal(connection, [part.snapshot for part in parts])
                    return tuple(_write(connection, part, computation) for part in parts)

    def remove(self, seller_id: str) -> int:
        """Remove and overwrite a seller's vectors of all snapshots, profile and context; return the number of vectors.

        Example: `store.remove("S-000001")` is 12 if twelve months are stored, 0 the second time.

        Raises:
            StoreError: the file cannot be written; nothing was removed.
        """
        if not self._path.exists():
            return 0
        with _map_errors(self._path, "written"), closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            with connection:
                profile_tables.remove_profile(connection, seller_id)
                context_tables.remove_context(connection, seller_id)
                removed = connection.execute("DELETE FROM vectors WHERE seller_id = ?", (seller_id,)).rowcount
            # split pages and the write-ahead log still have copies of removed rows
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def count_sellers(self, *snapshots: Snapshot) -> tuple[int, ...] | None:
        """Return the number of sellers of each snapshot of the latest computation, else None.

        It must have exactly these snapshots, and each must have profiles of the current definitions and contexts.
        """
        if not self._path.exists():
            return None
        with suppress(_OtherFormatError), self._open() as connection:
            stored = _read_snapshots(connection)
            if len(stored) != len(snapshots) or any(each not in stored.values() for each in snapshots):
                return None
            if any(
                profile_tables.read_definitions(connection, key) != profile_digest()
                or context_tables.read_rates(connection, key) is None
                for key in stored
            ):
                return None
            counted = "SELECT count(*) FROM vectors WHERE snapshot_id = ?"
            keys = [next(key for key, each in stored.items() if each == snapshot) for snapshot in snapshots]
            return tuple(int(connection.execute(counted, (key,)).fetchone()[0]) for key in keys)
        return None

    def latest(self, seller_id: str) -> StoredVector | None:
        """Return the seller's vector and context in the latest computation; None if it does not have the seller."""
        with self._open() as connection:
            found = _read_vector(connection, seller_id)
            if found is None:
                return None
            key, vector = found
            return replace(vector, context=context_tables.read_context(connection, _to_bytes(seller_id), key))

    def newest(self) -> StoredVector | None:
        """Return a vector as of the latest midnight of the latest computation; None if it has no sellers.

        Example: if the data of one seller of many end a month early, it is not the vector of that seller.
        """
        with self._open() as connection:
            for key, snapshot in _latest_snapshots(connection).items():
                first = "SELECT seller_id, feature_values FROM vectors WHERE snapshot_id = ? ORDER BY seller_id LIMIT 1"
                if row := connection.execute(first, (key,)).fetchone():
                    return StoredVector(row[0], snapshot, _decode(row[1]))
        return None

    def usd_per_unit(self) -> Mapping[str, float]:
        """Return US dollars for one unit of each known currency as of the latest midnight, such as `{"CNY": 0.145}`."""
        with self._open() as connection:
            return context_tables.read_rates(connection, next(iter(_latest_snapshots(connection)))) or {}

    def profile(self, seller_id: str) -> tuple[StoredVector, StoredProfile] | None:
        """Return the seller's vector and profile in the latest computation; None if it does not have the seller.

        Raises:
            StoreError: also if the computation has no profiles of the current definitions.
        """
        with self._open() as connection:
            for key in _latest_snapshots(connection):
                if profile_tables.read_definitions(connection, key) != profile_digest():
                    raise StoreError("No seller profiles are stored for these vectors. Run `sellerscore features`.")
            found = _read_vector(connection, seller_id)
            if found is None:
                return None
            profile = profile_tables.read_profile(connection, _to_bytes(seller_id), found[0])
        return None if profile is None else (found[1], profile)

    def earlier(self, than: StoredVector) -> StoredVector | None:
        """Return the same seller's vector as of the previous stored midnight of the same catalogue.

        Example: of monthly snapshots, that of a month ago; None if the seller has no earlier one.
        """
        with self._open() as connection:
            row = connection.execute(
                "SELECT as_of, data_version, catalogue, covers_through, feature_values FROM snapshots "
                "JOIN vectors ON snapshot_id = id WHERE seller_id = ? AND as_of < ? AND catalogue = ? "
                "ORDER BY as_of DESC, id DESC LIMIT 1",
                (than.seller_id, than.snapshot.as_of.isoformat(), than.snapshot.catalogue),
            ).fetchone()
        return None if row is None else StoredVector(than.seller_id, _snapshot(*row[:4]), _decode(row[4]))

    def all_latest(self) -> Iterator[StoredVector]:
        """Yield every seller's vector in the latest computation, in order of seller id."""
        with self._open() as connection:
            snapshots = _latest_snapshots(connection)
            rows = connection.execute(
                "SELECT seller_id, snapshot_id, feature_values FROM vectors WHERE snapshot_id IN "  # noqa: S608
                f"(SELECT id FROM snapshots WHERE {_IN_LATEST}) ORDER BY seller_id"
            )
            for seller_id, key, values in rows:
                yield StoredVector(seller_id, snapshots[key], _decode(values))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with _map_errors(self._path, "read"):
            if not self._path.exists():
                raise StoreError(_NO_VECTORS)
            connection = self._idle_or_new(file := self._file())
            try:
                # one transaction for all reads, so that they see one snapshot
                connection.execute("BEGIN")
                yield connection
                connection.execute("ROLLBACK")
            except BaseException:
                connection.close()
                raise
            self._idle.append((file, connection))

    def _idle_or_new(self, file: _File) -> sqlite3.Connection:
        # a new connection reads the schema first, which takes longer than reading one seller
        while self._idle:
            with suppress(IndexError):
                opened, connection = self._idle.pop()
                if opened == file:
                    return connection
                connection.close()
        address = f"{self._path.as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        if not _has_format(connection):
            connection.close()
            raise _OtherFormatError(_OTHER_FORMAT)
        return connection

    def _file(self) -> _File:
        # a connection must not be used after a fork, or after the file was replaced
        status = self._path.stat()
        return os.getpid(), status.st_dev, status.st_ino


class _OtherFormatError(StoreError):
    """The file has the tables of another version."""


def _has_format(connection: sqlite3.Connection) -> bool:
    """Return whether a file has the tables of this version, or none yet."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    return bool(version == _FORMAT or not tables)


@contextmanager
def _map_errors(path: Path, done: str) -> Iterator[None]:
    """Convert errors of SQLite and the file system into a StoreError; `done` is `read` or `written`."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreError(
            "A seller has two vectors in the snapshot, so nothing was stored. Give each seller one vector."
        ) from error
    except (sqlite3.Error, OSError) as error:
        reason, remedy = getattr(error, "strerror", None) or str(error), _ALLOW
        if isinstance(error, sqlite3.Error):
            # the low byte is the primary result code
            remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
        raise StoreError(
            f"The feature vectors in {path} cannot be {done} ({reason}); {remedy}run `sellerscore features`."
        ) from error


def _to_bytes(seller_id: str) -> bytes:
    # an id from the command line may be invalid UTF-8, which SQLite does not accept as text
    return seller_id.encode("utf-8", "surrogateescape")


def _delete_equal(connection: sqlite3.Connection, snapshots: Iterable[Snapshot]) -> int:
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


def _write(connection: sqlite3.Connection, part: SnapshotRows, computation: int) -> int:
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


def _decode(values: str) -> Values:
    return tuple(json.loads(values))


def _read_snapshots(connection: sqlite3.Connection) -> dict[int, Snapshot]:
    """Return the snapshots of the latest computation by key, that of the latest midnight first."""
    return {key: _snapshot(*rest) for key, *rest in connection.execute(_LATEST)}


def _latest_snapshots(connection: sqlite3.Connection) -> dict[int, Snapshot]:
    """Return the snapshots of the latest computation; raise StoreError if there is none."""
    if snapshots := _read_snapshots(connection):
        return snapshots
    raise StoreError(_NO_VECTORS)


def _read_vector(connection: sqlite3.Connection, seller_id: str) -> tuple[int, StoredVector] | None:
    """Return the key of a seller's snapshot in the latest computation, and the vector; None without the seller."""
    row = connection.execute(_VECTOR, (_to_bytes(seller_id),)).fetchone()
    if row is None:
        _latest_snapshots(connection)
        return None
    return row[0], StoredVector(seller_id, _snapshot(*row[1:5]), _decode(row[5]))


def _snapshot(as_of: str, data_version: str, catalogue: str, covers: str) -> Snapshot:
    through = {name: date.fromisoformat(day) for name, day in json.loads(covers).items()}
    return Snapshot(date.fromisoformat(as_of), data_version, catalogue, through)
