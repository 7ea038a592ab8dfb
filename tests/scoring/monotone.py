"""A small monotone bundle with reaches for sellers of two sizes, for tests of advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from scoring import Bundle, Vector, pack
from scoring.sheet import FeatureEntry, Reach, Sizes
from tests.scoring import build
from tests.statements import reason_catalogue

NAMES = ("tenure", "refunds", "refunds_year", "stars", "spread", "mix", "sales")
SIGNS = (-1, 1, 1, -1, 1, 1, -1)
GROUPS = ("tenure", "returns", "returns", "reputation", "customers", "advertising", "sales")
UNITS = ("days", "ratio", "ratio", "stars", "hours", "plain", "USD")
DIGITS = (1, 3, 3, 2, 1, 4, 0)
SMALL = 1000.0
HOURS = 12.0
"""Hours that correspond to a share of 1."""
REACHES: Mapping[str, tuple[Reach | None, ...]] = {
    "refunds": (Reach(0.0513, 0.2), Reach(0.01, 0.6)),
    "stars": (Reach(4.4, 0.3), Reach(4.83, 1.5)),
    "spread": (Reach(4.0, 3.55), Reach(0.57, 9.0)),
    "mix": (None, Reach(0.2, 0.4)),
}


@lru_cache(maxsize=32)
def bundle(seed: int = 1, depth: int = 3) -> Bundle:
    """Train a model with monotone constraints; the risk depends on all features, with an interaction of two."""
    rng = np.random.default_rng(seed)
    matrix = rows(rng, 900)
    shares = matrix[:, [1, 2, 4, 5]] / (1, 1, HOURS, 1)
    margin = shares @ rng.uniform(1.0, 3.0, 4) - 1.5 * (matrix[:, 3] - 3.5) + 4.0 * shares[:, 0] * shares[:, 2] - 4.5
    bad = rng.random(900) < 1.0 / (1.0 + np.exp(-margin))
    parameters = {"max_depth": depth, "min_data_in_leaf": 10, "learning_rate": 0.2, "seed": seed}
    text = build.train(matrix, bad, dict(zip(NAMES, SIGNS, strict=True)), 40, **parameters).model_to_string()
    entries = tuple(
        FeatureEntry(
            *(name, name.capitalize(), unit, sign, name in REACHES, False, group),
            typical=0.5,
            reach=REACHES.get(name, ()),
        )
        for name, sign, group, unit in zip(NAMES, SIGNS, GROUPS, UNITS, strict=True)
    )
    parts = build.parts()
    sheet = replace(parts.sheet, entries=entries, sizes=Sizes("sales", (SMALL,)))
    changed = replace(parts, model_text=text, sheet=sheet, reasons=reason_catalogue(sheet.entries))
    return Bundle.from_files(pack(changed))


def rows(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return rows of sellers: shares between 0 and 1, stars between 1 and 5, sales around the size limit."""
    shares = rng.beta(1.3, 3.0, (count, 4))
    stars = 5.0 - rng.gamma(2.0, 0.5, count).clip(0, 4)
    sales = np.round(SMALL * rng.lognormal(0.0, 1.0, count), 2)
    tenure = 90.0 + rng.integers(0, 900, count)
    return np.column_stack([tenure, shares[:, 0], shares[:, 1], stars, shares[:, 2] * HOURS, shares[:, 3], sales])


def vectors(seed: int, count: int, missing: float = 0.1) -> list[Vector]:
    """Return vectors of such sellers with some missing values, but never tenure or sales."""
    rng = np.random.default_rng(seed)
    matrix = rows(rng, count)
    hidden = rng.random(matrix.shape) < missing
    hidden[:, [0, 6]] = False
    matrix[hidden] = np.nan
    return [
        replace(build.vector((0.0,)), values=tuple(None if np.isnan(value) else value for value in row))
        for row in matrix.tolist()
    ]
