"""Erasure of sellers: keyed hashes of erased ids, and the removal of their rows from the store and from deliveries.

The list of hashes is written before any file is changed. If the process is killed, the next erasure or ingest continues
from the list. The hashes do not reveal an id; the key is needed to check one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import StoreError
from features.ingest.report import RULE_SEPARATOR, IngestReport, TableReport, read_report
from features.store.folders import AtomicFolder, move_into_place, replace_text
from features.store.operating import LISTED_FILE, OperatingStore, open_for_writing, read_store, update_counts

_LIST: Final = "erased.json"
_KEY: Final = "erased.key"
_HOMES: Final = ("deliveries", "orphaned")
_CACHES: Final = ("tiles", "tiles-spark")
_SEPARATORS: Final = re.compile(r"[,;\t|\"\s]+")

ID_COLUMNS: Final = ("seller_id", "store_id", "loan_id")
"""The columns that identify a seller's rows, in the order in which their ids are resolved."""


@dataclass(frozen=True)
class ErasedSellers:
    """The hashes of erased ids by column; `swept` is true once no stored row has one of them."""

    key: bytes
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    swept: bool = True

    def __bool__(self) -> bool:
        """Return whether any id is erased."""
        return any(self.hashes.values())

    def holds(self, column: str, value: str | None) -> bool:
        """Return whether an id is erased."""
        return value is not None and self._hash(column, value) in self.hashes.get(column, ())

    def named_in(self, line: str | None) -> bool:
        """Return whether a malformed line contains an erased id."""
        words = _SEPARATORS.split(line) if line else ()
        return any(self.holds(column, word) for column in ID_COLUMNS for word in words)

    def with_ids(self, column: str, values: Iterable[str]) -> ErasedSellers:
        """Return the list with more ids, not swept yet if any of them is new."""
        earlier = self.hashes.get(column, frozenset())
        hashes = earlier | {self._hash(column, value) for value in values}
        return self if hashes == earlier else replace(self, hashes={**self.hashes, column: hashes}, swept=False)

    def _hash(self, column: str, value: str) -> str:
        content = f"{column} {value}".encode("utf-8", "surrogateescape")
        return hmac.new(self.key, content, hashlib.sha256).hexdigest()


def read_erased(store: Path) -> ErasedSellers:
    """Return the erased sellers of the store in a folder; an empty list if it has no list.

    Raises:
        StoreError: the list or its key cannot be read.
    """
    try:
        path = store / _KEY
        key = bytes.fromhex(path.read_text(encoding="ascii").strip()) if path.exists() else b""
        if not (store / _LIST).exists():
            return ErasedSellers(key)
        content = json.loads((store / _LIST).read_text(encoding="utf-8"))
        if not key:
            raise ValueError("no key")
        hashes = {column: frozenset(map(str, content["hashes"][column])) for column in ID_COLUMNS}
        return ErasedSellers(key, hashes, bool(content["swept"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store / _LIST} or {_KEY} in the same folder cannot be read. They list the erased sellers, whose rows "
            "must not be stored. Restore both from a backup."
        ) from error


def write_erased(store: Path, erased: ErasedSellers) -> None:
    """Write the list of erased sellers, durably and in one step. Every later ingest applies it."""
    hashes = {column: sorted(erased.hashes.get(column, ())) for column in ID_COLUMNS}
    replace_text(store / _LIST, json.dumps({"swept": erased.swept, "hashes": hashes}, indent=1) + "\n")


def ensure_key(store: Path, erased: ErasedSellers) -> ErasedSellers:
    """Return the list with a key; create a key that only the owner can read if the store has none."""
    if erased.key:
        return erased
    key = secrets.token_bytes(32)
    draft = store / f"{_KEY}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
    move_into_place(draft, store / _KEY)
    return replace(erased, key=key)


def erase_rows(folder: Path, seller_id: str) -> int:
    """Remove a seller's rows from the store in a folder, reject them from now on, and return the number removed.

    This includes all rows of stores that never had another owner, and the seller's loans with their payments. A store
    that changed hands keeps its rows, since they also belong to another seller. If a delivery is being ingested, wait.

    Example: `erase_rows(Path("var/operating"), "S-000005")` is 1,204; the second time 0.

    Raises:
        StoreError: the store cannot be read or written. The next erasure or ingest continues.
    """
    if not folder.exists():
        return 0
    with open_for_writing(folder):
        erased = ensure_key(folder, read_erased(folder)).with_ids("seller_id", [seller_id])
        erased = resolve_erased_ids(erased, folder)
        # from here on, a later process can complete the erasure
        write_erased(folder, replace(erased, swept=False))
        return _remove_erased_rows(read_store(folder), erased)


def finish_erasure(store: OperatingStore) -> None:
    """Complete an erasure that was interrupted. The caller holds the write lock of the store."""
    erased = read_erased(store.folder)
    if not erased.swept:
        _remove_erased_rows(store, erased)


def resolve_erased_ids(erased: ErasedSellers, folder: Path) -> ErasedSellers:
    """Return the list with the ids of the stores and loans of erased sellers, from all files of a store."""
    for table, column in (("stores", "store_id"), ("loans", "loan_id")):
        owners: dict[str, set[str]] = {}
        for kind in ("accepted", "quarantined"):
            for file in _files(folder, f"{kind}/{table}.parquet"):
                for row in _rows(file, [column, "seller_id"]):
                    # a quarantined row can name an erased owner, but is no evidence of another owner
                    if row[column] and (kind == "accepted" or erased.holds("seller_id", row["seller_id"])):
                        owners.setdefault(row[column], set()).add(row["seller_id"])
        erased = erased.with_ids(
            column, [id_ for id_, sellers in owners.items() if all(erased.holds("seller_id", each) for each in sellers)]
        )
    return erased


def _remove_erased_rows(store: OperatingStore, erased: ErasedSellers) -> int:
    """Remove all rows with an erased id from the store, and the caches that were computed from them."""
    with _removed_caches(store.folder):
        removed = sum(remove_rows(path, erased) for path in _files(store.folder, "*.parquet"))
        for path in (path for home in _HOMES for path in (store.folder / home).glob(f"*/{LISTED_FILE}")):
            remove_rows(path, erased)
        update_counts(store)
        write_erased(store.folder, replace(erased, swept=True))
    return removed


def without_erased(report: TableReport, accepted: Path, quarantined: Path, erased: ErasedSellers) -> TableReport:
    """Remove the rows of erased sellers from the files of a newly ingested table; return the corrected counts."""
    for path in (accepted, quarantined):
        remove_rows(path, erased)
    return _recount(report, accepted, quarantined)


def current_report(store: Path, delivery_id: str) -> IngestReport:
    """Return the report of a delivery in a store; rows that were erased after the ingest count as erased.

    Raises:
        StoreError: it cannot be read.
    """
    report, home = read_report(store, delivery_id), store / "deliveries" / delivery_id
    if not read_erased(store):
        return report
    folders = (home / "accepted", home / "quarantined")
    try:
        tables = [_recount(each, *(folder / f"{each.table}.parquet" for folder in folders)) for each in report.tables]
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"A file of {home} cannot be read. Restore it from a backup.") from error
    return replace(report, tables=tuple(tables))


