"""From numpy rows to Parquet files: the only room that names pyarrow, and the only one that touches the disk.

What goes wrong on the way: rows that no contract allows, rows sent twice, and rows that contradict another.

Bad rows are added beside the good ones, never put in their place, so that their number is known exactly.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.schema import BY_NAME, TABLES
from training.errors import SimulationError
from training.simulation.rows import Coded, Column, Rows

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


TRUTH: Final = "truth"


_LATE_AFTER: Final = np.timedelta64(24, "h")


@dataclass
class DeliveryWriter:
    """Appends rows to one Parquet file a table below `folder`, and counts them."""

    folder: Path
    end: date
    source: str
    rows: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    files: dict[str, pq.ParquetWriter] = field(default_factory=dict)

    def write(self, rows: Rows) -> None:
        """Append rows to the file of their table."""
        table = _arrow(rows)
        if rows.table not in self.files:
            self.files[rows.table] = _open(self._path(rows.table), table.schema)
        self.files[rows.table].write_table(table)
        self.rows[rows.table] += len(rows)
        self.late[rows.table] += _late(rows)

    def _path(self, table: str) -> Path:
        folder = self.folder / TRUTH if table == TRUTH else self.folder
        folder.mkdir(exist_ok=True)
        return folder / f"{table}.parquet"

    def close(self) -> None:
        """Finish the files, and write their coverage and origin."""
        for file in self.files.values():
            file.close()
        covers = {table.name: self.end.isoformat() for table in TABLES}
        terms = {"source": self.source, "covers_through": covers}
        (self.folder / "delivery.json").write_text(json.dumps(terms, indent=2) + "\n")


@contextmanager
def new_delivery(out: Path, end: date, source: str) -> Iterator[DeliveryWriter]:
    """Write into a folder beside `out`, and put it in place when all is done: a kill leaves no half delivery.

    Raises:
        SimulationError: `out` is a file, or a folder that already holds something, or cannot be written.
    """
    try:
        refuse_used(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            writer = DeliveryWriter(workshop, end, source)
            yield writer
            writer.close()
            workshop.chmod(0o755)
            workshop.replace(out)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SimulationError(f"{out} lies under a file; name a folder that is new or empty.") from error
    except OSError as error:
        raise SimulationError(
            f"{out} cannot be written: {error.strerror or error}; name a new folder where you may write."
        ) from error


def refuse_used(out: Path) -> None:
    """Raise SimulationError where a delivery cannot be put."""
    if out.exists() and not out.is_dir():
        raise SimulationError(f"{out} is a file; name a folder that is new or empty.")
    if out.is_dir() and any(out.iterdir()):
        raise SimulationError(f"{out} already holds files; name a folder that is new or empty.")


def _open(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Coded columns are stored as plain strings with Parquet's own dictionaries; unique ids have none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    coded = [name for name, kind in zip(schema.names, schema.types, strict=True) if pa.types.is_dictionary(kind)]
    return pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=1, use_dictionary=coded, store_schema=False
    )


def _late(rows: Rows) -> int:
    """How many rows became known more than a day after their event, or after the end of their day."""
    contract = BY_NAME.get(rows.table)
    if contract is None or contract.event_time is None:
        return 0
    event = rows.array(contract.event_time)
    over = event + np.timedelta64(1, "D") if event.dtype == np.dtype("datetime64[D]") else event
    return int((rows.array("known_at") - over > _LATE_AFTER).sum())


def _arrow(rows: Rows) -> pa.Table:
    import pyarrow as pa

    names = BY_NAME[rows.table].column_names if rows.table in BY_NAME else tuple(rows.columns)
    return pa.table({name: _arrow_column(rows.columns[name]) for name in names})


def _arrow_column(column: Column) -> pa.Array:
    import pyarrow as pa

    if isinstance(column, Coded):
        return pa.DictionaryArray.from_arrays(pa.array(column.codes), pa.array(column.words, type=pa.string()))
    if column.dtype.kind == "S":
        return _strings(column)
    return pa.array(column)


def _strings(ids: np.ndarray[Any, Any]) -> pa.Array:
    """Fixed-width bytes as strings without a Python object per row; an empty id is a null."""
    import pyarrow as pa

    width = ids.dtype.itemsize
    letters = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), width)
    used = letters != 0
    lengths = used.sum(axis=1)
    offsets = np.zeros(len(ids) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    text = letters[used] if (lengths < width).any() else letters
    present = np.packbits(lengths > 0, bitorder="little")
    return pa.StringArray.from_buffers(
        len(ids), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text)), pa.py_buffer(present)
    )


_MALFORMED_SHARE: Final = 0.001


_DUPLICATE_SHARE: Final = 0.0003


_CONFLICT_SHARE: Final = 0.0001


_NOWHERE: Final = "T-999999-9"
"""A store that no seller has."""


_UNKNOWN_CURRENCY: Final = "XXQ"


_UNKNOWN_CHANNEL: Final = "pigeon"


_UNKNOWN_COUNTRY: Final = "UK"


@dataclass(frozen=True)
class BadRows:
    """How many bad rows of each sort were added."""

    malformed: int = 0
    duplicates: int = 0
    conflicts: int = 0


Flaw = Callable[[Rows], Rows]


def _negative(money: str) -> Flaw:
    return lambda rows: rows.replace(**{money: -rows.array(money) - 1.0})


def _not_a_number(money: str) -> Flaw:
    return lambda rows: rows.replace(**{money: np.full(len(rows), np.nan)})


def _word(column: str, word: str) -> Flaw:
    return lambda rows: rows.replace(**{column: Coded(np.zeros(len(rows), dtype=np.int32), (word,))})


_FLAWS: Final[Mapping[str, tuple[Flaw, ...]]] = {
    "orders": (
        _negative("amount"),
        _not_a_number("amount"),
        _word("currency", _UNKNOWN_CURRENCY),
        _word("channel", _UNKNOWN_CHANNEL),
        _word("buyer_country", _UNKNOWN_COUNTRY),
        _word("store_id", _NOWHERE),
    ),
    "refunds": (
        _negative("amount"),
        _not_a_number("amount"),
        _word("currency", _UNKNOWN_CURRENCY),
        _word("reason", _UNKNOWN_CHANNEL),
        _word("store_id", _NOWHERE),
    ),
    "traffic": (
        _negative("ad_spend"),
        _word("currency", _UNKNOWN_CURRENCY),
        _word("channel", _UNKNOWN_CHANNEL),
        _word("store_id", _NOWHERE),
    ),
}


_MONEY: Final = {"orders": "amount", "refunds": "amount", "traffic": "ad_spend"}


def with_bad_rows(rows: Rows, rng: np.random.Generator) -> tuple[Rows, BadRows]:
    """Add the bad rows; tables without money that buyers or ads move stay clean.

    A malformed row is a copy of a good one with one flaw and, where the table has ids of its own, a new id
    (`X-...`); a conflict repeats a key with another amount. No row is the model of two bad ones.
    """
    if rows.table not in _FLAWS:
        return rows, BadRows()
    luck = rng.random(len(rows))
    edges = np.cumsum([_MALFORMED_SHARE, _DUPLICATE_SHARE, _CONFLICT_SHARE])
    sort = np.searchsorted(edges, luck, side="right")
    models = [np.flatnonzero(sort == n) for n in range(3)]
    messy = rows
    for bad in (
        *_malformed_rows(_renamed(rows.take(models[0]))),
        rows.take(models[1]),
        _conflicting(rows.take(models[2])),
    ):
        messy = messy.append(bad) if len(bad) else messy
    return messy, BadRows(*(len(model) for model in models))


def _malformed_rows(rows: Rows) -> list[Rows]:
    """The rows dealt out to the flaws of their table in turn."""
    flaws = _FLAWS[rows.table]
    turn = np.arange(len(rows)) % len(flaws)
    return [flaw(rows.take(turn == n)) for n, flaw in enumerate(flaws)]


def _renamed(rows: Rows) -> Rows:
    """Rows with ids of their own get fresh ones: the first letter becomes X."""
    key = {"orders": "order_id", "refunds": "refund_id"}.get(rows.table)
    if key is None or not len(rows):
        return rows
    ids = np.ascontiguousarray(rows.array(key)).copy()
    ids.view(np.uint8).reshape(len(ids), -1)[:, 0] = ord("X")
    return rows.replace(**{key: ids})


def _conflicting(rows: Rows) -> Rows:
    money = _MONEY[rows.table]
    return rows.replace(**{money: rows.array(money) + 1.0})
