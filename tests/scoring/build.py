"""Small bundles and vectors for tests of scoring; the LightGBM models are trained here, on data with missing values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import lightgbm
import numpy as np
from numpy.typing import NDArray

from scoring import Bundle, BundleParts, Policy, Reference, Vector, pack
from scoring.bands import Band, Bands
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import FeatureEntry, FeatureSheet, HistoryThreshold
from tests.statements import reason_catalogue

CATALOGUE = "sha256:" + "c" * 64
AS_OF = date(2026, 1, 31)
REQUESTED_ON = date(2026, 2, 1)
COVERS = {"orders": AS_OF, "refunds": AS_OF}
MAX_AGE_DAYS = 7
MIN_TENURE = 90.0


@dataclass(frozen=True)
class Recipe:
    """Settings of a small model; the same recipe gives the same model text."""

    seed: int = 1
    features: int = 4
    rows: int = 400
    trees: int = 12
    depth: int = 3
    missing: float = 0.2


def names(count: int) -> tuple[str, ...]:
    """Return the first names; the history threshold is on the first feature."""
    return ("tenure", "refunds", "sales", "visits", "buyers", "spread", "age", "mix")[:count]


def signs(count: int) -> tuple[int, ...]:
    """Return the signs of the first features: +1 if a higher value raises risk."""
    return (-1, 1, -1, -1, -1, 1, -1, 1)[:count]


def rows(recipe: Recipe, count: int, seed: int) -> NDArray[np.float64]:
    """Return rows with the distribution of the training data: heavy tails, exact zeros, missing values."""
    rng = np.random.default_rng(seed)
    matrix = np.round(rng.normal(size=(count, recipe.features)) ** 3, 3)
    matrix[rng.random(matrix.shape) < 0.1] = 0.0
    matrix[rng.random(matrix.shape) < recipe.missing] = np.nan
    return matrix


@lru_cache(maxsize=64)
def booster(recipe: Recipe) -> lightgbm.Booster:
    """Train a model whose risk follows the signs of all features, with an interaction of two; do not change it."""
    rng = np.random.default_rng(recipe.seed)
    matrix = rows(recipe, recipe.rows, recipe.seed)
    risk = np.nan_to_num(matrix, nan=0.7) * signs(recipe.features)
    margin = risk.sum(axis=1) * 0.8 - 1.0 + np.maximum(risk[:, 0], 0.0) * np.maximum(risk[:, -1], 0.0)
    bad = rng.random(recipe.rows) < 1.0 / (1.0 + np.exp(-np.clip(margin, -5, 5)))
    sampling = {"min_data_in_leaf": 5, "bagging_fraction": 0.8, "bagging_freq": 1, "num_leaves": 2**recipe.depth}
    parameters = {"max_depth": recipe.depth, "learning_rate": 0.3, "seed": recipe.seed, **sampling}
    columns = dict(zip(names(recipe.features), signs(recipe.features), strict=True))
    return train(matrix, bad, columns, recipe.trees, **parameters)


def train(
    matrix: NDArray[np.float64], bad: NDArray[np.bool_], columns: Mapping[str, int], trees: int, **parameters: object
) -> lightgbm.Booster:
    """Train a model with a monotone constraint for each column, by its sign; the result is reproducible."""
    fixed = {"objective": "binary", "num_threads": 1, "deterministic": True, "verbosity": -1}
    data = lightgbm.Dataset(matrix, bad.astype(float), feature_name=list(columns))
    constraints = {"monotone_constraints": list(columns.values())}
    return lightgbm.train({**fixed, **constraints, **parameters}, data, num_boost_round=trees)


def sheet(count: int = 4, groups: Sequence[str] | None = None) -> FeatureSheet:
    """Return a sheet of the first features, each in its own reason group unless `groups` is given."""
    chosen = names(count)
    entries = tuple(
        FeatureEntry(name, name.capitalize(), "ratio", sign, True, False, group, 0.5, tables=("orders",))
        for name, sign, group in zip(chosen, signs(count), groups or chosen, strict=True)
    )
    return FeatureSheet(
        CATALOGUE, entries, (HistoryThreshold("tenure", MIN_TENURE),), ("orders", "refunds"), MAX_AGE_DAYS
    )


def policy(scale: Scale | None = None, calibration: Calibration | None = None) -> Policy:
    """Return a policy with the default scale and a calibration that is not the identity."""
    bands = Bands((Band("A", 0.05), Band("B", 0.2), Band("C", 0.5), Band("D", 0.8), Band("E", 1.0)))
    return Policy(calibration or Calibration(0.9, -0.3), scale or Scale(), bands, "90+ days past due within 12 months")


def parts(recipe: Recipe | None = None, its_policy: Policy | None = None) -> BundleParts:
    recipe = recipe or Recipe()
    return BundleParts(
        booster(recipe).model_to_string(),
        sheet(recipe.features),
        its_policy or policy(),
        reason_catalogue(sheet(recipe.features).entries),
        Reference("400 training rows, 卖家", {"auc": 0.7}, {"lightgbm": lightgbm.__version__}, "tables"),
    )


def bundle(recipe: Recipe | None = None, its_policy: Policy | None = None) -> Bundle:
    return Bundle.from_files(pack(parts(recipe, its_policy)))


def vectors(matrix: NDArray[np.float64]) -> list[Vector]:
    """Return vectors of sellers with a long history and full coverage; NaN becomes missing."""
    return [vector(tuple(None if np.isnan(value) else value for value in row)) for row in matrix.tolist()]


def vector(values: Sequence[float | None], seller: str = "S-1") -> Vector:
    """Return a vector with the first value moved above the history threshold."""
    first = MIN_TENURE + abs(values[0] or 0.0)
    return Vector(seller, AS_OF, REQUESTED_ON, COVERS, CATALOGUE, (first, *values[1:]))
