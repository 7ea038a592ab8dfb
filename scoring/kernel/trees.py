"""The trees of a model, read from LightGBM's text and validated; LightGBM itself does not validate them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from scoring.errors import TreeError

CATEGORICAL: Final = 1
MISSING_LEFT: Final = 2
"""Bits of a split's `decision`. The two bits after them state what is missing: 0 nothing, 1 zero and NaN, 2 NaN."""

_SUPPORTED: Final = {"num_tree_per_iteration": "1", "average_output": "0"}
"""Header fields, if present, of a model that is a sum of trees with one output."""


class Split(NamedTuple):
    """An inner node. A child below 0 is the leaf `~child`; `cover` is the number of training rows at this node.

    `decision` is LightGBM's `decision_type`; `categories` are those that go left, empty for a numeric split.
    """

    feature: int
    threshold: float
    decision: int
    left: int
    right: int
    cover: int
    categories: frozenset[int]


class Tree(NamedTuple):
    """Splits, root first, and the value and number of training rows of each leaf. A single leaf has no split."""

    splits: tuple[Split, ...]
    values: tuple[float, ...]
    covers: tuple[int, ...]

    def cover(self, node: int) -> int:
        """Return the number of training rows at a split, or at a leaf if `node` is below 0."""
        return self.splits[node].cover if node >= 0 else self.covers[~node]

    @property
    def expected(self) -> float:
        """The mean over the training rows, the value of the empty coalition; added up in LightGBM's order."""
        if not self.splits:
            return self.values[0]
        total = 0.0
        for value, cover in zip(self.values, self.covers, strict=True):
            total += cover / self.splits[0].cover * value
        return total


def read_trees(text: str) -> tuple[Tree, ...]:
    """Read the trees of a model; their sum is the margin.

    Raises:
        TreeError: the text has no tree, or a tree is invalid: a line is absent, a line has a wrong number of entries, a
            node has two parents, counts of training rows do not add up, a value is not finite, or a split is on a
            feature that the model does not have.
    """
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    header = _fields(head)
    unsupported = [f"{key}={header[key]}" for key, value in _SUPPORTED.items() if header.get(key, value) != value]
    if not blocks or unsupported or "max_feature_idx" not in header:
        raise TreeError(
            "The model text is not a sum of LightGBM trees, so it cannot be explained and gives no score; found "
            f"{len(blocks)} trees and {', '.join(unsupported) or 'no unsupported setting'}."
        )
    return tuple(_read(number, block, header["max_feature_idx"]) for number, block in enumerate(blocks))


def _read(number: int, block: str, last_feature: str) -> Tree:
    try:
        fields = _fields(block)
        tree = _tree(fields)
        _check(tree, int(fields["num_leaves"]), int(last_feature))
    except (KeyError, ValueError, IndexError, OverflowError, MemoryError) as error:
        reason = f"the line {error} is absent" if isinstance(error, KeyError) else str(error)
        raise TreeError(f"Tree {number} of the model cannot be explained, so there is no score: {reason}.") from error
    return tree


def _fields(block: str) -> dict[str, str]:
    # a line without a value, such as `average_output`, is a flag
    parts = (line.partition("=") for line in block.splitlines())
    return {key: value if equals else "1" for key, equals, value in parts}


def _tree(fields: Mapping[str, str]) -> Tree:
    if fields.get("is_linear", "0") != "0":
        raise ValueError("its leaves are linear models")
    values = tuple(map(float, fields["leaf_value"].split()))
    if fields["num_leaves"] == "1":
        return Tree((), values, (0,))
    return Tree(tuple(_splits(fields)), values, tuple(map(int, fields["leaf_count"].split())))


def _splits(fields: Mapping[str, str]) -> Iterator[Split]:
    sets = tuple(_category_sets(fields)) if fields["num_cat"] != "0" else ()
    names = ("split_feature", "threshold", "decision_type", "left_child", "right_child", "internal_count")
    columns = [fields[name].split() for name in names]
    if len({len(column) for column in columns}) != 1:
        raise ValueError("its splits have lines of different length")
    for feature, threshold_text, *integers in zip(*columns, strict=True):
        decision, left, right, cover = map(int, integers)
        threshold = float(threshold_text)
        # the threshold of a categorical split is the index of its set of categories
        categories = sets[int(threshold)] if decision & CATEGORICAL else frozenset()
        yield Split(int(feature), threshold, decision, left, right, cover, categories)


def _category_sets(fields: Mapping[str, str]) -> Iterator[frozenset[int]]:
    words = [int(word) for word in fields["cat_threshold"].split()]
    for first, end in pairwise(map(int, fields["cat_boundaries"].split())):
        yield frozenset(
            32 * index + bit for index, word in enumerate(words[first:end]) for bit in range(32) if word >> bit & 1
        )


def _check(tree: Tree, leaves: int, last_feature: int) -> None:
    splits, values, covers = tree
    if not leaves == len(values) == len(covers) == len(splits) + 1:
        raise ValueError(
            f"of {leaves} leaves it has {len(values)} values and {len(covers)} counts, and {len(splits)} splits"
        )
    if not all(map(math.isfinite, values)):
        raise ValueError("the value of a leaf is not a finite number")
    children = sorted(child for split in splits for child in (split.left, split.right))
    if splits and children != [*range(-len(values), 0), *range(1, len(splits))]:
        raise ValueError("a node does not have exactly one parent")
    for index, split in enumerate(splits):
        _check_split(tree, index, split, last_feature)


def _check_split(tree: Tree, index: int, split: Split, last_feature: int) -> None:
    # a child has a higher index than its parent, so there is no cycle
    if any(0 <= child <= index for child in (split.left, split.right)):
        raise ValueError("a node is its own ancestor")
    if not 0 <= split.feature <= last_feature:
        raise ValueError(f"it splits on feature {split.feature}, but the last feature is {last_feature}")
    if not split.threshold > (-1 if split.decision & CATEGORICAL else -math.inf):
        raise ValueError(f"it splits at {split.threshold}")
    if not 0 <= split.decision >> 2 <= 2:  # noqa: PLR2004 - the three missing types
        raise ValueError(f"it has a split of decision type {split.decision}")
    left, right = tree.cover(split.left), tree.cover(split.right)
    if min(left, right) < 0 or split.cover < 1 or split.cover != left + right:
        raise ValueError(f"of {split.cover} training rows {left} go left and {right} go right")
