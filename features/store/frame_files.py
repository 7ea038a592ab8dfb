"""Frame files: what `sellerscore features frame` writes, and reading it in blocks of bounded memory.

A frame is a folder of Parquet files with seller_id, as_of and a double per feature, null if missing. `_frame.json`
describes it: the catalogue, and the midnight through which each table was delivered. Libraries that read folders of
Parquet skip names that begin with an underscore.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.errors import StoreError
from features.regular_files import open_regular, read_small_file
from features.store.vector_tables import Snapshot, VectorBlock

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

DESCRIPTION: Final = "_frame.json"
KEYS: Final = ("seller_id", "as_of")

_BLOCK: Final = 4_096
"""Sellers of a block, as in the vector store."""

_BUFFER: Final = 1 << 16
"""Bytes of a column that are read at a time: a row group of a million sellers need not fit into memory."""

_MAX_NAMES: Final = 5
_AGAIN: Final = "Compute the frame again with `sellerscore features frame --out DIR`."


@dataclass(frozen=True)
class FrameFiles:
    """The files of a frame, checked for their columns and dates.

    Attributes:
        files: the Parquet files, by name.
        snapshot: what all rows share: as_of, catalogue and delivered tables.
        rows: the number of rows.
        names: the features to read, in the order of the model.
    """

    files: tuple[Path, ...]
    snapshot: Snapshot
    rows: int
    names: tuple[str, ...]

    def blocks(self, size: int = _BLOCK) -> Iterator[VectorBlock]:
        """Yield the rows as matrices of at most `size` sellers, file by file.

        Raises:
            StoreError: a file is damaged, a row has no seller, or a value is infinite.
        """
        for path in self.files:
            with _open(path) as file:
                for batch in file.iter_batches(size, columns=[KEYS[0], *self.names]):
                    yield to_block(self.snapshot, self.names, batch)


def write_description(folder: Path, data_version: str, catalogue: str, covers: Mapping[str, date] | None) -> None:
    """Write the description of a frame into its folder; `covers` is None if coverage differs between sellers."""
    days = None if covers is None else {name: day.isoformat() for name, day in covers.items()}
    content = {"catalogue": catalogue, "covers_through": days, "data_version": data_version}
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def open_frame(path: Path, names: Sequence[str], catalogue: str) -> FrameFiles:
    """Open a frame for reading: its folder, or one of its files. Only the column as_of is read.

    Args:
        path: a folder that `sellerscore features frame` wrote, or a Parquet file in it.
        names: the features to read.
        catalogue: the digest of the catalogue that the model was trained with.

    Example: `next(open_frame(Path("var/frame"), sheet.names, sheet.catalogue).blocks()).values` has the first sellers.

    Raises:
        StoreError: the files cannot be read, lack a column or have no rows; or the frame has no description, another
            catalogue, several dates, or sellers with different coverage.
    """
    is_folder = path.is_dir()
    files = sorted(file for file in path.glob("*.parquet") if file.name[0] not in "._") if is_folder else [path]
    if not files:
        raise StoreError(f"The folder {path} has no Parquet files. {_AGAIN}")
    rows, days = 0, set[date | None]()
    for file in files:
        with _open(file) as opened:
            _require_columns(file, opened.schema_arrow, names)
            rows += opened.metadata.num_rows
            days |= _days(file, opened)
    if not rows:
        raise StoreError(f"The frame {path} has no rows. {_AGAIN}")
    description = _read_description(path if is_folder else path.parent, catalogue)
    if len(days) > 1 or None in days:
        found = ", ".join(sorted(str(day or "none") for day in days)[:_MAX_NAMES])
        raise StoreError(
            f"The frame {path} has rows as of several dates ({found}). Give all rows the same as_of: "
            "`sellerscore features frame --as-of DATE --out DIR` writes the frame of one date."
        )
    (as_of,) = days
    assert as_of is not None  # noqa: S101 - for mypy
    snapshot = Snapshot(as_of, description["data_version"], catalogue, description["covers_through"])
    return FrameFiles(tuple(files), snapshot, rows, tuple(names))


def to_block(snapshot: Snapshot, names: Sequence[str], rows: pa.RecordBatch) -> VectorBlock:
    """Return rows with seller_id and the features `names` as a block, NaN if missing.

    Raises:
        StoreError: a row has no seller, or a value is infinite.
    """
    import pyarrow as pa

    sellers = rows.column(KEYS[0])
    if sellers.null_count:
        raise StoreError(f"{sellers.null_count} rows of the frame have no seller_id. Name the seller of each row.")
    values = np.empty((len(rows), len(names)))
    for column, name in enumerate(names):
        values[:, column] = rows.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
    if (infinite := np.argwhere(np.isinf(values))).size:
        row, column = infinite[0]
        raise StoreError(
            f"{len(infinite)} values of the frame are infinite; the first is {names[column]} of seller "
            f"{sellers[int(row)].as_py()!r}. Use finite numbers, and null for a missing value."
        )
    return VectorBlock(snapshot, sellers.cast(pa.string()).to_pylist(), values)


@contextmanager
def _open(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, and convert errors of reading it into a StoreError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(path) as file, pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened:
            yield opened
    except (OSError, pa.ArrowException) as error:
        reason = (getattr(error, "strerror", None) or str(error).splitlines()[0]).rstrip(".")
        remedy = (
            "Use the folder that `sellerscore features frame` wrote."
            if getattr(error, "strerror", None)
            else f"It is not Parquet, or was truncated or altered. {_AGAIN}"
        )
        raise StoreError(f"The file {path} cannot be read ({reason}). {remedy}") from error


def _require_columns(file: Path, schema: pa.Schema, names: Sequence[str]) -> None:
    import pyarrow as pa

    if missing := [name for name in (*KEYS, *names) if name not in schema.names]:
        rest = f" and {len(missing) - _MAX_NAMES} more" if len(missing) > _MAX_NAMES else ""
        raise StoreError(f"The file {file} lacks the columns {', '.join(missing[:_MAX_NAMES])}{rest}. {_AGAIN}")
    types = pa.types
    is_number = (types.is_floating, types.is_integer, types.is_decimal, types.is_null)
    allowed: dict[str, tuple[tuple[Callable[[pa.DataType], bool], ...], str]] = {
        **dict.fromkeys(names, (is_number, "numbers, and null if missing")),
        KEYS[0]: ((types.is_string, types.is_large_string), "text"),
        KEYS[1]: ((types.is_date, types.is_timestamp, types.is_null), "dates"),
    }
    for name, (checks, use) in allowed.items():
        kind = schema.field(name).type
        if not any(check(kind) for check in checks):
            raise StoreError(f"The column {name} of {file} has the type {kind}. Use {use}.")


def _days(path: Path, file: pq.ParquetFile) -> set[date | None]:
    """Return the distinct dates of a file, None if a row has none."""
    import pyarrow as pa

    days: set[date | None] = set()
    for batch in file.iter_batches(1 << 16, columns=[KEYS[1]]):
        found = batch.column(0).unique()
        midnights = found.cast(pa.date32())
        if midnights.cast(found.type) != found:
            raise StoreError(f"A value of as_of in {path} is not a midnight. Use dates such as 2026-01-31.")
        days.update(midnights.to_pylist())
    return days


def _read_description(folder: Path, catalogue: str) -> dict[str, Any]:
    """Return the description of a frame, with its dates, after a check of its catalogue."""
    path = folder / DESCRIPTION
    try:
        found = json.loads(read_small_file(path))
        computed_with, covers = str(found["catalogue"]), found["covers_through"]
        days = None if covers is None else {str(name): date.fromisoformat(day) for name, day in covers.items()}
        description = {"data_version": str(found["data_version"]), "covers_through": days}
    except OSError as error:
        raise StoreError(
            f"The description {path} cannot be read ({error.strerror}). It states the catalogue of the frame and the "
            f"days that were delivered; keep it beside the Parquet files. {_AGAIN}"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"The description {path} is not valid. {_AGAIN}") from error
    if computed_with != catalogue:
        raise StoreError(
            f"The frame {folder} was computed with the catalogue {computed_with[:19]}, but the model was trained with "
            f"{catalogue[:19]}. {_AGAIN} Or train a model with this catalogue."
        )
    if days is None:
        raise StoreError(
            f"The data of the sellers in {folder} end on different days, which a frame does not state for each seller. "
            "Run `sellerscore score-portfolio` without --in, which uses the latest day of each seller."
        )
    return description
