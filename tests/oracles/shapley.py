"""Shapley values by their definition: every subset of features, on the path-dependent game of small trees.

The game: at a split on a feature in the coalition, the row follows its value; at any other split, both branches count,
weighted by LightGBM's number of training rows. It uses no code of this project or of SHAP.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any

_ZERO = 1.0000000180025095e-35
"""LightGBM's bound, 1e-35 as a 32-bit float: a value within it counts as zero at every split."""


def shapley(dump: dict[str, Any], row: Sequence[float]) -> tuple[float, list[float]]:
    """Return the value of the empty coalition, and each feature's Shapley value, for `booster.dump_model()`."""
    features = range(len(row))
    values = {
        frozenset(subset): math.fsum(_value(tree["tree_structure"], row, frozenset(subset)) for tree in _trees(dump))
        for subset in chain.from_iterable(combinations(features, size) for size in range(len(row) + 1))
    }
    return values[frozenset()], [_of_feature(feature, len(row), values) for feature in features]


def _of_feature(feature: int, count: int, values: dict[frozenset[int], float]) -> float:
    return math.fsum(
        math.factorial(len(rest))
        * math.factorial(count - len(rest) - 1)
        / math.factorial(count)
        * (values[rest | {feature}] - values[rest])
        for rest in values
        if feature not in rest
    )


def _trees(dump: dict[str, Any]) -> list[dict[str, Any]]:
    return list(dump["tree_info"])


def _value(node: dict[str, Any], row: Sequence[float], coalition: frozenset[int]) -> float:
    if "leaf_value" in node:
        return float(node["leaf_value"])
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in coalition:
        return _value(left if _goes_left(node, row[node["split_feature"]]) else right, row, coalition)
    on_left, on_right = _count(left), _count(right)
    weighted = on_left * _value(left, row, coalition) + on_right * _value(right, row, coalition)
    return weighted / (on_left + on_right)


def _count(node: dict[str, Any]) -> int:
    return int(node["leaf_count"] if "leaf_value" in node else node["internal_count"])


def _goes_left(node: dict[str, Any], value: float) -> bool:
    if node["decision_type"] == "==":
        # a category is the integer part; a negative, missing or infinite value is no category
        return math.isfinite(value) and value > -1.0 and str(int(value)) in node["threshold"].split("||")
    kind = node["missing_type"]
    if abs(value) <= _ZERO:
        value = 0.0
    if math.isnan(value) and kind != "NaN":
        value = 0.0
    if (kind == "NaN" and math.isnan(value)) or (kind == "Zero" and value == 0.0):
        return bool(node["default_left"])
    # the dump writes 1e300 for an infinite threshold; every value is on its left
    return value <= float(node["threshold"]) or float(node["threshold"]) == 1e300
