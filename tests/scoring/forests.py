"""Random models in LightGBM's text format, with every kind of split, including those that training never creates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_THRESHOLDS = (-1.5, -1e-35, 0.0, 1.0000000180025095e-35, 0.5, 1.0, 2.0, np.inf)
_NEAR = (1e-36, -1e-36, 1e-35, 1.0000000180025095e-35, -0.0, np.nan, np.nan, np.inf, -np.inf, 1e300)
_CATEGORIES = (0.0, 1.0, 3.0, 31.0, 32.0, 40.0, 64.0, -0.5, -1.0, 2.9, 1e10, 2.0**31)
_WORDS = 2


@dataclass(frozen=True)
class Forest:
    """Settings of a random model; equal settings give equal texts. The last feature is categorical."""

    seed: int
    features: int = 4
    trees: int = 3
    depth: int = 3
    min_cover: int = 1


@dataclass
class _TreeBuilder:
    """A tree under construction: entries of its splits by LightGBM's names, and values of its leaves."""

    rng: np.random.Generator
    forest: Forest
    splits: dict[str, list[str]] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    covers: list[int] = field(default_factory=list)
    sets: list[int] = field(default_factory=list)

    def grow(self, depth: int) -> tuple[int, int]:
        """Add a subtree, and return its number as a child and its training rows."""
        if depth == 0 or self.rng.random() < 0.15:
            self.values.append(float(self.rng.normal()))
            self.covers.append(int(self.rng.integers(self.forest.min_cover, 30)))
            return ~(len(self.values) - 1), self.covers[-1]
        index = len(self.splits.setdefault("split_feature", []))
        for name, entry in self._split().items():
            self.splits.setdefault(name, []).append(entry)
        for name in ("left_child", "right_child", "internal_count"):
            self.splits.setdefault(name, []).append("")
        left, on_left = self.grow(depth - 1)
        right, on_right = self.grow(depth - 1)
        if on_left + on_right == 0:  # then both are leaves; a split needs at least one training row
            self.covers[~right] = on_right = 1
        entries = {"left_child": left, "right_child": right, "internal_count": on_left + on_right}
        for name, number in entries.items():
            self.splits[name][index] = str(number)
        return index, on_left + on_right

    def _split(self) -> dict[str, str]:
        feature = int(self.rng.integers(self.forest.features))
        if feature == self.forest.features - 1:
            self.sets += (int(word) for word in self.rng.integers(0, 2**32, _WORDS))
            return {
                "split_feature": str(feature),
                "threshold": str(len(self.sets) // _WORDS - 1),
                "decision_type": str(self.rng.choice([1, 9])),
            }
        return {
            "split_feature": str(feature),
            "threshold": repr(float(self.rng.choice(_THRESHOLDS))),
            "decision_type": str(self.rng.choice([0, 2, 4, 6, 8, 10])),
        }

    def lines(self) -> Iterator[str]:
        yield f"num_leaves={len(self.values)}"
        yield f"num_cat={len(self.sets) // _WORDS}"
        yield from (f"{name}={' '.join(entries)}" for name, entries in self.splits.items())
        if self.sets:
            yield "cat_boundaries=" + " ".join(str(start) for start in range(0, len(self.sets) + 1, _WORDS))
            yield "cat_threshold=" + " ".join(map(str, self.sets))
        yield f"leaf_value={' '.join(map(repr, self.values))}"
        yield f"leaf_count={' '.join(map(str, self.covers))}"
        yield from ("is_linear=0", "shrinkage=1")


def text(forest: Forest) -> str:
    rng = np.random.default_rng(forest.seed)
    names = [f"f{index}" for index in range(forest.features)]
    head = [
        *("tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0"),
        f"max_feature_idx={forest.features - 1}",
        "objective=binary sigmoid:1",
        f"feature_names={' '.join(names)}",
        f"feature_infos={' '.join(['[-9:9]'] * forest.features)}",
        "",
    ]
    for number in range(forest.trees):
        tree = _TreeBuilder(rng, forest)
        tree.grow(forest.depth)
        head += [f"Tree={number}", *tree.lines(), "", ""]
    return "\n".join([*head, "end of trees", "", "parameters:", "end of parameters", "", "pandas_categorical:null", ""])


def rows(forest: Forest, count: int, seed: int) -> NDArray[np.float64]:
    """Return rows at and next to thresholds, with NaN, infinities, values near zero, and some invalid categories."""
    rng = np.random.default_rng(seed)
    around = [np.nextafter(value, side) for value in _THRESHOLDS for side in (-np.inf, value, np.inf)]
    matrix = rng.choice([*around, *_NEAR], size=(count, forest.features))
    matrix[:, -1] = rng.choice([*_CATEGORIES, np.nan, np.inf, -np.inf, *range(64)], size=count)
    return matrix
