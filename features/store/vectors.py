"""What SQLite or the file system refuses of the file of vectors, in one sentence that says what to do.

Feature vectors and pictures by seller, ready to be read in a request: computed when data lands, not while one waits.

One SQLite file. A snapshot is all sellers as of one midnight from one version of the operating data; it is
written in one transaction, so a reader sees the snapshot before or the one after, never a part.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from features.errors import StoreError
from features.profile.series import digest as definitions
from features.store import profiles as pictures_in
from features.store import seller_context as circumstances_in
from features.store.profiles import ProfileSet, StoredProfile
from features.store.seller_context import UNKNOWN_CONTEXT, SellerContext, SellerContextSet

_REMOVE: Final = "remove the file and "


_ALLOW: Final = "let this user read and write its folder, then "


_REMEDIES: Final = {
    sqlite3.SQLITE_NOTADB: _REMOVE,
    sqlite3.SQLITE_CORRUPT: _REMOVE,
    sqlite3.SQLITE_CANTOPEN: _ALLOW,
    sqlite3.SQLITE_READONLY: _ALLOW,
}
"""What must happen, by SQLite's result code, before computing the vectors again helps."""


@contextmanager
def explain_store_error(path: Path, done: str) -> Iterator[None]:
    """Turn what SQLite or the file system refuses into one sentence; `done` is `read` or `written`."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreError("One seller has two vectors in the snapshot, so nothing was stored; give each one.") from error
    except sqlite3.Error as error:
        # the low byte is the code, the rest details it
        remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
        raise _failure(path, done, str(error), remedy) from error
    except OSError as error:
        raise _failure(path, done, error.strerror or str(error), _ALLOW) from error


def _failure(path: Path, done: str, reason: str, remedy: str) -> StoreError:
    return StoreError(f"The feature vectors in {path} cannot be {done} ({reason}); {remedy}run `sellerscore features`.")


_SCHEMA: Final = """
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
"""


_VALUES: Final = "SELECT feature_values FROM vectors WHERE seller_id = CAST(? AS TEXT) AND snapshot_id = ?"


_LATEST: Final = "SELECT id, as_of, data_version, catalogue, covers_through FROM snapshots ORDER BY id DESC LIMIT 1"


_File = tuple[int, int, int]
"""Process, device and inode."""


@dataclass(frozen=True)
class Snapshot:
    """What all vectors of one computation share; `covers_through` holds only the tables that were delivered."""

    as_of: date
    data_version: str
    catalogue: str
    covers_through: Mapping[str, date]


@dataclass(frozen=True)
class StoredVector:
    """One seller's values in catalogue order (None is missing), and the snapshot that they belong to.

    `circumstances` are told where one seller's latest vector is asked for.
    """

    seller_id: str
    snapshot: Snapshot
    values: tuple[float | None, ...]
    circumstances: SellerContext = UNKNOWN_CONTEXT


class VectorStore:
    """Read and write vectors in one SQLite file.

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
        rows: Iterable[tuple[str, tuple[float | None, ...]]],
        pictures: ProfileSet | None = None,
        circumstances: SellerContextSet | None = None,
    ) -> int:
        """Store a snapshot as the latest and return how many sellers it holds; one already stored is written anew.

        Its pictures and circumstances take the place of those of the snapshots before, of which there is no use.

        Raises:
            StoreError: a value is NaN or infinite, a seller comes twice, or the file cannot be written; what was
                stored before stands.
        """
        with explain_store_error(self._path, "written"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                # what a picture held must not stay readable in the pages that it leaves
                connection.execute("PRAGMA secure_delete = ON")
                connection.executescript(_SCHEMA + pictures_in.PROFILE_SCHEMA + circumstances_in.CONTEXT_SCHEMA)
                with connection:
                    key, held = _write(connection, snapshot, rows)
                    pictures_in.write_profiles(connection, key, pictures)
                    circumstances_in.write_context(connection, key, circumstances)
                return held

    def remove(self, seller_id: str) -> int:
        """Remove a seller's vectors of every snapshot, picture and circumstances; return how many vectors.

        All are overwritten.

        Example: `store.remove("S-000001")` is 12 where twelve months were stored, 0 the second time.

        Raises:
            StoreError: the file cannot be written; nothing was removed.
        """
        if not self._path.exists():
            return 0
        with explain_store_error(self._path, "written"), closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.executescript(pictures_in.PROFILE_SCHEMA + circumstances_in.CONTEXT_SCHEMA)
            with connection:
                pictures_in.remove_profiles(connection, seller_id)
                circumstances_in.remove_context(connection, seller_id)
                removed = connection.execute("DELETE FROM vectors WHERE seller_id = ?", (seller_id,)).rowcount
            # where pages were split, copies of what was removed stay in them, and in the log of what was written
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def sellers_in(self, snapshot: Snapshot, pictured: bool = False) -> int | None:
        """Return how many sellers the latest snapshot holds if it is this one; None if it is another, or none is.

        Where it shall be `pictured`, None too if its pictures are of other definitions than these, or none are, or
        if no circumstances are stored with it.
        """
        if not self._path.exists():
            return None
        with self._open() as connection:
            found = connection.execute(_LATEST).fetchone()
            if found is None or _latest_snapshot(connection)[1] != snapshot:
                return None
            if pictured and pictures_in.definitions_of(connection, found[0]) != definitions():
                return None
            if pictured and circumstances_in.rates_of(connection, found[0]) is None:
                return None
            (held,) = connection.execute("SELECT count(*) FROM vectors WHERE snapshot_id = ?", found[:1]).fetchone()
        return int(held)

    def latest(self, seller_id: str) -> StoredVector | None:
        """Return the seller's vector and circumstances in the latest snapshot, or None where there is no such seller.

        Raises:
            StoreError: no snapshot was ever stored, or the file cannot be read.
        """
        with self._open() as connection:
            key, snapshot = _latest_snapshot(connection)
            found = connection.execute(_VALUES, (_bytes(seller_id), key)).fetchone()
            known = circumstances_in.read_context(connection, _bytes(seller_id), key)
        return None if found is None else StoredVector(seller_id, snapshot, _values(found[0]), known)

    def usd_per_unit(self) -> Mapping[str, float]:
        """Return US dollars for a unit of each currency, as known in the latest snapshot; empty if it tells of none.

        Example: `{"CNY": 0.145, "USD": 1.0}`.

        Raises:
            StoreError: no snapshot was ever stored, or the file cannot be read.
        """
        with self._open() as connection:
            return circumstances_in.rates_of(connection, _latest_snapshot(connection)[0]) or {}

    def picture(self, seller_id: str) -> tuple[StoredVector, StoredProfile] | None:
        """Return the seller's vector and picture in the latest snapshot, or None where there is no such seller.

        Raises:
            StoreError: no snapshot was ever stored, it has no pictures of these definitions, or the file cannot be
                read.
        """
        with self._open() as connection:
            key, snapshot = _latest_snapshot(connection)
            if pictures_in.definitions_of(connection, key) != definitions():
                raise StoreError("No pictures of sellers are stored for these vectors; run `sellerscore features`.")
            found = pictures_in.read_profile(connection, _bytes(seller_id), key)
            values = connection.execute(_VALUES, (_bytes(seller_id), key)).fetchone()
        if found is None or values is None:
            return None
        return StoredVector(seller_id, snapshot, _values(values[0])), found

    def earlier(self, than: StoredVector) -> StoredVector | None:
        """Return the same seller's vector as of the midnight before, of those stored by the same catalogue.

        Example: of monthly snapshots, that of a month ago; None where there is no earlier one of this seller.

        Raises:
            StoreError: the file cannot be read.
        """
        with self._open() as connection:
            found = connection.execute(
                "SELECT id, as_of, data_version, catalogue, covers_through, feature_values FROM snapshots "
                "JOIN vectors ON snapshot_id = id WHERE seller_id = ? AND as_of < ? AND catalogue = ? "
                "ORDER BY as_of DESC, id DESC LIMIT 1",
                (than.seller_id, than.snapshot.as_of.isoformat(), than.snapshot.catalogue),
            ).fetchone()
        return None if found is None else StoredVector(than.seller_id, _snapshot(*found[1:5]), _values(found[5]))

    def all_latest(self) -> Iterator[StoredVector]:
        """Yield every seller's vector in the latest snapshot, in order of seller id.

        Raises:
            StoreError: no snapshot was ever stored, or the file cannot be read.
        """
        with self._open() as connection:
            key, snapshot = _latest_snapshot(connection)
            rows = connection.execute(
                "SELECT seller_id, feature_values FROM vectors WHERE snapshot_id = ? ORDER BY seller_id", (key,)
            )
            for seller_id, values in rows:
                yield StoredVector(seller_id, snapshot, _values(values))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with explain_store_error(self._path, "read"):
            if not self._path.exists():
                raise StoreError("No feature vectors are stored yet; run `sellerscore features` after an ingest.")
            connection = self._idle_or_new(file := self._file())
            try:
                # One transaction over all that is read: a snapshot replaced meanwhile must not mix with the one begun.
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
                known, connection = self._idle.pop()
                if known == file:
                    return connection
                connection.close()
        address = f"{self._path.as_uri()}?mode=ro"
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)

    def _file(self) -> _File:
        # another file at the same path, or another process, is no place to go on reading
        found = self._path.stat()
        return os.getpid(), found.st_dev, found.st_ino


