"""The vector store: feature vectors, profiles and contexts by seller in one SQLite file, computed when data arrive.

A snapshot is the sellers with the same coverage, as of its latest midnight, from one version of the operating data. A
computation has one snapshot, or several if the data of sellers end on different days. It is written in one transaction,
so readers see the previous computation or the new one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from features.errors import StoreError
from features.profile.series import digest as profile_digest
from features.store import profiles as profile_tables
from features.store import seller_context as context_tables
from features.store.folders import file_lock
from features.store.profiles import ProfileSet, StoredProfile
from features.store.seller_context import SellerContextSet
from features.store.vector_tables import (
    FORMAT,
    IN_LATEST,
    SCHEMA,
    TABLES,
    Snapshot,
    SnapshotRows,
    StoredVector,
    Values,
    VectorBlock,
    decode_matrix,
    decode_values,
    delete_equal,
    has_format,
    read_snapshot,
    read_snapshots,
    read_vector,
    to_bytes,
    write_snapshot,
)

__all__ = ["Snapshot", "SnapshotRows", "StoredVector", "Values", "VectorBlock", "VectorStore"]

_DELETE: Final = "delete the file and "
_ALLOW: Final = "give this user read and write permission for its folder, then "
_REMEDIES: Final = {
    sqlite3.SQLITE_NOTADB: _DELETE,
    sqlite3.SQLITE_CORRUPT: _DELETE,
    sqlite3.SQLITE_CANTOPEN: _ALLOW,
    sqlite3.SQLITE_READONLY: _ALLOW,
}
"""What to do before the vectors are computed again, by SQLite's result code."""

_BLOCK: Final = 4_096
"""Sellers of a block: enough to make the work on columns cheap, few enough for the processor's caches."""

_NO_VECTORS: Final = "No feature vectors are stored yet. Run `sellerscore features` after an ingest."
_OTHER_FORMAT: Final = "The feature vectors were stored by another version of SellerScore. Run `sellerscore features`."

_File = tuple[int, int, int]
"""Process, device and inode."""


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
                if not has_format(connection):
                    connection.executescript("".join(f"DROP TABLE IF EXISTS {name};" for name in TABLES))
                connection.executescript(f"{SCHEMA} PRAGMA user_version = {FORMAT};")
                with connection:
                    computation = delete_equal(connection, [part.snapshot for part in parts])
                    return tuple(write_snapshot(connection, part, computation) for part in parts)

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

    def count_sellers(self, *snapshots: Snapshot) -> tuple[int, ...] | None:
        """Return the number of sellers of each snapshot of the latest computation, else None.

        It must have exactly these snapshots, and each must have profiles of the current definitions and contexts.
        """
        if not self._path.exists():
            return None
        with suppress(_OtherFormatError), self._open() as connection:
            stored = read_snapshots(connection)
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
            found = read_vector(connection, seller_id)
            if found is None:
                _latest_snapshots(connection)
                return None
            key, vector = found
            return replace(vector, context=context_tables.read_context(connection, to_bytes(seller_id), key))

    def newest(self) -> StoredVector | None:
        """Return a vector as of the latest midnight of the latest computation; None if it has no sellers.

        Example: if the data of one seller of many end a month early, it is not the vector of that seller.
        """
        with self._open() as connection:
            for key, snapshot in _latest_snapshots(connection).items():
                first = "SELECT seller_id, feature_values FROM vectors WHERE snapshot_id = ? ORDER BY seller_id LIMIT 1"
                if row := connection.execute(first, (key,)).fetchone():
                    return StoredVector(row[0], snapshot, decode_values(row[1]))
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
            found = read_vector(connection, seller_id)
            if found is None:
                return None
            profile = profile_tables.read_profile(connection, to_bytes(seller_id), found[0])
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
        return None if row is None else StoredVector(than.seller_id, read_snapshot(*row[:4]), decode_values(row[4]))

    def all_latest(self) -> Iterator[StoredVector]:
        """Yield every seller's vector in the latest computation, in order of seller id."""
        with self._open() as connection:
            snapshots = _latest_snapshots(connection)
            rows = connection.execute(
                "SELECT seller_id, snapshot_id, feature_values FROM vectors WHERE snapshot_id IN "  # noqa: S608
                f"(SELECT id FROM snapshots WHERE {IN_LATEST}) ORDER BY seller_id"
            )
            for seller_id, key, values in rows:
                yield StoredVector(seller_id, snapshots[key], decode_values(values))

    def latest_blocks(self, size: int = _BLOCK) -> Iterator[VectorBlock]:
        """Yield every seller's vector in the latest computation as matrices of at most `size` sellers.

        Example: `next(store.latest_blocks()).values[0]` has the values of the first seller, NaN if missing.
        """
        with self._open() as connection:
            for key, snapshot in _latest_snapshots(connection).items():
                rows = connection.execute(
                    "SELECT seller_id, feature_values FROM vectors WHERE snapshot_id = ? ORDER BY seller_id", (key,)
                )
                while block := rows.fetchmany(size):
                    sellers, values = zip(*block, strict=True)
                    yield VectorBlock(snapshot, list(sellers), decode_matrix(values))

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
        if not has_format(connection):
            connection.close()
            raise _OtherFormatError(_OTHER_FORMAT)
        return connection

    def _file(self) -> _File:
        # a connection must not be used after a fork, or after the file was replaced
        status = self._path.stat()
        return os.getpid(), status.st_dev, status.st_ino


class _OtherFormatError(StoreError):
    """The file has the tables of another version."""


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


def _latest_snapshots(connection: sqlite3.Connection) -> dict[int, Snapshot]:
    """Return the snapshots of the latest computation; raise StoreError if there is none."""
    if snapshots := read_snapshots(connection):
        return snapshots
    raise StoreError(_NO_VECTORS)
