"""Additive models as LightGBM text: a step function of each column is a tree, and a sum of models is all their trees.

A bundle holds one model text, and `scoring` explains trees exactly. A logistic regression on binned columns is a sum of
step functions, each a tree with one column, so that it is scored and explained by the same code as boosted trees. The
mean of several models is all their trees with their leaf values scaled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import lightgbm

_MISSING_IS_NAN: Final = 8
"""LightGBM's `decision_type` of a numeric split where NaN is missing; columns hold none (see `Columns`)."""

_SCALED: Final = frozenset({"leaf_value", "internal_value"})


@dataclass(frozen=True)
class Steps:
    """A step function of one column.

    Attributes:
        column: the place of the column.
        edges: rising; a value up to and including an edge is on its left. Shape (steps - 1,).
        values: what each step adds to the log-odds. Shape (steps,).
        rows: how many training rows lie on each step, at least one. Shape (steps,).

    Example: `Steps(0, np.array([2.5]), np.array([-0.1, 0.4]), np.array([70, 30]))` adds -0.1 up to 2.5, else 0.4.
    """

    column: int
    edges: NDArray[np.float64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]


def additive_model(steps: Sequence[Steps], intercept: float, columns: int) -> lightgbm.Booster:
    """Return a model whose margin is the intercept plus all steps.

    Args:
        steps: at most one function for each column.
        intercept: log-odds of default, before the steps.
        columns: how many columns the model is given.

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
    trees = ["\n".join(_constant(intercept, total)), *("\n".join(_tree(each)) for each in steps)]
    return _booster("\n".join(head), trees)


def weighted_sum(models: Sequence[lightgbm.Booster], weights: Sequence[float]) -> lightgbm.Booster:
    """Return a model whose margin is the weighted sum of the margins of models of the same columns.

    Example: `weighted_sum([boosted, logistic], [0.5, 0.5])` is their mean in log-odds.
    """
    heads, trees = zip(*(_parts(model.model_to_string()) for model in models), strict=True)
    scaled = [_scaled(tree, weight) for several, weight in zip(trees, weights, strict=True) for tree in several]
    return _booster(heads[0], scaled)


def _booster(head: str, trees: Sequence[str]) -> lightgbm.Booster:
    import lightgbm

    blocks = "\n\n\n".join(f"Tree={number}\n{tree.strip()}" for number, tree in enumerate(trees))
    end = "end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n\npandas_categorical:null\n"
    return lightgbm.Booster(model_str=f"{head}\n\n{blocks}\n\n\n{end}")


def _parts(text: str) -> tuple[str, list[str]]:
    """Return the head of a model text, without the sizes of its trees, and each tree without its number."""
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


def _constant(value: float, rows: int) -> Iterator[str]:
    yield from ("num_leaves=1", "num_cat=0", "split_feature=", "split_gain=", "threshold=", "decision_type=")
    yield from ("left_child=", "right_child=", f"leaf_value={value!r}", f"leaf_weight={rows}", f"leaf_count={rows}")
    yield from ("internal_value=", "internal_weight=", "internal_count=", "is_linear=0", "shrinkage=1")


def _tree(steps: Steps) -> Iterator[str]:
    """Yield the lines of a balanced tree whose leaves are the steps, from left to right."""
    nodes: list[tuple[int, int, int, int]] = []  # the edge, the children, and the rows that come there

    def grow(low: int, high: int) -> int:
        """Return the node of the steps from low to high, which is excluded; a leaf is below 0."""
        if high - low == 1:
            return ~low
        middle, place = (low + high) // 2, len(nodes)
        nodes.append((middle - 1, 0, 0, int(steps.rows[low:high].sum())))
        left, right = grow(low, middle), grow(middle, high)
        nodes[place] = (middle - 1, left, right, nodes[place][3])
        return place

    grow(0, len(steps.values))
    edges, lefts, rights, counts = zip(*nodes, strict=True) if nodes else ((), (), (), ())
    yield f"num_leaves={len(steps.values)}"
    yield "num_cat=0"
    yield f"split_feature={_row(steps.column for _ in nodes)}"
    yield f"split_gain={_row(1 for _ in nodes)}"
    yield f"threshold={_row(float(steps.edges[edge]) for edge in edges)}"
    yield f"decision_type={_row(_MISSING_IS_NAN for _ in nodes)}"
    yield f"left_child={_row(lefts)}"
    yield f"right_child={_row(rights)}"
    yield f"leaf_value={_row(map(float, steps.values))}"
    yield f"leaf_weight={_row(map(int, steps.rows))}"
    yield f"leaf_count={_row(map(int, steps.rows))}"
    yield f"internal_value={_row(0 for _ in nodes)}"
    yield f"internal_weight={_row(counts)}"
    yield f"internal_count={_row(counts)}"
    yield "is_linear=0"
    yield "shrinkage=1"


def _row(numbers: object) -> str:
    return " ".join(map(repr, numbers))  # type: ignore[call-overload]
