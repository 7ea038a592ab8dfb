"""Sellers who were erased, by keyed hashes of their ids: no row of theirs is kept, whenever it is delivered again.

The list says that somebody was erased and never who; whether an id is one of theirs can be asked, with the key at hand.

Removes the rows of erased sellers: from a store, when one is erased, and from a delivery, before it is stored.

What counts first is the list: it is written before any file is touched, so whoever comes after a kill goes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import StoreError
from features.ingest.report import RULE_SEPARATOR, TableReport
from features.store.folders import replace_text, sync_file
from features.store.operating import OperatingStore, open_for_writing, read_store, update_counts

_LIST: Final = "erased.json"


_KEY: Final = "erased.key"


ID_COLUMNS: Final = ("seller_id", "store_id", "loan_id")
"""By which of its columns a row is a seller's, in the order in which they are found out."""


_BETWEEN: Final = re.compile(r"[,;\t|\"\s]+")


@dataclass(frozen=True)
class ErasedSellers:
    """The hashes of erased ids by column; `swept` says that no stored row has one of them any more."""

    key: bytes
    hashes: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    swept: bool = True

    def __bool__(self) -> bool:
        """Return whether anybody was erased."""
        return any(self.hashes.values())

    def holds(self, column: str, value: str | None) -> bool:
        """Return whether an id is an erased one."""
        return value is not None and self._hash(column, value) in self.hashes.get(column, ())

    def named_in(self, line: str | None) -> bool:
        """Return whether a line that could not be read as a row names an erased id."""
        words = _BETWEEN.split(line) if line else ()
        return any(self.holds(column, word) for column in ID_COLUMNS for word in words)

    def among(self, column: str, values: Iterable[str | None]) -> list[str]:
        """Return those of some ids that were erased."""
        return [value for value in values if value is not None and self.holds(column, value)]

    def with_ids(self, column: str, values: Iterable[str]) -> ErasedSellers:
        """Return the list with more ids in it, to be swept for."""
        known = self.hashes.get(column, frozenset())
        more = known | {self._hash(column, value) for value in values}
        if more == known:
            return self
        return replace(self, hashes=MappingProxyType({**self.hashes, column: more}), swept=False)

    def _hash(self, column: str, value: str) -> str:
        content = f"{column} {value}".encode("utf-8", "surrogateescape")
        return hmac.new(self.key, content, hashlib.sha256).hexdigest()


def read_erased(store: Path) -> ErasedSellers:
    """Return who was erased from the store in a folder; nobody where there is no list.

    Raises:
        StoreError: the list or its key cannot be read, so that nobody knows whose rows may be kept.
    """
    try:
        if not (store / _LIST).exists():
            return ErasedSellers(_read_key(store) or b"")
        content = json.loads((store / _LIST).read_text(encoding="utf-8"))
        hashes = {column: frozenset(map(str, content["hashes"][column])) for column in ID_COLUMNS}
        key = _read_key(store)
        if key is None:
            raise ValueError("no key")
        return ErasedSellers(key, MappingProxyType(hashes), bool(content["swept"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store / _LIST} or {_KEY} beside it cannot be read, which say whose rows may not be kept; restore both "
            "from a backup"
        ) from error


def write_erased(store: Path, erased: ErasedSellers) -> None:
    """Write the list durably and in one step; from then on it binds whoever takes a delivery."""
    hashes = {column: sorted(erased.hashes.get(column, ())) for column in ID_COLUMNS}
    replace_text(store / _LIST, json.dumps({"swept": erased.swept, "hashes": hashes}, indent=1) + "\n")


def open_with_key(store: Path, erased: ErasedSellers) -> ErasedSellers:
    """Return the list with a key, making one for its owner alone where there is none."""
    if erased.key:
        return erased
    key = secrets.token_bytes(32)
    draft = store / f"{_KEY}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
    sync_file(draft)
    draft.replace(store / _KEY)
    sync_file(store)
    return replace(erased, key=key)


def _read_key(store: Path) -> bytes | None:
    path = store / _KEY
    return bytes.fromhex(path.read_text(encoding="ascii").strip()) if path.exists() else None


_CACHES: Final = ("tiles", "tiles-spark")
"""Folders of what is made of accepted rows, and can be made anew."""


def erase_rows(folder: Path, seller_id: str) -> int:
    """Remove a seller's rows from the store in a folder, and let none in again; return how many rows were removed.

    All rows of a store that nobody else ever held are theirs, and so are their loans with all payments. A store that
    changed hands keeps its rows, since they are another's too. It waits for a delivery that is being taken.

    Example: `erase_rows(Path("var/operating"), "S-000005")` is 1,204; the second time 0.

    Raises:
        StoreError: the store cannot be read or written; what was begun goes on with the next erasure or delivery.
    """
    if not folder.exists():
        return 0
    with open_for_writing(folder):
        erased = open_with_key(folder, read_erased(folder)).with_ids("seller_id", [seller_id])
        erased = resolve_erased_ids(erased, folder)
        # from here on whoever takes a delivery, or comes after a kill, knows all that is to go
        write_erased(folder, replace(erased, swept=False))
        return remove_erased_rows(read_store(folder), erased)


def finish_erasure(store: OperatingStore) -> None:
    """Go on with an erasure that was stopped in between; the caller holds the store."""
    erased = read_erased(store.folder)
    if not erased.swept:
        remove_erased_rows(store, erased)


def resolve_erased_ids(erased: ErasedSellers, folder: Path) -> ErasedSellers:
    """Return the list with the stores and loans of erased sellers, as all files of a store tell them by now."""
    for table, column in (("stores", "store_id"), ("loans", "loan_id")):
        owners: dict[str, set[str]] = {}
        for kind in ("accepted", "quarantined"):
            for file in _files(folder, f"{kind}/{table}.parquet"):
                for row in _rows(file, [column, "seller_id"]):
                    # what broke a rule says whose a thing may be, and takes it from nobody
                    if row[column] and (kind == "accepted" or erased.holds("seller_id", row["seller_id"])):
                        owners.setdefault(row[column], set()).add(row["seller_id"])
        theirs = [each for each, held in owners.items() if all(erased.holds("seller_id", owner) for owner in held)]
        erased = erased.with_ids(column, theirs)
    return erased


def remove_erased_rows(store: OperatingStore, erased: ErasedSellers) -> int:
    """Remove every row with an erased id from every file of the store, and what was made of them."""
    with _remove_caches(store.folder):
        removed = sum(without(path, erased) for path in _files(store.folder, "*.parquet"))
        update_counts(store)
        write_erased(store.folder, replace(erased, swept=True))
    return removed


def without_erased(report: TableReport, accepted: Path, quarantined: Path, erased: ErasedSellers) -> TableReport:
    """Remove the rows of erased sellers from a table that was just taken, and count them as such."""
    gone = without(accepted, erased)
    rejected = without(quarantined, erased)
    if not gone + rejected:
        return report
    first, every = report.quarantined, report.broken
    if rejected:
        rows = list(_rows(quarantined, ["rule", "rules"]))
        first = _counted(str(row["rule"]) for row in rows)
        every = _counted(rule for row in rows for rule in str(row["rules"]).split(RULE_SEPARATOR))
    return replace(report, accepted=report.accepted - gone, erased=gone + rejected, quarantined=first, broken=every)


def _counted(rules: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(rules).items()))


