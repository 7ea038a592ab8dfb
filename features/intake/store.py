"""The store of accepted operating data: a folder a delivery, and a manifest that alone says which of them count.

Whatever the manifest does not name was never committed; replacing the manifest is the one moment of commit.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final

from features.errors import StoreError
from features.intake.report import IntakeReport

_MANIFEST: Final = "manifest.json"
_INCOMING: Final = ".incoming-"


@dataclass(frozen=True)
class StoredDelivery:
    """A committed delivery: its id, the midnight through which each table is complete, and accepted rows by table."""

    delivery_id: str
    covers_through: Mapping[str, date]
    rows: Mapping[str, int]


@dataclass(frozen=True)
class OperatingStore:
    """The accepted rows of all deliveries, to read.

    Example: `open_store(Path("var/operating")).files("orders")` are Parquet files with the contract's columns,
    `amount_micros` (int64 micro-USD, tables with money) and `visible_from` (the first midnight that sees the row).
    """

    folder: Path
    deliveries: tuple[StoredDelivery, ...]

    @property
    def version(self) -> str:
        """The data version: SHA-256 over the ids of the deliveries in the order they came."""
        return hashlib.sha256("\n".join(each.delivery_id for each in self.deliveries).encode()).hexdigest()

    @property
    def covers_through(self) -> Mapping[str, date]:
        """The latest midnight through which each table is complete; a table that never came is absent."""
        latest: dict[str, date] = {}
        for delivery in self.deliveries:
            for table, day in delivery.covers_through.items():
                latest[table] = max(day, latest.get(table, day))
        return MappingProxyType(latest)

    def files(self, table: str) -> tuple[Path, ...]:
        """Return the accepted files of `table` in the order of the deliveries; empty where none held it."""
        return tuple(
            self.folder / "deliveries" / each.delivery_id / "accepted" / f"{table}.parquet"
            for each in self.deliveries
            if table in each.rows
        )

    def rows(self, table: str) -> int:
        """Return how many rows of `table` were accepted over all deliveries."""
        return sum(each.rows.get(table, 0) for each in self.deliveries)

    def report(self, delivery_id: str) -> IntakeReport | None:
        """Return the report of a committed delivery, None where there is no such delivery."""
        if all(each.delivery_id != delivery_id for each in self.deliveries):
            return None
        path = self.folder / "deliveries" / delivery_id / "report.json"
        return IntakeReport.from_json(path.read_text(encoding="utf-8"))


def open_store(folder: Path) -> OperatingStore:
    """Return the store in `folder`.

    Raises:
        StoreError: nothing was ever ingested there, or its manifest cannot be read.
    """
    store = read_store(folder)
    if not store.deliveries:
        raise StoreError(f"{folder} holds no operating data; ingest a delivery first")
    return store


def read_store(folder: Path) -> OperatingStore:
    """Return the store in `folder`, which may be empty or not exist yet."""
    path = folder / _MANIFEST
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["deliveries"] if path.exists() else []
        return OperatingStore(folder, tuple(map(_from_entry, listed)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} cannot be read as the list of deliveries; restore it from a backup or ingest into a new store"
        ) from error


def _from_entry(entry: dict[str, dict[str, str] | dict[str, int] | str]) -> StoredDelivery:
    covers, rows = entry["covers_through"], entry["rows"]
    if not isinstance(covers, dict) or not isinstance(rows, dict):
        raise TypeError("covers_through and rows are objects")
    days = {table: date.fromisoformat(str(day)) for table, day in covers.items()}
    counts = {table: int(count) for table, count in rows.items()}
    return StoredDelivery(str(entry["delivery_id"]), MappingProxyType(days), MappingProxyType(counts))


def _to_entry(delivery: StoredDelivery) -> dict[str, object]:
    days = {table: day.isoformat() for table, day in delivery.covers_through.items()}
    return {"delivery_id": delivery.delivery_id, "covers_through": days, "rows": dict(delivery.rows)}


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Hold the store for one writer and yield a folder to build a delivery in; wait while another writes.

    What a killed writer left behind is removed first, and so is the yielded folder at the end if nobody committed it.
    """
    try:
        (folder / "deliveries").mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{folder} is not a folder; name a folder for the store") from error
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove_leftovers(folder)
        incoming = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=folder / "deliveries"))
        try:
            yield incoming
        finally:
            shutil.rmtree(incoming, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    committed = {each.delivery_id for each in read_store(folder).deliveries}
    for path in (folder / "deliveries").iterdir():
        if path.name not in committed:
            shutil.rmtree(path)


def commit(store: OperatingStore, incoming: Path, delivery: StoredDelivery) -> None:
    """Make the delivery built in `incoming` part of the store, durably and in one step.

    Files reach the disk, then their folder its place, then the manifest is replaced: before that the delivery does not
    exist, after it it does.
    """
    for path in [*(path for path in incoming.rglob("*") if path.is_file()), *incoming.rglob("*/"), incoming]:
        _flush(path)
    home = store.folder / "deliveries"
    incoming.rename(home / delivery.delivery_id)
    _flush(home)
    entries = [_to_entry(each) for each in (*store.deliveries, delivery)]
    draft = store.folder / f"{_MANIFEST}.new"
    draft.write_text(json.dumps({"deliveries": entries}, indent=2) + "\n", encoding="utf-8")
    _flush(draft)
    os.replace(draft, store.folder / _MANIFEST)  # noqa: PTH105 - the name says what happens to a manifest already there
    _flush(store.folder)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
