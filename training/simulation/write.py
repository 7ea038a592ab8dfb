"""Delivery files: rows to Parquet, and the bad rows of a delivery (malformed, duplicate, conflicting).

Bad rows are added to the valid ones and never replace them, so that their number is known exactly.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.schema import BY_NAME, TABLES
from features.store.folders import draft_folder
from training.errors import SimulationError
from training.simulation.rows import Rows, coded

TRUTH: Final = "truth"
BAD_ROWS: Final = ("malformed", "duplicates", "conflicts")
_LATE_AFTER: Final = np.timedelta64(24, "h")


@dataclass
class DeliveryWriter:
    """Writes rows to one Parquet file per table in `folder`, and counts them."""

    folder: Path
    end: date
    source: str
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in ("rows", "late", *BAD_ROWS)}
    )
    files: dict[str, pq.ParquetWriter] = field(default_factory=dict)

    def write(self, rows: Rows, bad_rows: Mapping[str, int] | None = None) -> None:
        """Append rows to the file of their table; `bad_rows` has the number of bad ones of each kind."""
        if rows.table not in self.files:
            self.files[rows.table] = _open(self._path(rows.table), rows.columns.schema)
        self.files[rows.table].write_table(rows.columns)
        for kind, count in {"rows": len(rows), "late": _late(rows), **(bad_rows or {})}.items():
            self.counts[kind][rows.table] += count

    def _path(self, table: str) -> Path:
        folder = self.folder / TRUTH if table == TRUTH else self.folder
        folder.mkdir(exist_ok=True)
        return folder / f"{table}.parquet"

    def close(self) -> None:
        """Close the files and write `delivery.json` with coverage and source."""
        for file in self.files.values():
            file.close()
        covers = {table.name: self.end.isoformat() for table in TABLES if table.name in self.files}
        terms = {"source": self.source, "covers_through": covers, "covers_stores": "all"}
        (self.folder / "delivery.json").write_text(json.dumps(terms, indent=2) + "\n")


@contextmanager
def new_delivery(out: Path, end: date, source: str) -> Iterator[DeliveryWriter]:
    """Yield a writer of a temporary folder that replaces `out` at the end, so that a kill leaves no partial delivery.

    Raises:
        SimulationError: `out` is a file, is not empty or cannot be written.
    """
    try:
        require_unused(out)
        with draft_folder(out.parent, 0o755) as draft:
            writer = DeliveryWriter(draft, end, source)
            yield writer
            writer.close()
            draft.replace(out)
    except (FileExistsError, NotADirectoryError) as error:
        raise SimulationError(f"{out} is inside a file. Use a new or empty folder.") from error
    except OSError as error:
        raise SimulationError(
            f"{out} cannot be written: {error.strerror or error}. Use a new folder in which you have write access."
        ) from error


def require_unused(out: Path) -> None:
    """Raise SimulationError if `out` is a file or not empty."""
    if out.exists() and not out.is_dir():
        raise SimulationError(f"{out} is a file. Use a new or empty folder.")
    if out.is_dir() and any(out.iterdir()):
        raise SimulationError(f"{out} is not empty. Use a new or empty folder.")


def _open(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a file: categorical columns are strings with Parquet dictionaries; unique IDs have no dictionary."""
    dictionaries = [name for name, kind in zip(schema.names, schema.types, strict=True) if pa.types.is_dictionary(kind)]
    return pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=1, use_dictionary=dictionaries, store_schema=False
    )


def _late(rows: Rows) -> int:
    """Return the number of rows that became known more than a day after their event, or after the end of their day."""
    contract = BY_NAME.get(rows.table)
    if contract is None or contract.event_time is None:
        return 0
    event = rows.array(contract.event_time)
    ended = event + np.timedelta64(1, "D") if event.dtype == np.dtype("datetime64[D]") else event
    return int((rows.array("known_at") - ended > _LATE_AFTER).sum())


_MALFORMED_SHARE: Final = 0.001
_DUPLICATE_SHARE: Final = 0.0003
_CONFLICT_SHARE: Final = 0.0001

_NEGATIVE, _NOT_A_NUMBER = "negative", "not a number"

_FLAWS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "orders": (
        ("amount", _NEGATIVE),
        ("amount", _NOT_A_NUMBER),
        ("currency", "XXQ"),
        ("channel", "pigeon"),
        ("buyer_country", "UK"),
        ("store_id", "T-999999-9"),
    ),
    "refunds": (
        ("amount", _NEGATIVE),
        ("amount", _NOT_A_NUMBER),
        ("currency", "XXQ"),
        ("reason", "pigeon"),
        ("store_id", "T-999999-9"),
    ),
    "traffic": (
        ("ad_spend", _NEGATIVE),
        ("currency", "XXQ"),
        ("channel", "pigeon"),
        ("store_id", "T-999999-9"),
    ),
}
"""The flaws of malformed rows by table: the column, and its invalid value."""


def with_bad_rows(rows: Rows, rng: np.random.Generator) -> tuple[Rows, dict[str, int]]:
    """Return the rows with bad rows added, and their number; only orders, refunds and traffic get bad rows.

    A malformed row is a copy of a valid one with one flaw and, if the table has its own IDs, a new ID (`X-...`). A
    conflict repeats a key with another amount. Each valid row is copied at most once.
    """
    if rows.table not in _FLAWS:
        return rows, dict.fromkeys(BAD_ROWS, 0)
    luck = rng.random(len(rows))
    edges = np.cumsum([_MALFORMED_SHARE, _DUPLICATE_SHARE, _CONFLICT_SHARE])
    kind = np.searchsorted(edges, luck, side="right")
    sources = [np.flatnonzero(kind == n) for n in range(3)]
    malformed, duplicates, conflicts = map(rows.take, sources)
    money = BY_NAME[rows.table].money or ""
    conflicts = conflicts.replace(**{money: conflicts.array(money) + 1.0})
    result = rows.append(*_malformed_rows(_with_new_ids(malformed)), duplicates, conflicts)
    return result, dict(zip(BAD_ROWS, map(len, sources), strict=True))


def _malformed_rows(rows: Rows) -> list[Rows]:
    """Return the rows, each with one flaw of its table, in turn."""
    flaws = _FLAWS[rows.table]
    turn = np.arange(len(rows)) % len(flaws)
    return [_with_flaw(rows.take(turn == n), *flaw) for n, flaw in enumerate(flaws)]


def _with_flaw(rows: Rows, column: str, value: str) -> Rows:
    if value == _NEGATIVE:
        return rows.replace(**{column: -rows.array(column) - 1.0})
    if value == _NOT_A_NUMBER:
        return rows.replace(**{column: np.full(len(rows), np.nan)})
    return rows.replace(**{column: coded(np.zeros(len(rows), dtype=np.int32), [value])})


def _with_new_ids(rows: Rows) -> Rows:
    """Return the rows with new IDs: the first letter becomes X."""
    key, *others = BY_NAME[rows.table].key
    return rows if others else rows.replace(**{key: pc.binary_replace_slice(rows.columns[key], 0, 1, "X")})