def without(path: Path, erased: ErasedSellers) -> int:
    """Rewrite a file without the rows of erased sellers, durably and in one step, and return how many there were."""
    schema = pq.read_schema(path)
    there = [name for name in (*ID_COLUMNS, "row") if name in schema.names]
    total: int = sum(part.num_rows - int(_keeps(part, erased).true_count) for part in _parts(path, there))
    if not total:
        return 0
    draft = path.with_name(f".{path.name}.new")
    with pq.ParquetWriter(draft, schema, compression="zstd", compression_level=1) as writer:
        for part in _parts(path):
            writer.write_batch(part.filter(_keeps(part, erased)))
    sync_file(draft)
    draft.replace(path)
    sync_file(path.parent)
    return total


def _keeps(part: pa.RecordBatch, erased: ErasedSellers) -> pa.BooleanArray:
    """Return for each row whether it may stay; an id is hashed once, however many rows name it."""
    import pyarrow.compute as pc

    stays = pa.array([True] * part.num_rows, pa.bool_())
    for column in (name for name in ID_COLUMNS if name in part.schema.names):
        gone = erased.among(column, part.column(column).unique().to_pylist())
        stays = pc.and_(stays, pc.invert(pc.is_in(part.column(column), pa.array(gone, part.schema.field(column).type))))
    if "row" in part.schema.names:
        named = [erased.named_in(line) for line in part.column("row").to_pylist()]
        stays = pc.and_(stays, pa.array([not each for each in named], pa.bool_()))
    return stays


def _files(folder: Path, pattern: str) -> list[Path]:
    """Return the Parquet files of all deliveries, of one that is being taken too, but for its intermediate ones."""
    found = (path for home in ("deliveries", "orphaned") for path in (folder / home).rglob(pattern))
    return sorted(path for path in found if path.parent.name in {"accepted", "quarantined"} and path.name[0] != ".")


def _parts(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(columns=columns)


def _rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    for part in _parts(path, columns):
        yield from part.to_pylist()


@contextmanager
def _remove_caches(folder: Path) -> Iterator[None]:
    """Delete what was made of the rows, and keep whoever makes it anew waiting until the block ends."""
    tiles = folder / "tiles"
    tiles.mkdir(exist_ok=True)
    with (tiles / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for cache in _CACHES:
            # the list of what counts first: without it the rest is nothing but files
            (folder / cache / "manifest.json").unlink(missing_ok=True)
            for path in (folder / cache).glob("*"):
                if path.is_dir():
                    shutil.rmtree(path)
        yield
