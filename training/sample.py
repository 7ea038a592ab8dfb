"""Training samples: LightGBM columns, outcomes and sellers of labelled rows, in memory or in a Parquet file.

A sample is divided into periods, rolling origins and folds of sellers.

LightGBM needs one or two bytes per value after binning; what does not fit in memory are the values before, eight bytes
each and copied for every fold. `StoredRows` keeps them in a Parquet file: LightGBM samples rows to find the bins and
then reads all rows batch by batch (its `Sequence`). The resulting model equals the one from memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, overload

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.columns import Columns
from training.dataset import MIN_PER_CLASS, SELLER_LOANS, Words
from training.errors import LabelError

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

_BATCH: Final = 16_384
"""Rows predicted at once, which limits how many are read at once."""

ROWS_AT_ONCE: Final = 16_384
"""Rows of a row group: 20 MB of the catalogue's columns, the only values in memory at once in addition to the bins."""

Part = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Row numbers to train on, and row numbers that are left out."""


class Matrix(Protocol):
    """Rows of columns: an array or `StoredRows`."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return the rows of a slice as an array, and those of an array of row numbers as a matrix of the same kind."""


@dataclass(frozen=True)
class Sample:
    """Rows to train on.

    Attributes:
        columns: the columns of the matrix.
        matrix: shape (rows, columns), without missing values; in memory or on disk.
        bad: 1.0 for bad rows, else 0.0.
        sellers: a number for the seller of each row.
        days: the day of each row's midnight; None if the rows have no dates.
        words: what reports call the rows.
    """

    columns: Columns
    matrix: Matrix = field(repr=False)
    bad: NDArray[np.float64] = field(repr=False)
    sellers: NDArray[np.int64] = field(repr=False)
    days: NDArray[np.int64] | None = field(repr=False)
    words: Words = SELLER_LOANS

    @classmethod
    def of(
        cls,
        features: pd.DataFrame,
        bad: pd.Series,
        sellers: pd.Series,
        as_of: pd.Series | None = None,
        columns: Columns | None = None,
    ) -> Sample:
        """Return a sample of features, outcomes, sellers and midnights of the same rows.

        `columns` are by default those of the catalogue.
        """
        import pandas as pd

        columns = columns or Columns.of(map(str, features.columns))
        days = None if as_of is None else as_of.to_numpy().astype("datetime64[D]").astype(np.int64)
        outcomes = bad.to_numpy().astype(np.float64)
        return cls(columns, columns.matrix(features), outcomes, pd.factorize(sellers)[0], days)

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> Sample:
        """Return a sample of all rows of a dataset, in memory."""
        rows = dataset.rows
        columns = Columns.of_dataset(dataset)
        sample = cls.of(dataset.features, rows["bad"], rows["seller_id"], rows["as_of"], columns)
        return replace(sample, words=dataset.words)

    def take(self, rows: NDArray[np.int64]) -> Sample:
        """Return the rows with these numbers; a number may occur more than once."""
        days = None if self.days is None else self.days[rows]
        return Sample(self.columns, self.matrix[rows], self.bad[rows], self.sellers[rows], days, self.words)

    def select_columns(self, indexes: Sequence[int]) -> Sample:
        """Return the same rows with some of the columns."""
        columns = self.columns.subset(indexes)
        matrix: Any = self.matrix  # an array or `StoredRows`
        selected = matrix[:, list(indexes)] if isinstance(matrix, np.ndarray) else matrix.with_columns(columns)
        return replace(self, columns=columns, matrix=selected)

    def values(self) -> NDArray[np.float64]:
        """Return the matrix as an array in memory."""
        return np.asarray(self.matrix[0 : len(self.bad)])

    def margins(self, booster: lightgbm.Booster) -> NDArray[np.float64]:
        """Return the raw margin of each row under a model of the columns, shape (rows,)."""
        starts = range(0, len(self.bad), _BATCH)
        return np.concatenate([booster.predict(self.matrix[at : at + _BATCH], raw_score=True) for at in starts])

    def periods(self, most: int, min_bad: int) -> list[NDArray[np.int64]]:
        """Return the rows of consecutive periods with about equal numbers of bad loans, and at least `min_bad` each.

        Rows of one day stay together. The result has at most `most` periods; it is empty if the rows have no dates or
        too few bad loans.

        Example: 1,380 bad loans of nine months in at most 8 periods are about 170 bad loans per period.
        """
        if self.days is None or not len(self.days):
            return []
        days, day_of = np.unique(self.days, return_inverse=True)
        bad = np.cumsum(np.bincount(day_of, weights=self.bad))
        share = max(min_bad, float(bad[-1]) / most)
        # a period ends when all periods so far have their share, so that an excess in one is balanced by the next
        ends: list[int] = []
        ended = 0.0
        for day, so_far in enumerate(bad):
            is_last = day == len(days) - 1
            if so_far - ended >= min_bad and (is_last or so_far >= (len(ends) + 1) * share):
                ends.append(day + 1)
                ended = so_far
        if ends:
            ends[-1] = len(days)
        period_of = np.searchsorted(ends, day_of, side="right")
        return [np.flatnonzero(period_of == number) for number in range(len(ends))]

    def origins(self, count: int, seed: int) -> list[Part]:
        """Return rolling origins: each part trains on the rows before a period and leaves out that period.

        The seed divides the sellers into two halves. A part trains on one half and leaves out rows of the other, so
        that the rows left out are both later and of other sellers.

        Example: with a count of 3, the rows are in 4 periods; 6 parts leave out a half of the second, third and fourth.
        """
        periods = self.periods(count + 1, MIN_PER_CLASS // 2)
        halves = np.random.default_rng(seed).permutation(int(self.sellers.max()) + 1)[self.sellers] % 2
        parts = []
        for number in range(1, len(periods)):
            before = np.concatenate(periods[:number])
            for half in (0, 1):
                inside, outside = before[halves[before] != half], periods[number][halves[periods[number]] == half]
                parts.append((np.sort(inside), outside))
        return [part for part in parts if all(self._has_both_classes(rows) for rows in part)]

    def folds(self, count: int, seed: int) -> list[Part]:
        """Return `count` folds of sellers with about the same share of bad loans.

        Raises:
            LabelError: fewer sellers than folds have bad loans, or good ones.
        """
        from sklearn.model_selection import StratifiedGroupKFold

        for kind, value in (("bad", 1.0), ("good", 0.0)):
            sellers = len(np.unique(self.sellers[self.bad == value]))
            if sellers < count:
                words = self.words
                advice = {
                    "seller": "Lower fit.folds, or deliver more sellers.",
                    "group": "Use a table with more groups, or omit --group.",
                }.get(words.unit, "Use a table with more of them.")
                raise LabelError(
                    f"The {kind} training {words.rows} are of only {sellers} different {words.units}; {count} folds "
                    f"need at least {count}. {advice}"
                )
        splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
        return list(splitter.split(self.bad, self.bad, groups=self.sellers))

    def _has_both_classes(self, rows: NDArray[np.int64]) -> bool:
        """Return whether the rows have enough of both outcomes to count in a comparison over several parts."""
        bad = int(self.bad[rows].sum())
        return min(bad, len(rows) - bad) >= MIN_PER_CLASS // 4


class RowGroups:
    """A Parquet file of features as LightGBM columns, read one row group at a time; the last one is cached.

    Attributes:
        path: the file.
        columns: the columns to read.
        starts: the first row of each row group, and at the end the number of rows.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        import pyarrow.parquet as pq

        self.path, self.columns = path, columns
        self._file = pq.ParquetFile(path)
        metadata = self._file.metadata
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._last: tuple[int, NDArray[np.float64]] | None = None

    def matrix(self, number: int) -> NDArray[np.float64]:
        """Return one row group, shape (its rows, columns)."""
        if self._last is None or self._last[0] != number:
            self._last = None  # free its memory before the next one is read
            features = self._file.read_row_group(number, columns=list(self.columns.features)).to_pandas()
            self._last = (number, self.columns.matrix(features))
        return self._last[1]

    def by_group(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each row group that has some of the rows, and their positions in it, in the order of the rows."""
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        edges = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
        for first, end in pairwise(edges):
            number = int(numbers[first])
            yield number, rows[first:end] - self.starts[number]


class StoredRows(lightgbm.Sequence):  # type: ignore[misc]  # LightGBM has no types
    """Some rows of a Parquet file, as LightGBM's `Sequence` and as the matrix of a `Sample`.

    A number or a slice reads rows. An array of row numbers returns a view without reading.

    Example: `StoredRows(groups)[np.array([5, 7])][0:2]` reads rows 5 and 7.
    """

    def __init__(self, groups: RowGroups, rows: NDArray[np.int64] | None = None) -> None:
        self.groups = groups
        self.rows = np.arange(groups.starts[-1]) if rows is None else rows
        self.batch_size = int(np.diff(groups.starts).max())  # the number of rows that LightGBM reads at once

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int | slice) -> NDArray[np.float64]: ...
    @overload
    def __getitem__(self, index: NDArray[np.int64]) -> StoredRows: ...
    def __getitem__(self, index: int | slice | NDArray[np.int64]) -> NDArray[np.float64] | StoredRows:
        rows = self.rows[index]
        if isinstance(index, np.ndarray):
            return StoredRows(self.groups, rows)
        read = self.groups.by_group(np.atleast_1d(rows))
        parts = [self.groups.matrix(number)[inside] for number, inside in read]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return values if isinstance(index, slice) else values[0]

    def with_columns(self, columns: Columns) -> StoredRows:
        """Return the same rows with other columns."""
        return StoredRows(RowGroups(self.groups.path, columns), self.rows)


def write_rows(frames: Iterable[pd.DataFrame], path: Path) -> None:
    """Write features to a Parquet file in row groups; all frames have the same float64 columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None
    for frame in frames:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        # values hardly repeat: a dictionary would cost time and save nothing
        writer = writer or pq.ParquetWriter(path, table.schema, use_dictionary=False)
        writer.write_table(table, row_group_size=ROWS_AT_ONCE)
    if writer is not None:
        writer.close()


def stored_sample(dataset: Dataset, path: Path) -> Sample:
    """Write the features of a dataset to a file and return a sample of all its rows that reads from the file."""
    starts = range(0, len(dataset.features), ROWS_AT_ONCE)
    write_rows((dataset.features.iloc[start : start + ROWS_AT_ONCE] for start in starts), path)
    stored = StoredRows(RowGroups(path, Columns.of_dataset(dataset)))
    without_values = replace(dataset, features=dataset.features.iloc[:0])  # so that no matrix is built in memory
    return replace(Sample.of_dataset(without_values), matrix=stored)
