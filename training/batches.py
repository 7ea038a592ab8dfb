"""Training rows on disk, read a row group at a time: for more rows than fit in memory as numbers.

LightGBM needs a byte or two for a value once it is binned; what does not fit are the numbers before, eight bytes each
and copied for every fold. Here they stay in a Parquet file: LightGBM samples rows to find the bins and then takes all
of them batch by batch (its `Sequence`), so that the model learnt from here is, to the letter, the one from memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.columns import Columns
from training.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

ROWS_AT_ONCE: Final = 16_384
"""Of a row group: 20 MB of the catalogue's columns, which is all that is held at once beside the bins."""


class RowGroups:
    """A Parquet file of features as LightGBM's columns, a row group at a time; the last one read is kept.

    Attributes:
        path: the file.
        columns: what LightGBM is shown of its features.
        starts: where each row group begins, and behind the last one the number of rows.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        import pyarrow.parquet as pq

        self.path, self.columns = path, columns
        self._file = pq.ParquetFile(path)
        about = self._file.metadata
        sizes = [about.row_group(number).num_rows for number in range(about.num_row_groups)]
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._last: tuple[int, NDArray[np.float64]] | None = None

    def matrix(self, number: int) -> NDArray[np.float64]:
        """Return one row group, shape (its rows, columns), missing values at the riskiest end."""
        if self._last is None or self._last[0] != number:
            self._last = None  # let go of it before the next one is read
            features = self._file.read_row_group(number, columns=list(self.columns.features)).to_pandas()
            self._last = (number, self.columns.matrix(features))
        return self._last[1]


class StoredRows(lightgbm.Sequence):  # type: ignore[misc]  # LightGBM has no types
    """Rows of a file at some places, in that order, as LightGBM's `Sequence` and as the matrix of a `Sample`.

    A number gives a row and a slice gives rows, both read; an array of places gives a view that is not read yet.

    Example: `StoredRows(groups)[np.array([5, 7])][0:2]` reads rows 5 and 7.
    """

    def __init__(self, groups: RowGroups, places: NDArray[np.int64] | None = None) -> None:
        self.groups = groups
        self.places = np.arange(groups.starts[-1]) if places is None else places
        self.batch_size = int(np.diff(groups.starts).max())  # what LightGBM asks for at once

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, wanted: int | slice) -> NDArray[np.float64]: ...
    @overload
    def __getitem__(self, wanted: NDArray[np.int64]) -> StoredRows: ...
    def __getitem__(self, wanted: int | slice | NDArray[np.int64]) -> NDArray[np.float64] | StoredRows:
        places = self.places[wanted]
        if isinstance(wanted, np.ndarray):
            return StoredRows(self.groups, places)
        read = self._read(np.atleast_1d(places))
        return read if isinstance(wanted, slice) else read[0]

    def with_columns(self, columns: Columns) -> StoredRows:
        """Return the same rows, read with the columns given."""
        return StoredRows(RowGroups(self.groups.path, columns), self.places)

    def by_group(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each row group that holds some of the rows, with their places within it; places must be rising."""
        yield from _by_group(self.groups.starts, self.places)

    def _read(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = [self.groups.matrix(number)[inside] for number, inside in _by_group(self.groups.starts, places)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _by_group(starts: NDArray[np.int64], places: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    numbers = np.searchsorted(starts, places, side="right") - 1
    edges = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
    for first, end in pairwise(edges):
        number = int(numbers[first])
        yield number, places[first:end] - starts[number]


def write_rows(frames: Iterable[pd.DataFrame], path: Path) -> None:
    """Write features to a Parquet file in row groups, frame after frame, each with the same float64 columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None
    for frame in frames:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        # numbers that hardly repeat: a dictionary of them would cost time and save nothing
        writer = writer or pq.ParquetWriter(path, table.schema, use_dictionary=False)
        writer.write_table(table, row_group_size=ROWS_AT_ONCE)
    if writer is not None:
        writer.close()


def stored_sample(dataset: Dataset, path: Path) -> Sample:
    """Write the features of a dataset to a file, and return a sample of all its rows that reads from there."""
    write_rows(_cut(dataset.features), path)
    columns = Columns.of_dataset(dataset)
    return Sample.of_dataset(dataset, StoredRows(RowGroups(path, columns)))


def _cut(features: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(features), ROWS_AT_ONCE):
        yield features.iloc[start : start + ROWS_AT_ONCE]
