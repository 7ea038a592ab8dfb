"""The loops over rows, each compiled by numba when it is first called, which takes about a second.

The only module that names numba; nothing is written to disk. Every function may run on several threads at once.
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
"""Rows at a time: their prepared columns and sums stay in the processor's nearest caches."""

_ZERO: Final = float(np.float32(1e-35))
"""LightGBM's `kZeroThreshold`: what is not farther from zero is zero."""

_NO_CATEGORY: Final = 2.0**31

_ONE: Final = np.uint64(1)
"""Places are unsigned, since numba tests signed ones for being negative; a plain 1 would make floats of them."""

F = TypeVar("F", bound=Callable[..., object])


def _compiled(function: F) -> F:
    return cast("F", numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function))


def _inner(function: F) -> F:
    """Compile what is called from here alone: a way in from Python would have to be compiled too."""
    inner = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, no_cpython_wrapper=True)
    return cast("F", inner(function))


@_compiled
def row_by_row(
    tables: Tables, matrix: NDArray[np.float64], phi: NDArray[np.float64], margins: NDArray[np.float64]
) -> None:
    """Add each row's contributions to `phi` and its margin to `margins`, both zero before; the way for few rows."""
    values = np.empty(len(tables.feature))
    is_set = np.empty(len(tables.column), dtype=np.uint64)
    entry = np.empty(len(tables.table_from) - 1, dtype=np.uint64)
    for row in range(len(matrix)):
        for place in range(len(values)):
            words = tables.words[tables.words_from[place] : tables.words_from[place + 1]]
            value = matrix[row, tables.feature[place]]
            values[place] = _prepared(value, tables.missing[place], tables.fill[place], words)
        # without a branch: which way a bit goes cannot be foreseen, and wrong guesses would cost more than all else
        for bit in range(len(is_set)):
            value = values[tables.column[bit]]
            is_set[bit] = np.uint64((tables.low[bit] < value) & (value <= tables.high[bit]))
        for group in range(len(entry)):
            pattern = np.uint64(0)
            for bit in range(tables.bits_from[group], tables.bits_from[group + 1]):
                pattern |= is_set[bit] << (bit - tables.bits_from[group])
            width = tables.slots_from[group + 1] - tables.slots_from[group] + _ONE
            entry[group] = tables.table_from[group] + pattern * width
        # a loop of its own, which fetches the lines from memory many at a time
        for group in range(len(entry)):
            margins[row] += tables.table[entry[group] + (tables.slots_from[group + 1] - tables.slots_from[group])]
        into = phi[row]
        for group in range(len(entry)):
            at = entry[group]
            for slot in range(tables.slots_from[group], tables.slots_from[group + 1]):
                into[tables.slots[slot]] += tables.table[at]
                at += _ONE


@_compiled
def in_blocks(
    tables: Tables, matrix: NDArray[np.float64], phi: NDArray[np.float64], margins: NDArray[np.float64]
) -> None:
    """Set what `row_by_row` adds up, to the bit, for blocks of rows: each step of the model for a whole block."""
    values = np.zeros((len(tables.feature), BLOCK))
    sums = np.empty((matrix.shape[1] + 1, BLOCK))
    entry = np.empty(BLOCK, dtype=np.int32)
    for start in range(0, len(matrix), BLOCK):
        rows = min(BLOCK, len(matrix) - start)
        for place in range(len(values)):
            words = tables.words[tables.words_from[place] : tables.words_from[place + 1]]
            feature, missing, fill = tables.feature[place], tables.missing[place], tables.fill[place]
            for row in range(rows):
                values[place, row] = _prepared(matrix[start + row, feature], missing, fill, words)
        sums[:] = 0.0
        for group in range(len(tables.table_from) - 1):
            _find(tables, group, values, entry)
            _add(tables, group, entry, sums)
        for row in range(rows):
            margins[start + row] = sums[-1, row]
            for feature in range(matrix.shape[1]):
                phi[start + row, feature] = sums[feature, row]


@_inner
def _find(tables: Tables, group: int, values: NDArray[np.float64], entry: NDArray[np.int32]) -> None:
    """Set `entry` to where each row's line begins in the group's table."""
    lines = np.int32(tables.slots_from[group + 1] - tables.slots_from[group] + _ONE)
    entry[:] = 0
    for bit in range(tables.bits_from[group], tables.bits_from[group + 1]):
        low, high, column = tables.low[bit], tables.high[bit], values[tables.column[bit]]
        for row in range(BLOCK):
            entry[row] += lines if (low < column[row]) & (column[row] <= high) else np.int32(0)
        lines *= np.int32(2)


@_inner
def _add(tables: Tables, group: int, entry: NDArray[np.int32], sums: NDArray[np.float64]) -> None:
    """Add each row's line of the group's table to its sums; the last one is the margin."""
    table = tables.table[tables.table_from[group] : tables.table_from[group + 1]]
    slots = tables.slots[tables.slots_from[group] : tables.slots_from[group + 1]]
    for place in range(len(slots) + 1):
        into = sums[slots[place]] if place < len(slots) else sums[-1]
        column = table[place:]
        for row in range(BLOCK):
            into[row] += column[entry[row]]


@_inner
def _prepared(value: float, missing: int, fill: float, words: NDArray[np.int64]) -> float:
    """Return a feature's value as a column holds it; the rules are LightGBM's, of its predictor and its trees.

    It is given numbers and not the tables: so many arrays would take longer to hand over than this takes.
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
