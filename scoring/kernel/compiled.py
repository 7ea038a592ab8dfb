"""The loops over rows. Numba compiles each on its first call, which takes one or two seconds.

This is the only module that imports numba. Compiled code is kept beside the byte code of Python, for the next process.
Every function is thread-safe.
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
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    try:
        return cast("F", numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return cast("F", numba.njit(**options)(function))


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
        _prepare_rows(tables, matrix[start : start + rows], values)
        sums[:] = 0.0
        for group in range(len(tables.table_from) - 1):
            _find_entries(tables, group, values, entry)
            _add_entries(tables, group, entry, sums)
        for row in range(rows):
            margins[start + row] = sums[-1, row]
            for feature in range(matrix.shape[1]):
                phi[start + row, feature] = sums[feature, row]


@_compiled
def change_margins(
    tables: Tables,
    matrix: NDArray[np.float64],
    values: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    changes: NDArray[np.float64],
) -> None:
    """Set `changes` to how much a row's margin changes if one feature takes the value in `values`, where `chosen`."""
    before, after = np.zeros((len(tables.feature), BLOCK)), np.zeros((len(tables.feature), 1))
    _prepare_rows(tables, values.reshape(1, len(values)), after)
    rows_of, count = np.empty((matrix.shape[1], BLOCK), dtype=np.int32), np.empty(matrix.shape[1], dtype=np.int64)
    sums, entry = np.empty((matrix.shape[1], BLOCK)), np.empty(BLOCK, dtype=np.int32)
    for start in range(0, len(matrix), BLOCK):
        rows = min(BLOCK, len(matrix) - start)
        _prepare_rows(tables, matrix[start : start + rows], before)
        _list_chosen(chosen[start : start + rows], rows_of, count)
        sums[:] = 0.0
        for group in range(len(tables.table_from) - 1):
            _find_entries(tables, group, before, entry[:rows])
            _add_changes(tables, group, before, after, entry, rows_of, count, sums)
        for feature in range(matrix.shape[1]):
            for index in range(count[feature]):
                changes[start + rows_of[feature, index], feature] = sums[feature, index]


@_inner
def _prepare_rows(tables: Tables, rows: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    """Set `values`, shape (columns, at least the number of rows), to the prepared columns of the rows."""
    for column in range(len(values)):
        words = tables.words[tables.words_from[column] : tables.words_from[column + 1]]
        feature, missing, fill = tables.feature[column], tables.missing[column], tables.fill[column]
        for row in range(len(rows)):
            values[column, row] = _prepare(rows[row, feature], missing, fill, words)


@_inner
def _list_chosen(chosen: NDArray[np.bool_], rows_of: NDArray[np.int32], count: NDArray[np.int64]) -> None:
    """List the chosen rows of each feature: the first `count` of its `rows_of`."""
    count[:] = 0
    for row in range(len(chosen)):
        for feature in range(chosen.shape[1]):
            if chosen[row, feature]:
                rows_of[feature, count[feature]] = row
                count[feature] += 1


@_inner
def _find_entries(tables: Tables, group: int, values: NDArray[np.float64], entry: NDArray[np.int32]) -> None:
    """Set `entry`, of up to a block of rows, to the start of each row's line in the group's table."""
    lines = np.int32(tables.slots_from[group + 1] - tables.slots_from[group] + _ONE)
    entry[:] = 0
    for bit in range(tables.bits_from[group], tables.bits_from[group + 1]):
        low, high, column = tables.low[bit], tables.high[bit], values[tables.column[bit]]
        for row in range(len(entry)):
            entry[row] += lines if (low < column[row]) & (column[row] <= high) else np.int32(0)
        lines *= np.int32(2)


@_inner
def _add_changes(  # noqa: PLR0917
    tables: Tables,
    group: int,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    entry: NDArray[np.int32],
    rows_of: NDArray[np.int32],
    count: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Add the changes of the group's share of the margin to the sums of each feature's chosen rows."""
    slots = tables.slots_from[group + 1] - tables.slots_from[group]
    share_from = tables.table_from[group] + slots
    moved = np.empty(BLOCK, dtype=np.int32)
    for slot in range(tables.slots_from[group], tables.slots_from[group + 1]):
        feature = np.int64(tables.slots[slot])
        if not count[feature]:
            continue
        for index in range(count[feature]):
            moved[index] = entry[rows_of[feature, index]]
        lines = np.int32(slots + _ONE)
        for bit in range(tables.bits_from[group], tables.bits_from[group + 1]):
            column = tables.column[bit]
            if tables.feature[column] == feature:
                low, high = tables.low[bit], tables.high[bit]
                set_lines = lines if (low < after[column, 0]) & (after[column, 0] <= high) else np.int32(0)
                for index in range(count[feature]):
                    value = before[column, rows_of[feature, index]]
                    moved[index] += set_lines - (lines if (low < value) & (value <= high) else np.int32(0))
            lines *= np.int32(2)
        for index in range(count[feature]):
            line = entry[rows_of[feature, index]]
            sums[feature, index] += (
                tables.table[share_from + np.uint64(moved[index])] - tables.table[share_from + np.uint64(line)]
            )


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
