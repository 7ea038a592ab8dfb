"""Rows of a table as Arrow columns, IDs, random choices, and times of events and of when they become known.

IDs are fixed-width bytes and repeated words are codes, because a Python string would cost a microsecond each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.schema import BY_NAME

AnyArray = NDArray[Any]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

Index = NDArray[np.integer[Any]]

Column: TypeAlias = "AnyArray | pa.Array"


def coded(codes: AnyArray, words: Sequence[str]) -> pa.DictionaryArray:
    """Return a categorical column: row i has the value `words[codes[i]]`."""
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words, pa.string()))


def _column(values: Column) -> pa.Array:
    """Return a column; fixed-width bytes become strings, and empty ones nulls."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "S":
        return pa.array(values, mask=values == b"").cast(pa.string())
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)


@dataclass(frozen=True)
class Rows:
    """Rows of the table `table`, with the columns of the contract in their order."""

    table: str
    columns: pa.Table

    @classmethod
    def of(cls, table: str, **columns: Column) -> Rows:
        """Return rows of a table with these columns; an empty ID is a null."""
        names = BY_NAME[table].column_names if table in BY_NAME else columns
        return cls(table, pa.table({name: _column(columns[name]) for name in names}))

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def array(self, name: str) -> AnyArray:
        """Return the numbers or times of the column `name`."""
        values: AnyArray = self.columns[name].to_numpy()
        return values

    def take(self, index: Index | Mask) -> Rows:
        """Return the rows of `index` (positions or a mask)."""
        chosen = self.columns.filter if index.dtype == np.bool_ else self.columns.take
        return Rows(self.table, chosen(pa.array(index)))

    def replace(self, **columns: Column) -> Rows:
        """Return the rows with other values in the named columns."""
        return Rows.of(self.table, **{**dict(zip(self.columns.column_names, self.columns, strict=True)), **columns})

    def append(self, *others: Rows) -> Rows:
        """Return these rows followed by those of `others`."""
        joined = pa.concat_tables([self.columns, *(other.columns for other in others)])
        return Rows(self.table, joined.unify_dictionaries())


def column_of(batches: Sequence[Any], name: str) -> AnyArray:
    """Return an attribute of all batches as one column; a single value is repeated for each `seller` of its batch."""
    parts = [np.broadcast_to(getattr(batch, name), len(batch.seller)) for batch in batches]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def numbered(prefix: str, *parts: tuple[AnyArray, int]) -> NDArray[np.bytes_]:
    """Return IDs of a prefix and zero-padded numbers, as fixed-width bytes.

    Example: `numbered("T", (np.array([12]), 6), (np.array([1]), 1))` is `[b"T-000012-1"]`.
    """
    width = len(prefix) + sum(1 + digits for _, digits in parts)
    out = np.full((len(parts[0][0]), width), ord("-"), dtype=np.uint8)
    out[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    at = len(prefix) + 1
    for numbers, digits in parts:
        rest = numbers.astype(np.int32)
        for place in range(at + digits - 1, at - 1, -1):
            tens = rest // 10
            out[:, place] = rest - tens * 10 + ord("0")
            rest = tens
        at += digits + 1
    return out.reshape(-1).view(f"S{width}")


def pick(cumulative: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return one column number per row, drawn from cumulative shares.

    Example: shares 0.5 and 0.5 are cumulative `[[0.5, 1.0]]`; a draw of 0.7 picks column 1.
    """
    beyond = draws[:, None] > cumulative[:, :-1]
    chosen: NDArray[np.int32] = beyond.sum(axis=1, dtype=np.int32)
    return chosen


def cumulative(shares: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return rows of weights as cumulative shares that end in 1."""
    summed = np.cumsum(np.asarray(shares, dtype=np.float64), axis=1)
    ends: NDArray[np.float64] = summed / summed[:, -1:]
    return ends


Times = NDArray[np.datetime64]

_DAY_US: Final = 86_400_000_000
_LATE_SHARE: Final = 0.015
_LATE_HOURS: Final = 40.0
"""Median delay of a late row beyond a day; the log has standard deviation 1, so that some take weeks."""

_LONGEST_LATE_DAYS: Final = 60.0
_USUAL_HOURS: Final = 1.0
"""Mean delay of a punctual row."""


@dataclass(frozen=True)
class Clock:
    """Converts day numbers to times; day 0 starts at midnight UTC of `start`."""

    start: date

    def at(self, day: NDArray[Any], of_day: NDArray[np.float64]) -> Times:
        """Return times: day numbers plus fractions of a day `of_day` (0 to below 1).

        Example: day 1 and 0.5 with a start of 2022-01-01 is 2022-01-02 12:00.
        """
        micros = day.astype(np.int64) * _DAY_US + (of_day * _DAY_US).astype(np.int64)
        return np.datetime64(self.start, "us") + micros.astype("timedelta64[us]")

    def days(self, day: NDArray[Any]) -> Times:
        """Return the calendar days of day numbers."""
        return np.datetime64(self.start, "D") + day.astype("timedelta64[D]")


def known_times(event: Times, rng: np.random.Generator) -> Times:
    """Return when events become known: mostly within hours; 1.5% of them are days or weeks late."""
    count = len(event)
    hours = rng.exponential(_USUAL_HOURS, count)
    late = np.flatnonzero(rng.random(count) < _LATE_SHARE)
    hours[late] = np.minimum(24 + _LATE_HOURS * np.exp(rng.standard_normal(len(late))), 24 * _LONGEST_LATE_DAYS)
    known_at: Times = event.astype("datetime64[us]") + (hours * 3.6e9).astype("timedelta64[us]")
    return known_at


def waking_hours(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return times of day of purchases: around mid-afternoon UTC, rarely at night."""
    draws: NDArray[np.float64] = (rng.random((2, count)).sum(axis=0) / 2 * 0.95 + 0.15) % 1.0
    return draws