def _recount(report: TableReport, accepted: Path, quarantined: Path) -> TableReport:
    """Return the counts of the rows that the files have now; the others were erased."""
    remaining, waiting = (pq.read_metadata(path).num_rows for path in (accepted, quarantined))
    erased = report.read - report.duplicates - remaining - waiting
    if erased == report.erased:
        return report
    rows = list(_rows(quarantined, ["rule", "rules"]))
    first = _count(str(row["rule"]) for row in rows)
    every = _count(rule for row in rows for rule in str(row["rules"]).split(RULE_SEPARATOR))
    return replace(report, accepted=remaining, erased=erased, quarantined=first, broken=every)


def _count(rules: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(rules).items()))


def remove_rows(path: Path, erased: ErasedSellers) -> int:
    """Rewrite a file without the rows of erased sellers, durably and in one step; return the number of those rows."""
    schema = pq.read_schema(path)
    columns = [name for name in (*ID_COLUMNS, "row") if name in schema.names]
    removed: int = sum(batch.num_rows - int(_remaining(batch, erased).true_count) for batch in _batches(path, columns))
    if not removed:
        return 0
    draft = path.with_name(f".{path.name}.new")
    with pq.ParquetWriter(draft, schema, compression="zstd", compression_level=1) as writer:
        for batch in _batches(path):
            writer.write_batch(batch.filter(_remaining(batch, erased)))
    move_into_place(draft, path)
    return removed


def _remaining(batch: pa.RecordBatch, erased: ErasedSellers) -> pa.BooleanArray:
    """Return for each row whether it remains. Each distinct id is hashed once."""
    import pyarrow.compute as pc

    remaining = pa.array([True] * batch.num_rows, pa.bool_())
    for name in (name for name in ID_COLUMNS if name in batch.schema.names):
        column = batch.column(name)
        ids = [value for value in column.unique().to_pylist() if erased.holds(name, value)]
        remaining = pc.and_(remaining, pc.invert(pc.is_in(column, pa.array(ids, column.type))))
    if "row" in batch.schema.names:
        lines = batch.column("row").to_pylist()
        remaining = pc.and_(remaining, pa.array([not erased.named_in(line) for line in lines], pa.bool_()))
    return remaining


def _files(folder: Path, pattern: str) -> list[Path]:
    """Return the Parquet files of all deliveries, including one in progress, without intermediate files."""
    paths = (path for home in _HOMES for path in (folder / home).rglob(pattern))
    return sorted(path for path in paths if path.parent.name in {"accepted", "quarantined"} and path.name[0] != ".")


def _batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(columns=columns)


def _rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    for batch in _batches(path, columns):
        yield from batch.to_pylist()


@contextmanager
def _removed_caches(folder: Path) -> Iterator[None]:
    """Wait for readers of the tiles, delete them, and keep others from rebuilding them until the block ends."""
    with ExitStack() as locks:
        for cache in (folder / name for name in _CACHES):
            home = AtomicFolder(cache, cache)
            locks.enter_context(home.lock())
            locks.enter_context(home.unread())
            # without the manifest, all other files are unused
            home.manifest.unlink(missing_ok=True)
            for path in cache.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
        yield
