"""Which leaves share a table, and which bits of a row choose the entry: the plan of the tables."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from scoring.errors import TableTooLargeError
from scoring.kernel.trees import CATEGORICAL, MISSING_LEFT, Split, Tree

MOST_MIB: Final = 64
"""Larger tables are not built: they would leave the processor's caches, and a service holds more than one model."""

LOWEST: Final = -sys.float_info.max
HIGHEST: Final = sys.float_info.max
"""Finite ends of a prepared column: behind them is where a missing value goes."""

_FREE_BITS: Final = 5
_ROOMIER: Final = 1.5
"""Tables are joined while that takes few bits, or at most this many times the memory of the parts (measured)."""


class Column(NamedTuple):
    """A feature as some splits see it, prepared so that each of them is one comparison.

    `missing` says what becomes `fill`: 0 nothing (NaN is zero then), 1 zero and NaN, 2 NaN. With `categories` the
    column is 0 where the value is one of them, else 1.
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

    `shares` holds each feature of its path, in the path's order, with the share z of the training rows that went on.
    `turns` are the splits of its group that it stands below: their places, and whether on the left.
    """

    value: float
    shares: dict[int, float]
    turns: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True)
class Group:
    """Leaves below one node: a bit for each column on the path to the node, then one for each split below it."""

    path: tuple[Bit, ...]
    splits: tuple[Bit, ...]
    leaves: tuple[Leaf, ...]

    @property
    def bits(self) -> tuple[Bit, ...]:
        """All bits, the lowest first."""
        return self.path + self.splits

    @cached_property
    def features(self) -> tuple[int, ...]:
        """The features whose contributions the table holds."""
        return tuple(dict.fromkeys(bit.feature for bit in self.bits))

    @cached_property
    def room(self) -> int:
        """How many numbers the table holds: a pattern's contributions and its share of the margin."""
        return (len(self.features) + 1) << len(self.bits)


@dataclass(frozen=True)
class Plan:
    """The columns to prepare, and groups in the order of the trees."""

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]


def plan(trees: Iterable[Tree]) -> Plan:
    """Lay out the tables of a model.

    Raises:
        TableTooLargeError: they would take more than `MOST_MIB`.
    """
    columns: dict[Column, int] = {}
    groups: list[Group] = []
    room = 0
    try:
        for number, tree in enumerate(trees):
            found = _Walk(tree, columns).groups()
            room += sum(group.room for group in found) * 8
            if room > MOST_MIB * 2**20:
                raise _too_large(f"tree {number + 1} is one too many")
            groups += found
    except RecursionError as error:
        raise _too_large("a tree is hundreds of splits deep") from error
    return Plan(tuple(columns), tuple(groups))


def _too_large(found: str) -> TableTooLargeError:
    return TableTooLargeError(
        f"The tables that explain the model would take more than {MOST_MIB} MiB ({found}); train shallower trees, or "
        "let the bundle say that it is explained by pred_contrib, as training does."
    )


@dataclass(frozen=True)
class _Walk:
    tree: Tree
    columns: dict[Column, int]

    def groups(self) -> list[Group]:
        return self._below(0 if self.tree.splits else ~0, {}, {})

    def _below(self, node: int, path: dict[int, Bit], shares: dict[int, float]) -> list[Group]:
        bits = tuple(path.values())
        if node < 0:
            return [Group(bits, (), (Leaf(self.tree.values[~node], shares),))]
        split = self.tree.splits[node]
        goes_left = self._bit(split)
        left, right = (
            self._below(child, _narrowed(path, bit), _shared(shares, split.feature, self._share(child, split)))
            for child, bit in ((split.left, goes_left), (split.right, _opposite(goes_left)))
        )
        if len(left) == len(right) == 1:
            joined = _joined(bits, goes_left, left[0], right[0])
            if len(joined.bits) <= _FREE_BITS or joined.room <= _ROOMIER * (left[0].room + right[0].room):
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
    # a threshold may be infinite: all values but a missing one go left
    return Column(split.feature, missing, fill if missing else 0.0, frozenset()), min(split.threshold, HIGHEST)


def _opposite(bit: Bit) -> Bit:
    return bit._replace(low=bit.high, high=math.inf)


def _narrowed(path: dict[int, Bit], bit: Bit) -> dict[int, Bit]:
    before = path.get(bit.column, bit)
    return path | {bit.column: bit._replace(low=max(before.low, bit.low), high=min(before.high, bit.high))}


def _shared(shares: dict[int, float], feature: int, share: float) -> dict[int, float]:
    return shares | {feature: share * shares.get(feature, 1.0)}


def _joined(path: tuple[Bit, ...], goes_left: Bit, left: Group, right: Group) -> Group:
    leaves = (*_turned(left, 1, on_left=True), *_turned(right, 1 + len(left.splits), on_left=False))
    return Group(path, (goes_left, *left.splits, *right.splits), leaves)


def _turned(group: Group, shift: int, *, on_left: bool) -> Iterator[Leaf]:
    for leaf in group.leaves:
        below = ((place + shift, way) for place, way in leaf.turns)
        yield leaf._replace(turns=((0, on_left), *below))
