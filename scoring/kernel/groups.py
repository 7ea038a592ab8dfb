"""The plan of the tables: which leaves share a table, and which bits of a row select the entry."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from scoring.errors import TableTooLargeError
from scoring.kernel.trees import CATEGORICAL, MISSING_LEFT, Split, Tree

MAX_MIB: Final = 64
"""Memory limit of the tables: larger ones do not fit the processor's caches, and a service has several models."""

LOWEST: Final = -sys.float_info.max
HIGHEST: Final = sys.float_info.max
"""Finite ends of a prepared column; missing values are placed at or beyond them."""

_FREE_BITS: Final = 5
_MAX_GROWTH: Final = 1.5
"""Tables are joined if the result has at most 5 bits, or at most 1.5 times the memory of the parts (measured)."""


class Column(NamedTuple):
    """A feature, prepared so that each split on it is one comparison.

    `missing` states which values are replaced by `fill`: 0 none (NaN counts as zero), 1 zero and NaN, 2 NaN. With
    `categories`, the column is 0 if the value is one of them, else 1.
    """

    feature: int
    missing: int
    fill: float
    categories: frozenset[int]


class Bit(NamedTuple):
    """One bit of a row's pattern: whether `low < column <= high`."""

    column: int
    feature: int
    low: float
    high: float


class Leaf(NamedTuple):
    """A leaf in its group.

    `shares` has the features of its path, in the path's order, with the share z of training rows that continued.
    `turns` are the splits of its group that are above it: their indexes, and whether the leaf is on the left.
    """

    value: float
    shares: dict[int, float]
    turns: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True)
class Group:
    """The leaves below one node, with a bit for each column on the path to the node and one for each split below it."""

    path: tuple[Bit, ...]
    splits: tuple[Bit, ...]
    leaves: tuple[Leaf, ...]

    @property
    def bits(self) -> tuple[Bit, ...]:
        """All bits, lowest first."""
        return self.path + self.splits

    @cached_property
    def features(self) -> tuple[int, ...]:
        """The features whose contributions are in the table."""
        return tuple(dict.fromkeys(bit.feature for bit in self.bits))

    @cached_property
    def table_size(self) -> int:
        """The number of values in the table: for each pattern, the contributions and the share of the margin."""
        return (len(self.features) + 1) << len(self.bits)


@dataclass(frozen=True)
class Plan:
    """The columns to prepare, and the groups in the order of the trees."""

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]


def plan(trees: Iterable[Tree]) -> Plan:
    """Plan the tables of a model.

    Raises:
        TableTooLargeError: the tables would take more than `MAX_MIB`.
    """
    columns: dict[Column, int] = {}
    groups: list[Group] = []
    size = 0
    try:
        for number, tree in enumerate(trees):
            tree_groups = _TreeWalk(tree, columns).groups()
            size += sum(group.table_size for group in tree_groups) * 8
            if size > MAX_MIB * 2**20:
                raise _too_large(f"tree {number + 1} exceeds the limit")
            groups += tree_groups
    except RecursionError as error:
        raise _too_large("a tree is hundreds of splits deep") from error
    return Plan(tuple(columns), tuple(groups))


def _too_large(cause: str) -> TableTooLargeError:
    return TableTooLargeError(
        f"The tables that explain the model would take more than {MAX_MIB} MiB ({cause}); train shallower trees, or "
        "set explained_by to pred_contrib in the bundle, as training does."
    )


@dataclass(frozen=True)
class _TreeWalk:
    tree: Tree
    columns: dict[Column, int]

    def groups(self) -> list[Group]:
        return self._groups_below(0 if self.tree.splits else ~0, {}, {})

    def _groups_below(self, node: int, path: dict[int, Bit], shares: dict[int, float]) -> list[Group]:
        bits = tuple(path.values())
        if node < 0:
            return [Group(bits, (), (Leaf(self.tree.values[~node], shares),))]
        split = self.tree.splits[node]
        goes_left = self._bit(split)
        left, right = (
            self._groups_below(child, _narrow(path, bit), _with_share(shares, split.feature, self._share(child, split)))
            for child, bit in ((split.left, goes_left), (split.right, _opposite(goes_left)))
        )
        if len(left) == len(right) == 1:
            joined = _join(bits, goes_left, left[0], right[0])
            separate_size = left[0].table_size + right[0].table_size
            if len(joined.bits) <= _FREE_BITS or joined.table_size <= _MAX_GROWTH * separate_size:
                return [joined]
        return left + right

    def _share(self, child: int, split: Split) -> float:
        return self.tree.cover(child) / split.cover

    def _bit(self, split: Split) -> Bit:
        column, high = _column(split)
        return Bit(self.columns.setdefault(column, len(self.columns)), split.feature, -math.inf, high)


def _column(split: Split) -> tuple[Column, float]:
    if split.decision & CATEGORICAL:
        return Column(split.feature, 0, 0.0, split.categories), 0.5
    missing = split.decision >> 2
    fill = LOWEST if split.decision & MISSING_LEFT else math.inf
    # a threshold may be infinite: then all values except missing ones go left
    return Column(split.feature, missing, fill if missing else 0.0, frozenset()), min(split.threshold, HIGHEST)


def _opposite(bit: Bit) -> Bit:
    return bit._replace(low=bit.high, high=math.inf)


def _narrow(path: dict[int, Bit], bit: Bit) -> dict[int, Bit]:
    previous = path.get(bit.column, bit)
    return path | {bit.column: bit._replace(low=max(previous.low, bit.low), high=min(previous.high, bit.high))}


def _with_share(shares: dict[int, float], feature: int, share: float) -> dict[int, float]:
    return shares | {feature: share * shares.get(feature, 1.0)}


def _join(path: tuple[Bit, ...], goes_left: Bit, left: Group, right: Group) -> Group:
    leaves = (*_with_turn(left, 1, on_left=True), *_with_turn(right, 1 + len(left.splits), on_left=False))
    return Group(path, (goes_left, *left.splits, *right.splits), leaves)


def _with_turn(group: Group, shift: int, *, on_left: bool) -> Iterator[Leaf]:
    for leaf in group.leaves:
        turns_below = ((index + shift, is_left) for index, is_left in leaf.turns)
        yield leaf._replace(turns=((0, on_left), *turns_below))
