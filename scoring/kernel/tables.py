"""The tables of a model: for each group of leaves, every pattern's contributions and share of the margin.

Numbers are made by elementwise arithmetic in a fixed order, so that the same model has the same tables, to the bit, on
every machine.
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
"""For each feature of a leaf the bits of the group that it asks for, and whether they must be set."""


class Tables(NamedTuple):
    """All that explaining a row reads, as flat arrays that may not be written to.

    `words_from` says where the category words of each column begin and the last ones end; `bits_from`, `slots_from`
    and `table_from` say that of groups. A group's part of `table` has a line a pattern: the contribution of each
    feature in its `slots`, then the share of the margin. `low`, `high` and `column` are those of its bits.
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
        """Memory that the arrays take."""
        return sum(part.nbytes for part in self[1:]) / 2**20


def build(trees: Sequence[Tree]) -> Tables:
    """Tabulate a model's contributions.

    Raises:
        TableTooLargeError: they would take more than `groups.MOST_MIB`.
    """
    planned = plan(trees)
    groups = planned.groups
    of_leaves = iter(_leaf_tables([leaf for group in groups for leaf in group.leaves]))
    bits = [bit for group in groups for bit in group.bits]
    return Tables(
        base=sum((tree.expected for tree in trees), 0.0),
        **_column_arrays(planned),
        bits_from=_starts(len(group.bits) for group in groups),
        column=_fixed([bit.column for bit in bits], np.uint64),
        low=_fixed([bit.low for bit in bits], np.float64),
        high=_fixed([bit.high for bit in bits], np.float64),
        slots_from=_starts(len(group.features) for group in groups),
        slots=_fixed([feature for group in groups for feature in group.features], np.uint64),
        table_from=_starts(group.room for group in groups),
        table=_fixed(np.concatenate([_group_table(group, of_leaves) for group in groups]), np.float64),
    )


def leaf_table(shares: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the contributions of leaves with k features each, and what each gives: shape (leaves, 2^k, k + 1).

    Bit i of a pattern is o_i of the derivation, `shares` are z of shape (leaves, k), `values` are w.

    Example: of a leaf of value 1 that half of the training rows reached by one feature, the pattern that misses it gets
    -0.5 and the one that meets it 0.5.

        >>> leaf_table(np.array([[0.5]]), np.array([1.0]))
        array([[[-0.5,  0. ],
                [ 0.5,  1. ]]])
    """
    leaves, size = shares.shape
    patterns = np.arange(1 << size)
    met = [(patterns >> place & 1).astype(np.float64) for place in range(size)]
    table = np.zeros((leaves, 1 << size, size + 1))
    for place in range(size):
        others = [(shares[:, other, None], met[other]) for other in range(size) if other != place]
        weighted = np.zeros((leaves, 1 << size))
        for count, coefficient in enumerate(_product(others, weighted.shape)):
            orders = math.factorial(count) * math.factorial(size - 1 - count)
            weighted += coefficient * (orders / math.factorial(size))
        table[:, :, place] = values[:, None] * (met[place] - shares[:, place, None]) * weighted
    table[:, -1, size] = values
    return table


def _product(
    factors: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]], shape: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """Return the coefficients of the product of `share + met * y`, by rising power of y."""
    coefficients = [np.ones(shape)]
    for share, met in factors:
        kept = [each * share for each in coefficients]
        raised = [each * met for each in coefficients]
        coefficients = [kept[0], *(low + high for low, high in zip(raised, kept[1:], strict=False)), raised[-1]]
    return coefficients


def _leaf_tables(leaves: Sequence[Leaf]) -> list[NDArray[np.float64]]:
    alike: defaultdict[int, list[int]] = defaultdict(list)
    for place, leaf in enumerate(leaves):
        alike[len(leaf.shares)].append(place)
    found: dict[int, NDArray[np.float64]] = {}
    for size, places in alike.items():
        shares = np.array([list(leaves[place].shares.values()) for place in places]).reshape(len(places), size)
        found |= zip(places, leaf_table(shares, np.array([leaves[place].value for place in places])), strict=True)
    return [found[place] for place in range(len(leaves))]


def _group_table(group: Group, of_leaves: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    slot = {feature: place for place, feature in enumerate(group.features)}
    table = np.zeros((1 << len(group.bits), len(slot) + 1))
    for leaf, of_leaf in zip(group.leaves, of_leaves, strict=False):
        slots = [*(slot[feature] for feature in leaf.shares), len(slot)]
        table[:, slots] += of_leaf[_patterns(len(group.bits), _conditions(group, leaf))]
    return table.ravel()


def _conditions(group: Group, leaf: Leaf) -> _Conditions:
    asked: dict[int, list[tuple[int, bool]]] = {feature: [] for feature in leaf.shares}
    for place, bit in enumerate(group.path):
        asked[bit.feature].append((place, True))
    for place, on_left in leaf.turns:
        asked[group.splits[place].feature].append((len(group.path) + place, on_left))
    return tuple(map(tuple, asked.values()))


@lru_cache(maxsize=256)
def _patterns(bits: int, conditions: _Conditions) -> NDArray[np.int64]:
    """Return the pattern of a leaf for each pattern of its group."""
    patterns = np.arange(1 << bits)
    found = np.zeros_like(patterns)
    for place, asked in enumerate(conditions):
        met = np.ones(len(patterns), dtype=bool)
        for bit, is_set in asked:
            met &= (patterns >> bit & 1) == is_set
        found |= met.astype(np.int64) << place
    found.flags.writeable = False
    return found


def _column_arrays(planned: Plan) -> dict[str, NDArray[Any]]:
    columns = planned.columns
    words = [_words(column.categories) for column in columns]
    return {
        "feature": _fixed([column.feature for column in columns], np.int64),
        "missing": _fixed([column.missing for column in columns], np.int64),
        "fill": _fixed([column.fill for column in columns], np.float64),
        "words_from": _starts(map(len, words)),
        "words": _fixed([word for each in words for word in each], np.int64),
    }


def _words(categories: frozenset[int]) -> list[int]:
    words = [0] * (max(categories) // 32 + 1 if categories else 0)
    for category in categories:
        words[category // 32] |= 1 << category % 32
    return words


def _starts(sizes: Iterable[int]) -> NDArray[np.uint64]:
    return _fixed([0, *accumulate(sizes)], np.uint64)


def _fixed(numbers: Sequence[float] | NDArray[np.float64], kind: type) -> NDArray[Any]:
    array: NDArray[Any] = np.array(numbers, dtype=kind)
    array.flags.writeable = False
    return array
