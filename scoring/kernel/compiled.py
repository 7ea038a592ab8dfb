"""The loops over rows. Numba compiles each on its first call, which takes about a second.

This is the only module that imports numba; compiled code is not written to disk. Every function is thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from scoring.kernel.groups import HIGHEST, LOWEST
from scoring.kernel.tables import Tables

BLOCK: Final = 256
"""Rows per block: their prepared columns and sums fit the processor's first caches."""

_ZERO: Final = float(np.float32(1e-35))
"""LightGBM's `kZeroThreshold`: values with at most this magnitude count as zero."""

_NO_CATEGORY: Final = 2.0**31

_ONE: Final = np.uint64(1)
"""Indexes are unsigned, because numba checks signed ones for negative values. Adding a plain 1 would give a float."""

F = TypeVar("F", bound=Callable[..., object])


def _compiled(function: F) -> F:
    return cast("F", numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function))


def _inner(function: F) -> F:
    """Compile a function that only this module calls, without the wrapper for calls from Python."""
    inner = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, no_cpython_wrapper=True)
    return cast("F", inner(function))


@_compiled
def explain_rows(
    tables: Tables, matrix: NDArray[np.float64], phi: NDArray[np.float64], margins: NDArray[np.float64]
) -> None:
    """Add each row's contributions to `phi` and its margin to `margins`, which must be zero; fast for few rows."""
    values = np.empty(len(tables.feature))
    is_set = np.empty(len(tables.column), dtype=np.uint64)
    entry = np.empty(len(tables.table_from) - 1, dtype=np.uint64)
    for row in range(len(matrix)):
        for column in range(len(values)):
            words = tables.words[tables.words_from[column] : tables.words_from[column + 1]]
            value = matrix[row, tables.feature[column]]
            values[column] = _prepare(value, tables.missing[column], tables.fill[column], words)
        # without a branch, because bits are unpredictable and mispredicted branches would dominate the run time
        for bit in range(len(is_set)):
            value = values[tables.column[bit]]
            is_set[bit] = np.uint64((tables.low[bit] < value) & (value <= tables.high[bit]))
        for group in range(len(entry)):
            pattern = np.uint64(0)
            for bit in range(tables.bits_from[group], tables.bits_from[group + 1]):
                pattern |= is_set[bit] << (bit - tables.bits_from[group])
            width = tables.slots_from[group + 1] - tables.slots_from[group] + _ONE
            entry[group] = tables.table_from[group] + pattern * width
        # a separate loop, so that the processor loads many lines from memory at once
        for group in range(len(entry)):
            margins[row] += tables.table[entry[group] + (tables.slots_from[group + 1] - tables.slots_from[group])]
        sums = phi[row]
        for group in range(len(entry)):
            index = entry[group]
            for slot in range(tables.slots_from[group], tables.slots_from[group + 1]):
                sums[tables.slots[slot]] += tables.table[index]
                index += _ONE


@_compiled
def explain_blocks(
    tables: Tables, matrix: NDArray[np.float64], phi: NDArray[np.float64], margins: NDArray[np.float64]
) -> None:
    """Set `phi` and `margins` to the results of `explain_rows`, equal to the bit, by blocks; fast for many rows."""
    values = np.zeros((len(tables.feature), BLOCK))
    sums = np.empty((matrix.shape[1] + 1, BLOCK))
    entry = np.empty(BLOCK, dtype=np.int32)
    for start in range(0, len(matrix), BLOCK):
        rows = min(BLOCK, len(matrix) - start)
        for column in range(len(values)):
            words = tables.words[tables.words_from[column] : tables.words_from[column + 1]]
            feature, missing, fill = tables.feature[column], tables.missing[column], tables.fill[column]
            for row in range(rows):
                values[column, row] = _prepare(matrix[start + row, feature], missing, fill, words)
        sums[:] = 0.0
        for group in range(len(tables.table_from) - 1):
            _find_entries(tables, group, values, entry)
            _add_entries(tables, group, entry, sums)
        for row in range(rows):
            margins[start + row] = sums[-1, row]
            for feature in range(matrix.shape[1]):
                phi[start + row, feature] = sums[feature, row]


