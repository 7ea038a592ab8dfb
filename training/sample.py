"""Labelled rows as the fit takes them, and the ways to leave some of them out: later rows, or a fold of sellers.

Training rows on disk, read a row group at a time: for more rows than fit in memory as numbers.

LightGBM needs a byte or two for a value once it is binned; what does not fit are the numbers before, eight bytes each
and copied for every fold. Here they stay in a Parquet file: LightGBM samples rows to find the bins and then takes all
of them batch by batch (its `Sequence`), so that the model learnt from here is, to the letter, the one from memory.
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
from training.dataset import LEAST_OF_A_CLASS
from training.errors import LabelError

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset


_BATCH: Final = 16_384
"""Rows predicted at once, so that they need not all be read at once."""


Part = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Places of the rows to learn from, and of those left out."""


class Matrix(Protocol):
    """Rows of columns: an array, or `batches.StoredRows`."""

    def __len__(self) -> int:
        """Count the rows."""

    def __getitem__(self, places: Any, /) -> Any:
        """Return the rows of a slice as an array, and those at an array of places as a matrix of the same kind."""


@dataclass(frozen=True)
class Sample:
    """Rows to learn from.

    Attributes:
        columns: what the matrix shows.
        matrix: shape (rows, columns), without missing values; in memory, or read from disk.
        bad: 1.0 where the loan went bad, else 0.0.
        sellers: a number for the seller of each row.
        days: the day of each row's midnight; None if the rows have no dates.
    """

    columns: Columns
    matrix: Matrix = field(repr=False)
    bad: NDArray[np.float64] = field(repr=False)
    sellers: NDArray[np.int64] = field(repr=False)
    days: NDArray[np.int64] | None = field(repr=False)

    @classmethod
    def of(
        cls,
        features: pd.DataFrame,
        bad: pd.Series,
        sellers: pd.Series,
        as_of: pd.Series | None = None,
        columns: Columns | None = None,
    ) -> Sample:
        """Take features, outcomes, sellers and midnights of the same rows in the same order.

        `columns` are those of the catalogue unless others are given.
        """
        columns = columns or Columns.of(map(str, features.columns))
        days = None if as_of is None else _days(as_of)
        return cls(columns, columns.matrix(features), _outcomes(bad), _numbers(sellers), days)

    @classmethod
    def of_dataset(cls, dataset: Dataset, matrix: Matrix | None = None) -> Sample:
        """Take all rows of a dataset; with a matrix, that stands for the dataset's features."""
        rows, columns = dataset.rows, Columns.of_dataset(dataset)
        shown = columns.matrix(dataset.features) if matrix is None else matrix
        return cls(columns, shown, _outcomes(rows["bad"]), _numbers(rows["seller_id"]), _days(rows["as_of"]))

    def rows(self, places: NDArray[np.int64]) -> Sample:
        """Return the rows at these places; one may be taken more than once."""
        days = None if self.days is None else self.days[places]
        return Sample(self.columns, self.matrix[places], self.bad[places], self.sellers[places], days)

    def margins(self, booster: lightgbm.Booster) -> NDArray[np.float64]:
        """Return the raw margin that a model of the columns gives each row, shape (rows,)."""
        starts = range(0, len(self.bad), _BATCH)
        return np.concatenate([booster.predict(self.matrix[at : at + _BATCH], raw_score=True) for at in starts])

    def only(self, places: Sequence[int]) -> Sample:
        """Return the same rows with some of the columns, at these places."""
        columns = self.columns.subset(places)
        matrix: Any = self.matrix  # an array, or `batches.StoredRows`
        shown = matrix[:, list(places)] if isinstance(matrix, np.ndarray) else matrix.with_columns(columns)
        return replace(self, columns=columns, matrix=shown)

    def periods(self, most: int, least_bad: int) -> list[NDArray[np.int64]]:
        """Return the rows of consecutive periods, each with about as many bad loans and at least `least_bad`.

        Rows of one day stay together. One period or none, if the rows have no dates or too few bad loans.

        Example: 1,380 bad loans of nine months in at most 8 periods are some 170 bad loans a period.
        """
        if self.days is None or not len(self.days):
            return []
        days, day_of = np.unique(self.days, return_inverse=True)
        bad = np.cumsum(np.bincount(day_of, weights=self.bad))
        share = max(least_bad, float(bad[-1]) / most)
        # a period ends where all until then have their share, so that what one has too many the next has too few
        ends: list[int] = []
        ended = 0.0
        for day, so_far in enumerate(bad):
            is_last = day == len(days) - 1
            if so_far - ended >= least_bad and (is_last or so_far >= (len(ends) + 1) * share):
                ends.append(day + 1)
                ended = so_far
        if ends:
            ends[-1] = len(days)
        period_of = np.searchsorted(ends, day_of, side="right")
        return [np.flatnonzero(period_of == number) for number in range(len(ends))]

    def origins(self, count: int, seed: int) -> list[Part]:
        """Return rolling origins: each trains on the rows before a period, and leaves out that period.

        Sellers are in two halves, drawn with the seed. Training rows are of one half and left-out rows of the other, so
        that left-out rows are both later and of other sellers.

        Example: with a count of 3, the rows are in 4 periods; 6 parts leave out a half of the second, third and fourth.
        """
        periods = self.periods(count + 1, LEAST_OF_A_CLASS // 2)
        halves = np.random.default_rng(seed).permutation(int(self.sellers.max()) + 1)[self.sellers] % 2
        parts = []
        for number in range(1, len(periods)):
            before = np.concatenate(periods[:number])
            for half in (0, 1):
                inside, outside = before[halves[before] != half], periods[number][halves[periods[number]] == half]
                parts.append((np.sort(inside), outside))
        return [part for part in parts if all(self._has_some(places) for places in part)]

    def folds(self, count: int, seed: int) -> list[Part]:
        """Return `count` parts, each leaving out other sellers, with about the same share of bad loans.

        Raises:
            LabelError: fewer sellers than folds have bad loans, or good ones.
        """
        from sklearn.model_selection import StratifiedGroupKFold

        for kind, value in (("bad", 1.0), ("good", 0.0)):
            having = len(np.unique(self.sellers[self.bad == value]))
            if having < count:
                raise LabelError(
                    f"The {kind} loans to learn from are of {having} sellers, too few for {count} folds of sellers; "
                    "lower fit.folds, or deliver more sellers."
                )
        splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
        return list(splitter.split(self.bad, self.bad, groups=self.sellers))

    def _has_some(self, places: NDArray[np.int64]) -> bool:
        """Return whether some rows hold enough of both kinds to compare models on them together with other parts."""
        bad = int(self.bad[places].sum())
        return min(bad, len(places) - bad) >= LEAST_OF_A_CLASS // 4


def _outcomes(bad: pd.Series) -> NDArray[np.float64]:
    return bad.to_numpy().astype(np.float64)


def _numbers(sellers: pd.Series) -> NDArray[np.int64]:
    import pandas as pd

    numbers: NDArray[np.int64] = pd.factorize(sellers)[0]
    return numbers


def _days(as_of: pd.Series) -> NDArray[np.int64]:
    return as_of.to_numpy().astype("datetime64[D]").astype(np.int64)


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
