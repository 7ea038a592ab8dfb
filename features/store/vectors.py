"""The vector store: feature vectors, profiles and contexts by seller in one SQLite file, computed when data arrive.

A snapshot is all sellers as of one midnight, from one version of the operating data. It is written in one transaction,
so readers see the previous snapshot or the new one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from features.errors import StoreError
from features.profile.series import digest as profile_digest
from features.store import profiles as profile_tables
from features.store import seller_context as context_tables
from features.store.folders import file_lock
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
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS snapshots (
    id INTEGER PRIMARY KEY,
    as_of TEXT NOT NULL,
    data_version TEXT NOT NULL,
    catalogue TEXT NOT NULL,
    covers_through TEXT NOT NULL,
    UNIQUE (as_of, data_version, catalogue)
);
CREATE TABLE IF NOT EXISTS vectors (
    seller_id TEXT NOT NULL,
    snapshot_id INTEGER NOT NULL REFERENCES snapshots (id),
    feature_values TEXT NOT NULL,
    PRIMARY KEY (seller_id, snapshot_id)
) WITHOUT ROWID;
{profile_tables.PROFILE_SCHEMA}
{context_tables.CONTEXT_SCHEMA}
"""
_VALUES: Final = "SELECT feature_values FROM vectors WHERE seller_id = CAST(? AS TEXT) AND snapshot_id = ?"
_LATEST: Final = "SELECT id, as_of, data_version, catalogue, covers_through FROM snapshots ORDER BY id DESC LIMIT 1"

_File = tuple[int, int, int]
"""Process, device and inode."""

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Snapshot:
    """What all vectors of one computation share; `covers_through` names the delivered tables only."""

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
        """Store a snapshot as the latest, in place of an equal one, and return its number of sellers.

        Profiles and contexts are stored for the latest snapshot only.

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
                connection.executescript(_SCHEMA)
                with connection:
                    key, count = _write(connection, snapshot, rows)
                    profile_tables.write_profiles(connection, key, profiles)
                    context_tables.write_context(connection, key, contexts)
                return count

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Admit one process at a time that computes or removes vectors; the others wait."""
        with ExitStack() as lock:
            with _map_errors(self._path, "written"):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                notice = f"Waiting until another process has finished writing {self._path}."
                lock.enter_context(file_lock(self._path.with_name(f"{self._path.name}.lock"), notice))
            yield

    def remove(self, seller_id: str) -> int:
        """Remove and overwrite a seller's vectors of all snapshots, profile and context; return the number of vectors.

        If vectors are being computed, wait.

        Example: `store.remove("S-000001")` is 12 if twelve months are stored, 0 the second time.

        Raises:
            StoreError: the file cannot be written; nothing was removed.
        """
        if not self._path.parent.exists():
            return 0
        with self.lock(), _map_errors(self._path, "written"):
            return _remove(self._path, seller_id) if self._path.exists() else 0

    def count_sellers(self, snapshot: Snapshot) -> int | None:
        """Return the number of sellers of the latest snapshot, else None.

        The latest snapshot must equal `snapshot` and have profiles of the current definitions and contexts.
        """
        if not self._path.exists():
            return None
        with self._open() as connection:
            row = connection.execute(_LATEST).fetchone()
            if row is None or _snapshot(*row[1:]) != snapshot:
                return None
            key = row[0]
            if (
                profile_tables.read_definitions(connection, key) != profile_digest()
                or context_tables.read_rates(connection, key) is None
            ):
                return None
            (count,) = connection.execute("SELECT count(*) FROM vectors WHERE snapshot_id = ?", (key,)).fetchone()
        return int(count)

    def latest(self, seller_id: str) -> StoredVector | None:
        """Return the seller's vector and context in the latest snapshot; None if it does not contain the seller."""
        with self._open() as connection:
            key, snapshot = _latest_snapshot(connection)
            row = connection.execute(_VALUES, (_to_bytes(seller_id), key)).fetchone()
            context = context_tables.read_context(connection, _to_bytes(seller_id), key)
        return None if row is None else StoredVector(seller_id, snapshot, _decode(row[0]), context)

    def usd_per_unit(self) -> Mapping[str, float]:
        """Return US dollars for one unit of each known currency in the latest snapshot, such as `{"CNY": 0.145}`."""
        with self._open() as connection:
            return context_tables.read_rates(connection, _latest_snapshot(connection)[0]) or {}

    def profile(self, seller_id: str) -> tuple[StoredVector, StoredProfile] | None:
        """Return the seller's vector and profile in the latest snapshot; None if it does not contain the seller.

        Raises:
            StoreError: also if the snapshot has no profiles of the current definitions.
        """
        with self._open() as connection:
            key, snapshot = _latest_snapshot(connection)
            if profile_tables.read_definitions(connection, key) != profile_digest():
                raise StoreError("No seller profiles are stored for these vectors. Run `sellerscore features`.")
            profile = profile_tables.read_profile(connection, _to_bytes(seller_id), key)
            row = connection.execute(_VALUES, (_to_bytes(seller_id), key)).fetchone()
        if profile is None or row is None:
            return None
        return StoredVector(seller_id, snapshot, _decode(row[0])), profile

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
        """Yield every seller's vector in the latest snapshot, in order of seller id."""
        with self._open() as connection:
            key, snapshot = _latest_snapshot(connection)
            rows = connection.execute(
                "SELECT seller_id, feature_values FROM vectors WHERE snapshot_id = ? ORDER BY seller_id", (key,)
            )
            for seller_id, values in rows:
                yield StoredVector(seller_id, snapshot, _decode(values))

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
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)

    def _file(self) -> _File:
        # a connection must not be used after a fork, or after the file was replaced
        status = self._path.stat()
        return os.getpid(), status.st_dev, status.st_ino


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


