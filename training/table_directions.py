"""Directions of a table's columns: in which way risk moves along each, from a declaration or from the training rows.

A column that is clearly associated with outcomes in the training rows gets that direction. A column without a clear
direction becomes two features of the same values, one along which risk may only rise and one along which it may only
fall: together they follow any shape. The threshold is high, so that noise in the training rows chooses no direction;
this matters most if the same rows are then measured out of fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Dataset

CLEAR: Final = 3.0
"""Standard errors by which a rank correlation must differ from 0: one column in 370 does so by chance."""

RISING, FALLING = "_rising", "_falling"
"""What the names of the two features of a column without a clear direction end with."""


@dataclass(frozen=True)
class Direction:
    """The direction of one column.

    Attributes:
        column: the name of the feature.
        sign: +1 if risk rises along it, -1 if it falls, 0 without a clear direction.
        how: `declared`, `training rows` or `none`.
        standard_errors: of the rank correlation with outcomes from 0; NaN if the column has one value.
    """

    column: str
    sign: int
    how: str
    standard_errors: float


def directions(train: Dataset, declared: Mapping[str, int]) -> tuple[Direction, ...]:
    """Return the direction of each feature of a training part; `declared` are the signs that were stated."""
    bad = train.rows["bad"].astype(float)
    found = []
    for name in map(str, train.features.columns):
        distance = _standard_errors(train.features[name], bad)
        sign = declared.get(name, 0)
        if sign:
            found.append(Direction(name, sign, "declared", distance))
        elif abs(distance) >= CLEAR:
            found.append(Direction(name, int(np.sign(distance)), "training rows", distance))
        else:
            found.append(Direction(name, 0, "none", distance))
    return tuple(found)


def directed(dataset: Dataset, found: tuple[Direction, ...]) -> Dataset:
    """Return a dataset in which every feature has a direction: columns without one become two features."""
    import pandas as pd

    columns: dict[str, pd.Series] = {}
    signs: dict[str, int] = {}
    for each in found:
        parts = {each.column: each.sign} if each.sign else {each.column + RISING: 1, each.column + FALLING: -1}
        columns |= dict.fromkeys(parts, dataset.features[each.column])
        signs |= parts
    return replace(dataset, features=pd.DataFrame(columns, index=dataset.features.index), signs=signs)


def _standard_errors(values: pd.Series, bad: pd.Series) -> float:
    """Return how many standard errors the rank correlation with outcomes differs from 0 (Spearman)."""
    known = values.notna()
    ranks, outcomes = values[known].rank(), bad[known]
    if ranks.nunique() < 2 or outcomes.nunique() < 2:  # noqa: PLR2004 - nothing varies
        return float("nan")
    return float(np.corrcoef(ranks, outcomes)[0, 1] * np.sqrt(len(ranks) - 1))
