"""Removes the rows of erased sellers: from a store, when one is erased, and from a delivery, before it is stored.

What counts first is the list: it is written before any file is touched, so whoever comes after a kill goes on.
"""

from __future__ import annotations

import fcntl
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.durable import flush
from features.intake.erased import ID_COLUMNS, Erased, read_erased, with_key, write_erased
from features.intake.report import RULE_SEPARATOR, TableReport
from features.intake.store import OperatingStore, read_store, recount, writing

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
    with writing(folder):
        erased = with_key(folder, read_erased(folder)).with_ids("seller_id", [seller_id])
        erased = found_out(erased, folder)
        # from here on whoever takes a delivery, or comes after a kill, knows all that is to go
        write_erased(folder, replace(erased, swept=False))
        return sweep(read_store(folder), erased)


def finish(store: OperatingStore) -> None:
    """Go on with an erasure that was stopped in between; the caller holds the store."""
    erased = read_erased(store.folder)
    if not erased.swept:
        sweep(store, erased)


def found_out(erased: Erased, folder: Path) -> Erased:
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


def sweep(store: OperatingStore, erased: Erased) -> int:
    """Remove every row with an erased id from every file of the store, and what was made of them."""
    with _caches_gone(store.folder):
        removed = sum(without(path, erased) for path in _files(store.folder, "*.parquet"))
        recount(store)
        write_erased(store.folder, replace(erased, swept=True))
    return removed


def swept(report: TableReport, accepted: Path, quarantined: Path, erased: Erased) -> TableReport:
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


def without(path: Path, erased: Erased) -> int:
    """Rewrite a file without the rows of erased sellers, durably and in one step, and return how many there were."""
    schema = pq.read_schema(path)
    there = [name for name in (*ID_COLUMNS, "row") if name in schema.names]
    total: int = sum(part.num_rows - int(_stays(part, erased).true_count) for part in _parts(path, there))
    if not total:
        return 0
    draft = path.with_name(f".{path.name}.new")
    with pq.ParquetWriter(draft, schema, compression="zstd", compression_level=1) as writer:
        for part in _parts(path):
            writer.write_batch(part.filter(_stays(part, erased)))
    flush(draft)
    draft.replace(path)
    flush(path.parent)
    return total


def _stays(part: pa.RecordBatch, erased: Erased) -> pa.BooleanArray:
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
def _caches_gone(folder: Path) -> Iterator[None]:
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