def _write(connection: sqlite3.Connection, snapshot: Snapshot, rows: Iterable[tuple[str, Values]]) -> tuple[int, int]:
    """Write a snapshot and return its key and its number of sellers."""
    key = (snapshot.as_of.isoformat(), snapshot.data_version, snapshot.catalogue)
    covers = json.dumps({name: day.isoformat() for name, day in sorted(snapshot.covers_through.items())})
    connection.execute(
        "DELETE FROM vectors WHERE snapshot_id IN "
        "(SELECT id FROM snapshots WHERE (as_of, data_version, catalogue) = (?, ?, ?))",
        key,
    )
    connection.execute("DELETE FROM snapshots WHERE (as_of, data_version, catalogue) = (?, ?, ?)", key)
    snapshot_id = connection.execute(
        "INSERT INTO snapshots (as_of, data_version, catalogue, covers_through) VALUES (?, ?, ?, ?)", (*key, covers)
    ).lastrowid
    count = connection.executemany(
        "INSERT INTO vectors (seller_id, snapshot_id, feature_values) VALUES (?, ?, ?)",
        ((seller, snapshot_id, _encode(seller, values)) for seller, values in rows),
    ).rowcount
    return int(snapshot_id or 0), count


def _remove(path: Path, seller_id: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        with connection:
            profile_tables.remove_profile(connection, seller_id)
            context_tables.remove_context(connection, seller_id)
            removed = connection.execute("DELETE FROM vectors WHERE seller_id = ?", (seller_id,)).rowcount
        # split pages and the write-ahead log still have copies of removed rows
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return removed


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


def _latest_snapshot(connection: sqlite3.Connection) -> tuple[int, Snapshot]:
    row = connection.execute(_LATEST).fetchone()
    if row is None:
        raise StoreError(_NO_VECTORS)
    return row[0], _snapshot(*row[1:])


def _snapshot(as_of: str, data_version: str, catalogue: str, covers: str) -> Snapshot:
    through = {name: date.fromisoformat(day) for name, day in json.loads(covers).items()}
    return Snapshot(date.fromisoformat(as_of), data_version, catalogue, through)
