"""The store of accepted operating data: a folder a delivery, and a manifest that alone says which of them count.

Replacing the manifest is the one moment of commit. A delivery's folder that the manifest does not name may still have
counted once, where an older manifest came back from a backup: it is moved to `orphaned/`, never deleted.
"""

import fcntl
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow.parquet as pq

from features.errors import FeaturesError, StoreError
from features.ingest.report import IngestReport
from features.schema import ConstantRate
from features.store.folders import replace_text, sync_file

_MANIFEST: Final = "manifest.json"
_INCOMING: Final = ".incoming-"
_SHORT_ID: Final = 8
_FOLDER_NAME: Final = 5
_DELIVERY_ID: Final = re.compile(r"[0-9a-f]{64}(-\d+)?")


@dataclass(frozen=True)
class StoredDelivery:
    """A committed delivery: its id, the midnight through which each table is complete, and accepted rows by table.

    The id is the delivery's digest, with `-2` and so on where it was taken again for rows that had to wait.
    `constant_rate` is what it was converted at, if it named one. `source` is the origin of its rows, if it named one.
    `absent` is what it declares that the platform does not have (see `delivery.ABSENT`), `begins` the day on which the
    platform began to record a table, for tables that it declares.
    """

    delivery_id: str
    covers_through: Mapping[str, date]
    rows: Mapping[str, int]
    constant_rate: ConstantRate | None = None
    source: str | None = None
    absent: tuple[str, ...] = ()
    begins: Mapping[str, date] = field(default_factory=lambda: MappingProxyType({}))


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

    @property
    def absent(self) -> frozenset[str]:
        """What at least one delivery declares that its platform does not have."""
        return frozenset(name for each in self.deliveries for name in each.absent)

    @property
    def names_buyers(self) -> bool:
        """Whether a delivery holds orders and does not declare that they name no buyer."""
        return any("orders" in each.rows and "buyer_ids" not in each.absent for each in self.deliveries)

    @property
    def begins(self) -> Mapping[str, date]:
        """The day on which the platform began to record a table: the earliest declared one."""
        earliest: dict[str, date] = {}
        for delivery in self.deliveries:
            for table, day in delivery.begins.items():
                earliest[table] = min(day, earliest.get(table, day))
        return MappingProxyType(earliest)

    def has(self, table: str) -> bool:
        """Return whether `table` is there to compute from: its rows, or the declaration that there are none."""
        return table in self.covers_through and (self.rows(table) > 0 or table in self.absent)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origin of the rows in words, one text for each origin, in the order in which they came.

        Deliveries that name no source share one text, which names the first of them by the start of their ids.

        Example: `("simulated by sellerscore, seed 7", "operating data of 1 delivery as ingested: 1f3a9c0d")`.
        """
        unnamed = list(dict.fromkeys(each.delivery_id[:_SHORT_ID] for each in self.deliveries if each.source is None))
        count = f"{len(unnamed)} deliveries" if len(unnamed) > 1 else "1 delivery"
        more = f" and {len(unnamed) - _FOLDER_NAME} more" if len(unnamed) > _FOLDER_NAME else ""
        ingested = f"operating data of {count} as ingested: {', '.join(unnamed[:_FOLDER_NAME])}{more}"
        return tuple(dict.fromkeys(ingested if each.source is None else each.source for each in self.deliveries))

    def files(self, table: str, deliveries: Sequence[StoredDelivery] | None = None) -> tuple[Path, ...]:
        """Return the accepted files of `table` in the order of the deliveries, of all or of those named."""
        return tuple(
            self.folder / "deliveries" / each.delivery_id / "accepted" / f"{table}.parquet"
            for each in (self.deliveries if deliveries is None else deliveries)
            if table in each.rows
        )

    def rows(self, table: str) -> int:
        """Return how many rows of `table` were accepted over all deliveries."""
        return sum(each.rows.get(table, 0) for each in self.deliveries)

    def takes(self, digest: str) -> tuple[str, ...]:
        """Return the ids under which the delivery with this digest was taken, oldest first; empty if it never was."""
        return tuple(each.delivery_id for each in self.deliveries if each.delivery_id.split("-")[0] == digest)

    def report(self, delivery_id: str) -> IngestReport:
        """Return the report of a committed delivery; StoreError where it is lost."""
        path = self.folder / "deliveries" / delivery_id / "report.json"
        try:
            return IngestReport.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, FeaturesError) as error:
            raise StoreError(
                f"{path} cannot be read as the report of a stored delivery; restore it from a backup"
            ) from error


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
        if not path.exists():
            _refuse_lost_manifest(folder)
            return OperatingStore(folder, ())
        listed = json.loads(path.read_text(encoding="utf-8"))["deliveries"]
        return OperatingStore(folder, tuple(map(_from_entry, listed)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} cannot be read as the list of deliveries; restore it from a backup or ingest into a new store"
        ) from error


def _refuse_lost_manifest(folder: Path) -> None:
    """Raise StoreError where deliveries lie but nothing says which count; a new store begins with a manifest."""
    if any(_delivery_folders(folder)):
        raise StoreError(
            f"{folder} holds deliveries but no {_MANIFEST} that lists them; restore it from a backup or ingest into a "
            "new store"
        )


def _delivery_folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("deliveries/*") if path.is_dir() and _DELIVERY_ID.fullmatch(path.name))


def _from_entry(entry: dict[str, Any]) -> StoredDelivery:
    # an older entry has no rate, no source or nothing absent
    covers, rows, rate = entry["covers_through"], entry["rows"], entry.get("constant_rate")
    source = entry.get("source")
    if not isinstance(covers, dict) or not isinstance(rows, dict):
        raise TypeError("covers_through and rows are objects")
    days, begins = (
        MappingProxyType({table: date.fromisoformat(str(day)) for table, day in each.items()})
        for each in (covers, entry.get("begins", {}))
    )
    counts = {table: int(count) for table, count in rows.items()}
    constant = None if rate is None else ConstantRate(str(rate["currency"]), float(rate["usd_per_unit"]))
    named, absent = None if source is None else str(source), tuple(map(str, entry.get("absent", ())))
    return StoredDelivery(str(entry["delivery_id"]), days, MappingProxyType(counts), constant, named, absent, begins)


def _to_entry(delivery: StoredDelivery) -> dict[str, object]:
    days = {table: day.isoformat() for table, day in delivery.covers_through.items()}
    rate = {} if delivery.constant_rate is None else {"constant_rate": asdict(delivery.constant_rate)}
    source = {} if delivery.source is None else {"source": delivery.source}
    absent = {"absent": list(delivery.absent)} if delivery.absent else {}
    entry = {"delivery_id": delivery.delivery_id, "covers_through": days, "rows": dict(delivery.rows)}
    begins = {"begins": {table: day.isoformat() for table, day in delivery.begins.items()}} if delivery.begins else {}
    return {**entry, **rate, **source, **absent, **begins}


@contextmanager
def open_for_writing(folder: Path) -> Iterator[Path]:
    """Hold the store for one writer and yield a folder to build a delivery in; wait while another writes.

    What a killed writer left behind is cleared away first, and so is the yielded folder at the end if nobody committed
    it. A folder that cannot be written is a StoreError.
    """
    try:
        (folder / "deliveries").mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _clear_leftovers(folder)
            incoming = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=folder / "deliveries"))
            try:
                yield incoming
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{folder} is not a folder; name a folder for the store") from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written as a store: {error.strerror or error}; name a folder with room and the right "
            "to write"
        ) from error


def _clear_leftovers(folder: Path) -> None:
    """Delete what no writer finished, and move aside what the manifest does not name."""
    store = read_store(folder)
    if not (folder / _MANIFEST).exists():
        _replace_manifest(folder, ())
    for unfinished in folder.glob(f"deliveries/{_INCOMING}*"):
        shutil.rmtree(unfinished)
    committed = {each.delivery_id for each in store.deliveries}
    for path in list(_delivery_folders(folder)):
        if path.name not in committed:
            (folder / "orphaned").mkdir(exist_ok=True)
            path.rename(tempfile.mkdtemp(prefix=f"{path.name}.", dir=folder / "orphaned"))


def commit(store: OperatingStore, incoming: Path, delivery: StoredDelivery) -> None:
    """Make the delivery built in `incoming` part of the store, durably and in one step.

    Files reach the disk, then their folder its place, then the manifest is replaced: before that the delivery does not
    exist, after it it does.
    """
    for path in [*(path for path in incoming.rglob("*") if path.is_file()), *incoming.rglob("*/"), incoming]:
        sync_file(path)
    home = store.folder / "deliveries"
    incoming.rename(home / delivery.delivery_id)
    sync_file(home)
    _replace_manifest(store.folder, (*store.deliveries, delivery))


def update_counts(store: OperatingStore) -> None:
    """Let the manifest say how many rows the accepted files hold now, in one step; the deliveries stay who they are."""
    counted = (
        replace(
            each,
            rows=MappingProxyType(
                {table: pq.read_metadata(store.files(table, [each])[0]).num_rows for table in each.rows}
            ),
        )
        for each in store.deliveries
    )
    _replace_manifest(store.folder, tuple(counted))


def _replace_manifest(folder: Path, deliveries: tuple[StoredDelivery, ...]) -> None:
    content = {"deliveries": [_to_entry(each) for each in deliveries]}
    replace_text(folder / _MANIFEST, json.dumps(content, indent=2) + "\n")