@_compiled
def change_margins(  # noqa: PLR0917
    tables: Tables,
    matrix: NDArray[np.float64],
    rows: NDArray[np.int64],
    features: NDArray[np.int64],
    changed: NDArray[np.float64],
    changes: NDArray[np.float64],
) -> None:
    """Set `changes` to the change of a row's margin if one of its features takes the value in `changed`."""
    before, after = np.empty(len(tables.feature)), np.empty(len(tables.feature))
    prepared = -1
    for index in range(len(rows)):
        row, feature = rows[index], features[index]
        if row != prepared:
            for column in range(len(before)):
                words = tables.words[tables.words_from[column] : tables.words_from[column + 1]]
                value = matrix[row, tables.feature[column]]
                before[column] = _prepare(value, tables.missing[column], tables.fill[column], words)
            prepared = row
        changes[index] = 0.0
        if feature + 1 >= len(tables.groups_from):  # no split reads it
            continue
        for column in range(len(before)):
            after[column] = before[column]
            if tables.feature[column] == feature:
                words = tables.words[tables.words_from[column] : tables.words_from[column + 1]]
                after[column] = _prepare(changed[index], tables.missing[column], tables.fill[column], words)
        for position in range(tables.groups_from[feature], tables.groups_from[feature + 1]):
            group = tables.groups_of[position]
            old, new = np.uint64(0), np.uint64(0)
            for bit in range(tables.bits_from[group], tables.bits_from[group + _ONE]):
                low, high, shift = tables.low[bit], tables.high[bit], bit - tables.bits_from[group]
                value, other = before[tables.column[bit]], after[tables.column[bit]]
                old |= np.uint64((low < value) & (value <= high)) << shift
                new |= np.uint64((low < other) & (other <= high)) << shift
            if old != new:
                slots = tables.slots_from[group + _ONE] - tables.slots_from[group]
                start = tables.table_from[group] + slots
                changes[index] += (
                    tables.table[start + new * (slots + _ONE)] - tables.table[start + old * (slots + _ONE)]
                )


@_inner
def _find_entries(tables: Tables, group: int, values: NDArray[np.float64], entry: NDArray[np.int32]) -> None:
    """Set `entry` to the start of each row's line in the group's table."""
    lines = np.int32(tables.slots_from[group + 1] - tables.slots_from[group] + _ONE)
    entry[:] = 0
    for bit in range(tables.bits_from[group], tables.bits_from[group + 1]):
        low, high, column = tables.low[bit], tables.high[bit], values[tables.column[bit]]
        for row in range(BLOCK):
            entry[row] += lines if (low < column[row]) & (column[row] <= high) else np.int32(0)
        lines *= np.int32(2)


@_inner
def _add_entries(tables: Tables, group: int, entry: NDArray[np.int32], sums: NDArray[np.float64]) -> None:
    """Add each row's line of the group's table to its sums; the last sum is the margin."""
    table = tables.table[tables.table_from[group] : tables.table_from[group + 1]]
    slots = tables.slots[tables.slots_from[group] : tables.slots_from[group + 1]]
    for slot in range(len(slots) + 1):
        slot_sums = sums[slots[slot]] if slot < len(slots) else sums[-1]
        column = table[slot:]
        for row in range(BLOCK):
            slot_sums[row] += column[entry[row]]


@_inner
def _prepare(value: float, missing: int, fill: float, words: NDArray[np.int64]) -> float:
    """Return the prepared value of a column, by the rules of LightGBM's predictor and trees.

    The arguments are numbers and not the tables, because passing all arrays would take longer than the function.
    """
    if abs(value) <= _ZERO:
        value = 0.0
    if len(words):
        if not -1.0 < value < _NO_CATEGORY:  # neither is NaN
            return 1.0
        category = int(value)
        word = category >> 5
        return 0.0 if word < len(words) and words[word] >> (category & 31) & 1 else 1.0
    if missing == 0:
        if np.isnan(value):
            value = 0.0
    elif np.isnan(value) or (missing == 1 and value == 0.0):
        return fill
    return min(max(value, LOWEST), HIGHEST)
