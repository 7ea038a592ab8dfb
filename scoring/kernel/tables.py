"""The tables of a model: for each group of leaves, the contributions and the share of the margin of every pattern.

All numbers are computed elementwise in a fixed order, so that a model has tables that are equal to the bit on every
machine.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.kernel.groups import Group, Leaf, Plan, plan
from scoring.kernel.trees import Tree

_Conditions = tuple[tuple[tuple[int, bool], ...], ...]
"""For each feature of a leaf, the bits of the group that its conditions use, and whether they must be set."""


class Tables(NamedTuple):
    """All data that explaining a row reads, as flat read-only arrays.

    `words_from` has the start of each column's words of category bits, and the end of the last; `bits_from`,
    `slots_from` and `table_from` have the same for groups. A group's part of `table` has one line per pattern: the
    contribution of each feature in its `slots`, then the share of the margin. `low`, `high` and `column` belong to its
    bits.
    """

    base: float
    feature: NDArray[np.int64]
    missing: NDArray[np.int64]
    fill: NDArray[np.float64]
    words_from: NDArray[np.uint64]
    words: NDArray[np.int64]
    bits_from: NDArray[np.uint64]
    column: NDArray[np.uint64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    slots_from: NDArray[np.uint64]
    slots: NDArray[np.uint64]
    table_from: NDArray[np.uint64]
    table: NDArray[np.float64]

    @property
    def mib(self) -> float:
        """Memory of the arrays."""
        return sum(part.nbytes for part in self[1:]) / 2**20


def build(trees: Sequence[Tree]) -> Tables:
    """Compute the tables of a model.

    Raises:
        TableTooLargeError: the tables would take more than `groups.MAX_MIB`.
    """
    table_plan = plan(trees)
    groups = table_plan.groups
    leaf_tables = iter(_leaf_tables([leaf for group in groups for leaf in group.leaves]))
    bits = [bit for group in groups for bit in group.bits]
    return Tables(
        base=sum((tree.expected for tree in trees), 0.0),
        **_column_arrays(table_plan),
        bits_from=_starts(len(group.bits) for group in groups),
        column=_read_only([bit.column for bit in bits], np.uint64),
        low=_read_only([bit.low for bit in bits], np.float64),
        high=_read_only([bit.high for bit in bits], np.float64),
        slots_from=_starts(len(group.features) for group in groups),
        slots=_read_only([feature for group in groups for feature in group.features], np.uint64),
        table_from=_starts(group.table_size for group in groups),
        table=_read_only(np.concatenate([_group_table(group, leaf_tables) for group in groups]), np.float64),
    )


def leaf_table(shares: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the contributions of leaves with k features each, and their outputs: shape (leaves, 2^k, k + 1).

    In the terms of `scoring.kernel`, bit i of a pattern is o_i, `shares` are z of shape (leaves, k), `values` are w.

    Example: a leaf of value 1 has one feature, and half of the training rows reach it. The pattern that does not meet
    the condition gets -0.5, the pattern that meets it 0.5.

        >>> leaf_table(np.array([[0.5]]), np.array([1.0]))
        array([[[-0.5,  0. ],
                [ 0.5,  1. ]]])
    """
    leaves, size = shares.shape
    patterns = np.arange(1 << size)
    is_met = [(patterns >> index & 1).astype(np.float64) for index in range(size)]
    table = np.zeros((leaves, 1 << size, size + 1))
    for index in range(size):
        factors = [(shares[:, other, None], is_met[other]) for other in range(size) if other != index]
        weighted = np.zeros((leaves, 1 << size))
        for count, coefficient in enumerate(_product(factors, weighted.shape)):
            orders = math.factorial(count) * math.factorial(size - 1 - count)
            weighted += coefficient * (orders / math.factorial(size))
        table[:, :, index] = values[:, None] * (is_met[index] - shares[:, index, None]) * weighted
    table[:, -1, size] = values
    return table


def _product(
    factors: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]], shape: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """Return the coefficients of the product of the factors `share + is_met * y`, by rising power of y."""
    coefficients = [np.ones(shape)]
    for share, is_met in factors:
        scaled = [coefficient * share for coefficient in coefficients]
        shifted = [coefficient * is_met for coefficient in coefficients]
        coefficients = [scaled[0], *(low + high for low, high in zip(shifted, scaled[1:], strict=False)), shifted[-1]]
    return coefficients


def _leaf_tables(leaves: Sequence[Leaf]) -> list[NDArray[np.float64]]:
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    for index, leaf in enumerate(leaves):
        by_size[len(leaf.shares)].append(index)
    tables: dict[int, NDArray[np.float64]] = {}
    for size, indexes in by_size.items():
        shares = np.array([list(leaves[index].shares.values()) for index in indexes]).reshape(len(indexes), size)
        tables |= zip(indexes, leaf_table(shares, np.array([leaves[index].value for index in indexes])), strict=True)
    return [tables[index] for index in range(len(leaves))]


def _group_table(group: Group, leaf_tables: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    slot = {feature: index for index, feature in enumerate(group.features)}
    table = np.zeros((1 << len(group.bits), len(slot) + 1))
    for leaf, table_of_leaf in zip(group.leaves, leaf_tables, strict=False):
        slots = [*(slot[feature] for feature in leaf.shares), len(slot)]
        table[:, slots] += table_of_leaf[_patterns(len(group.bits), _conditions(group, leaf))]
    return table.ravel()


def _conditions(group: Group, leaf: Leaf) -> _Conditions:
    bits_of: dict[int, list[tuple[int, bool]]] = {feature: [] for feature in leaf.shares}
    for index, bit in enumerate(group.path):
        bits_of[bit.feature].append((index, True))
    for index, on_left in leaf.turns:
        bits_of[group.splits[index].feature].append((len(group.path) + index, on_left))
    return tuple(map(tuple, bits_of.values()))


@lru_cache(maxsize=256)
def _patterns(bits: int, conditions: _Conditions) -> NDArray[np.int64]:
    """Return the pattern of a leaf for each pattern of its group."""
    group_patterns = np.arange(1 << bits)
    leaf_patterns = np.zeros_like(group_patterns)
    for index, condition in enumerate(conditions):
        is_met = np.ones(len(group_patterns), dtype=bool)
        for bit, is_set in condition:
            is_met &= (group_patterns >> bit & 1) == is_set
        leaf_patterns |= is_met.astype(np.int64) << index
    leaf_patterns.flags.writeable = False
    return leaf_patterns


def _column_arrays(table_plan: Plan) -> dict[str, NDArray[Any]]:
    columns = table_plan.columns
    words = [_words(column.categories) for column in columns]
    return {
        "feature": _read_only([column.feature for column in columns], np.int64),
        "missing": _read_only([column.missing for column in columns], np.int64),
        "fill": _read_only([column.fill for column in columns], np.float64),
        "words_from": _starts(map(len, words)),
        "words": _read_only([word for column_words in words for word in column_words], np.int64),
    }


def _words(categories: frozenset[int]) -> list[int]:
    words = [0] * (max(categories) // 32 + 1 if categories else 0)
    for category in categories:
        words[category // 32] |= 1 << category % 32
    return words


def _starts(sizes: Iterable[int]) -> NDArray[np.uint64]:
    return _read_only([0, *accumulate(sizes)], np.uint64)


def _read_only(numbers: Sequence[float] | NDArray[np.float64], kind: type) -> NDArray[Any]:
    array: NDArray[Any] = np.array(numbers, dtype=kind)
    array.flags.writeable = False
    return array