def _bytes(seller_id: str) -> bytes:
    # compared as bytes: what a command line holds may be no UTF-8, which SQLite takes for no text
    return seller_id.encode("utf-8", "surrogateescape")


def _write(
    connection: sqlite3.Connection, snapshot: Snapshot, rows: Iterable[tuple[str, tuple[float | None, ...]]]
) -> tuple[int, int]:
    """Write a snapshot and return its key and how many sellers it holds."""
    key = (snapshot.as_of.isoformat(), snapshot.data_version, snapshot.catalogue)
    covers = json.dumps({name: day.isoformat() for name, day in sorted(snapshot.covers_through.items())})
    connection.execute(
        "DELETE FROM vectors WHERE snapshot_id IN "
        "(SELECT id FROM snapshots WHERE (as_of, data_version, catalogue) = (?, ?, ?))",
        key,
    )
    connection.execute("DELETE FROM snapshots WHERE (as_of, data_version, catalogue) = (?, ?, ?)", key)
    new = connection.execute(
        "INSERT INTO snapshots (as_of, data_version, catalogue, covers_through) VALUES (?, ?, ?, ?)", (*key, covers)
    ).lastrowid
    held = connection.executemany(
        "INSERT INTO vectors (seller_id, snapshot_id, feature_values) VALUES (?, ?, ?)",
        ((seller, new, _encoded(seller, values)) for seller, values in rows),
    ).rowcount
    return int(new or 0), held


def _encoded(seller: str, values: tuple[float | None, ...]) -> str:
    try:
        return json.dumps(values, allow_nan=False)
    except ValueError as error:
        raise StoreError(
            f"The vector of seller {seller} holds NaN or an infinite number, so nothing was stored; "
            "give a missing value as None."
        ) from error


def _latest_snapshot(connection: sqlite3.Connection) -> tuple[int, Snapshot]:
    found = connection.execute(_LATEST).fetchone()
    if found is None:
        raise StoreError("No feature vectors are stored yet; run `sellerscore features` after an ingest.")
    return found[0], _snapshot(*found[1:])


def _snapshot(as_of: str, data_version: str, catalogue: str, covers: str) -> Snapshot:
    through = {name: date.fromisoformat(day) for name, day in json.loads(covers).items()}
    return Snapshot(date.fromisoformat(as_of), data_version, catalogue, through)


def _values(written: str) -> tuple[float | None, ...]:
    return tuple(json.loads(written))
