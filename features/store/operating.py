"""The operating store: the accepted rows of all deliveries as Parquet files, and the manifest of committed deliveries.

A delivery folder that the manifest does not list may be real data if an older manifest was restored from a backup. It
is moved to `orphaned/` and never deleted.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Final, Literal

import pyarrow.parquet as pq
from pydantic import TypeAdapter

from features.errors import StoreError
from features.schema import ConstantRate
from features.store.folders import AtomicFolder

LISTED_FILE: Final = "listed.parquet"

_SHORT_ID: Final = 8
_MAX_IDS: Final = 5
_DELIVERY_ID: Final = re.compile(r"[0-9a-f]{64}(-\d+)?")

CoveredStores = Literal["all", "listed"]
"""The stores for which the coverage of a delivery holds: all, or those of which it has a row."""


@dataclass(frozen=True)
class StoredDelivery:
    """A committed delivery.

    Attributes:
        delivery_id: the delivery's digest, with `-2` and so on if it was ingested again for its waiting rows.
        covers_through: the midnight through which each table is complete.
        rows: accepted rows by table.
        constant_rate: the rate at which amounts were converted, if the delivery names one.
        source: the origin of the rows, if stated.
        absent: what the platform does not have (see `delivery.ABSENT`).
        begins: the day on which the platform began to record a table, if declared.
        covers_stores: the stores for which `covers_through` holds. Listed stores are in a file, see `listed_file`.
    """

    delivery_id: str
    covers_through: Mapping[str, date]
    rows: Mapping[str, int]
    constant_rate: ConstantRate | None = None
    source: str | None = None
    absent: tuple[str, ...] = ()
    begins: Mapping[str, date] = field(default_factory=dict)
    covers_stores: CoveredStores = "all"


@dataclass(frozen=True)
class OperatingStore:
    """The accepted rows of all deliveries, for reading.

    Example: `open_store(Path("var/operating")).files("orders")` are Parquet files with the contract's columns,
    `amount_micros` (int64 micro-USD, tables with money) and `visible_from` (the first midnight that sees the row).
    """

    folder: Path
    deliveries: tuple[StoredDelivery, ...]

    @property
    def version(self) -> str:
        """The data version: SHA-256 over the delivery ids in the order of ingest."""
        return hashlib.sha256("\n".join(each.delivery_id for each in self.deliveries).encode()).hexdigest()

    @property
    def covers_through(self) -> Mapping[str, date]:
        """The latest midnight through which each delivered table is complete for at least one store."""
        return _reduce_days(max, (each.covers_through for each in self.deliveries))

    @property
    def all_stores_through(self) -> Mapping[str, date]:
        """The latest midnight through which each table is complete for all stores that such deliveries named."""
        return _reduce_days(max, (each.covers_through for each in self.deliveries if each.covers_stores == "all"))

    @property
    def covers_all_stores(self) -> bool:
        """Whether the coverage of every delivery holds for all stores, so that all sellers have the same coverage."""
        return all(each.covers_stores == "all" for each in self.deliveries)

    def listed_file(self, delivery: StoredDelivery) -> Path:
        """Return the file with the stores and sellers that a delivery names.

        Its rows have a `store_id` (for tables with stores) or a `seller_id` (for the tables of loans). A delivery that
        covers `all` has the file only if a `listed` delivery came before it: otherwise, all stores and sellers are rows
        of deliveries that cover `all`.
        """
        return self.folder / "deliveries" / delivery.delivery_id / LISTED_FILE

    @property
    def absent(self) -> frozenset[str]:
        """What at least one delivery declares that its platform does not have."""
        return frozenset(name for each in self.deliveries for name in each.absent)

    @property
    def names_buyers(self) -> bool:
        """Whether a delivery has orders and does not declare that they name no buyer."""
        return any("orders" in each.rows and "buyer_ids" not in each.absent for each in self.deliveries)

    @property
    def begins(self) -> Mapping[str, date]:
        """The earliest declared day on which the platform began to record a table."""
        return _reduce_days(min, (each.begins for each in self.deliveries))

    def has(self, table: str) -> bool:
        """Return whether `table` has rows or is declared absent."""
        return table in self.covers_through and (self.rows(table) > 0 or table in self.absent)

    @property
    def origins(self) -> tuple[str, ...]:
        """The distinct origins of the rows, in the order of ingest.

        All deliveries without a source share one text, which names the first of them by the start of their ids.

        Example: `("simulated by sellerscore, seed 7", "operating data of 1 delivery as ingested: 1f3a9c0d")`.
        """
        unnamed = list(dict.fromkeys(each.delivery_id[:_SHORT_ID] for each in self.deliveries if each.source is None))
        count = f"{len(unnamed)} deliveries" if len(unnamed) > 1 else "1 delivery"
        more = f" and {len(unnamed) - _MAX_IDS} more" if len(unnamed) > _MAX_IDS else ""
        ingested = f"operating data of {count} as ingested: {', '.join(unnamed[:_MAX_IDS])}{more}"
        return tuple(dict.fromkeys(ingested if each.source is None else each.source for each in self.deliveries))

    def files(self, table: str, deliveries: Sequence[StoredDelivery] | None = None) -> tuple[Path, ...]:
        """Return the accepted files of `table` in the order of ingest, of all deliveries or of the given ones."""
        return tuple(
            self.folder / "deliveries" / each.delivery_id / "accepted" / f"{table}.parquet"
            for each in (self.deliveries if deliveries is None else deliveries)
            if table in each.rows
        )

    def rows(self, table: str) -> int:
        """Return the number of accepted rows of `table` over all deliveries."""
        return sum(each.rows.get(table, 0) for each in self.deliveries)

    def ids_of(self, digest: str) -> tuple[str, ...]:
        """Return the ids under which the delivery with this digest was ingested, oldest first."""
        return tuple(each.delivery_id for each in self.deliveries if each.delivery_id.split("-")[0] == digest)


def _reduce_days(choose: Callable[[date, date], date], days: Iterable[Mapping[str, date]]) -> dict[str, date]:
    chosen: dict[str, date] = {}
    for by_table in days:
        for table, day in by_table.items():
            chosen[table] = choose(day, chosen.get(table, day))
    return chosen


def open_store(folder: Path) -> OperatingStore:
    """Return the store in `folder`.

    Raises:
        StoreError: the store has no delivery, or its manifest cannot be read.
    """
    store = read_store(folder)
    if not store.deliveries:
        raise StoreError(f"{folder} has no operating data. Ingest a delivery first.")
    return store


def read_store(folder: Path) -> OperatingStore:
    """Return the store in `folder`, which may be empty or not exist yet; raise StoreError if it cannot be read."""
    home = _atomic(folder)
    try:
        if home.manifest.exists():
            deliveries = TypeAdapter(tuple[StoredDelivery, ...]).validate_python(home.read()["deliveries"])
            return OperatingStore(folder, deliveries)
        # a new store starts with a manifest, so deliveries without one mean that it was lost
        if not any(_delivery_folders(folder)):
            return OperatingStore(folder, ())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(_unreadable(home, "cannot be read as the list of deliveries")) from error
    raise StoreError(_unreadable(home, "is missing, but the store has deliveries"))


def _unreadable(home: AtomicFolder, what: str) -> str:
    return f"{home.manifest} {what}. Restore it from a backup, or ingest into a new store."


def _atomic(folder: Path) -> AtomicFolder:
    return AtomicFolder(folder, folder / "deliveries")


def _delivery_folders(folder: Path) -> list[Path]:
    return [path for path in folder.glob("deliveries/*") if path.is_dir() and _DELIVERY_ID.fullmatch(path.name)]


@contextmanager
def open_for_writing(folder: Path) -> Iterator[Path]:
    """Lock the store for one writer and yield a draft folder for a delivery; other writers wait.

    Raises:
        StoreError: the folder cannot be written, or its manifest cannot be read.
    """
    try:
        with _atomic(folder).draft() as draft:
            _move_orphans(folder)
            yield draft
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(f"{folder} is not a folder. Name a folder for the store.") from error
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written as a store: {error.strerror or error}. Use a folder with free space and write "
            "permission."
        ) from error


def _move_orphans(folder: Path) -> None:
    """Move delivery folders that the manifest does not list to `orphaned/`, and write the manifest of a new store."""
    store = read_store(folder)
    if not _atomic(folder).manifest.exists():
        _replace_manifest(folder, ())
    committed = {each.delivery_id for each in store.deliveries}
    for path in _delivery_folders(folder):
        if path.name not in committed:
            (folder / "orphaned").mkdir(exist_ok=True)
            path.rename(tempfile.mkdtemp(prefix=f"{path.name}.", dir=folder / "orphaned"))


def commit(store: OperatingStore, draft: Path, delivery: StoredDelivery) -> None:
    """Add the delivery in the folder `draft` to the store, durably and in one step."""
    _atomic(store.folder).commit(draft, delivery.delivery_id, _manifest((*store.deliveries, delivery)))


def update_counts(store: OperatingStore) -> None:
    """Set the row counts in the manifest to those of the accepted files, in one step."""
    counted = (
        replace(each, rows={name: pq.read_metadata(store.files(name, [each])[0]).num_rows for name in each.rows})
        for each in store.deliveries
    )
    _replace_manifest(store.folder, tuple(counted))


def _replace_manifest(folder: Path, deliveries: tuple[StoredDelivery, ...]) -> None:
    _atomic(folder).replace_manifest(_manifest(deliveries))


def _manifest(deliveries: tuple[StoredDelivery, ...]) -> dict[str, object]:
    return {"deliveries": [asdict(each) for each in deliveries]}
