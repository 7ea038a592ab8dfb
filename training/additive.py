"""Additive models as LightGBM text: each step function of a column is a tree, and a weighted sum joins all trees.

A bundle has one model text, and `scoring` explains trees exactly. A logistic regression on binned columns is a sum of
step functions, each a tree with one column, so that the same code scores and explains it. The mean of several models
has all their trees with scaled leaf values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import lightgbm

_MISSING_IS_NAN: Final = 8
"""LightGBM's `decision_type` of a numeric split where NaN is missing; columns have none (see `Columns`)."""

_SCALED: Final = frozenset({"leaf_value", "internal_value"})


@dataclass(frozen=True)
class Steps:
    """A step function of one column.

    Attributes:
        column: index of the column.
        edges: rising; a value up to and including an edge is on its left. Shape (steps - 1,).
        values: added to the log-odds on each step. Shape (steps,).
        rows: number of training rows on each step, at least one. Shape (steps,).

    Example: `Steps(0, np.array([2.5]), np.array([-0.1, 0.4]), np.array([70, 30]))` adds -0.1 up to 2.5, else 0.4.
    """

    column: int
    edges: NDArray[np.float64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]


def additive_model(steps: Sequence[Steps], intercept: float, columns: int) -> lightgbm.Booster:
    """Return a model whose margin is the intercept plus all steps.

    Args:
        steps: at most one function per column.
        intercept: log-odds of default before the steps.
        columns: number of columns of the model.

    Example: `additive_model([Steps(0, edges, values, rows)], -3.0, 1).predict(matrix, raw_score=True)`.
    """
    names = [f"Column_{number}" for number in range(columns)]
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={columns - 1}",
        "objective=binary sigmoid:1",
        f"feature_names={' '.join(names)}",
        f"monotone_constraints={' '.join('0' * columns)}",
        f"feature_infos={' '.join(['[-1e+30:1e+30]'] * columns)}",
    ]
    total = int(steps[0].rows.sum()) if steps else 1
    constant = Steps(0, np.empty(0), np.array([intercept]), np.array([total]))
    trees = [_tree(constant), *map(_tree, steps)]
    return _booster("\n".join(head), trees)


def weighted_sum(models: Sequence[lightgbm.Booster], weights: Sequence[float]) -> lightgbm.Booster:
    """Return a model whose margin is the weighted sum of the margins of models of the same columns.

    Example: `weighted_sum([boosted, logistic], [0.5, 0.5])` is their mean in log-odds.
    """
    heads, trees = zip(*(_parts(model.model_to_string()) for model in models), strict=True)
    scaled = [_scaled(tree, weight) for group, weight in zip(trees, weights, strict=True) for tree in group]
    return _booster(heads[0], scaled)


def _booster(head: str, trees: Sequence[str]) -> lightgbm.Booster:
    import lightgbm

    blocks = "\n\n\n".join(f"Tree={number}\n{tree.strip()}" for number, tree in enumerate(trees))
    end = "end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n\npandas_categorical:null\n"
    return lightgbm.Booster(model_str=f"{head}\n\n{blocks}\n\n\n{end}")


def _parts(text: str) -> tuple[str, list[str]]:
    """Return the head of a model text without tree sizes, and each tree without its number."""
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    lines = [line for line in head.strip().splitlines() if not line.startswith("tree_sizes=")]
    return "\n".join(lines), [block.partition("\n")[2] for block in blocks]


def _scaled(tree: str, weight: float) -> str:
    lines = []
    for line in tree.splitlines():
        key, _, numbers = line.partition("=")
        if key in _SCALED:
            line = f"{key}={_row(weight * float(number) for number in numbers.split())}"  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines)


def _tree(steps: Steps) -> str:
    """Return the text of a balanced tree whose leaves are the steps, from left to right."""
    nodes: list[tuple[int, int, int, int]] = []  # edge, left child, right child, number of rows

    def grow(low: int, high: int) -> int:
        """Return the node of the steps from low to high (exclusive); leaves are negative."""
        if high - low == 1:
            return ~low
        middle, node = (low + high) // 2, len(nodes)
        nodes.append((middle - 1, 0, 0, int(steps.rows[low:high].sum())))
        left, right = grow(low, middle), grow(middle, high)
        nodes[node] = (middle - 1, left, right, nodes[node][3])
        return node

    grow(0, len(steps.values))
    edges, lefts, rights, counts = zip(*nodes, strict=True) if nodes else ((), (), (), ())
    fields: dict[str, Iterable[object]] = {
        "num_leaves": [len(steps.values)],
        "num_cat": [0],
        "split_feature": [steps.column] * len(nodes),
        "split_gain": [1] * len(nodes),
        "threshold": [float(steps.edges[edge]) for edge in edges],
        "decision_type": [_MISSING_IS_NAN] * len(nodes),
        "left_child": lefts,
        "right_child": rights,
        "leaf_value": steps.values.tolist(),
        "leaf_weight": steps.rows.tolist(),
        "leaf_count": steps.rows.tolist(),
        "internal_value": [0] * len(nodes),
        "internal_weight": counts,
        "internal_count": counts,
        "is_linear": [0],
        "shrinkage": [1],
    }
    return "\n".join(f"{name}={_row(values)}" for name, values in fields.items())


def _row(numbers: Iterable[object]) -> str:
    return " ".join(map(repr, numbers))
