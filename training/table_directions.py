"""Directions of the columns of a table: whether risk rises or falls along each, as declared or from training rows.

A column that is clearly associated with outcomes in the training rows gets that direction. A column without a clear
direction becomes two features with the same values, one along which risk may only rise and one along which it may only
fall; together they follow any shape. The threshold is high, so that noise in the training rows sets no direction. This
matters most if the same rows are then used for an out-of-fold test.
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
"""Number of standard errors by which a rank correlation must differ from 0. By chance, one column in 370 does."""

RISING, FALLING = "_rising", "_falling"
"""Suffixes of the names of the two features of a column without a clear direction."""


@dataclass(frozen=True)
class Direction:
    """The direction of one column.

    Attributes:
        column: name of the feature.
        sign: +1 if risk rises along it, -1 if it falls, 0 without a clear direction.
        source: `declared`, `training rows` or `none`.
        standard_errors: distance of the rank correlation with outcomes from 0; NaN if the column is constant.
    """

    column: str
    sign: int
    source: str
    standard_errors: float


def find_directions(train: Dataset, declared: Mapping[str, int]) -> tuple[Direction, ...]:
    """Return the direction of each feature of a training part; `declared` has the declared signs."""
    bad = train.rows["bad"].astype(float)
    directions = []
    for name in map(str, train.features.columns):
        distance = _standard_errors(train.features[name], bad)
        if sign := declared.get(name, 0):
            source = "declared"
        elif abs(distance) >= CLEAR:
            sign, source = int(np.sign(distance)), "training rows"
        else:
            source = "none"
        directions.append(Direction(name, sign, source, distance))
    return tuple(directions)


def apply_directions(dataset: Dataset, directions: tuple[Direction, ...]) -> Dataset:
    """Return a dataset in which every feature has a direction: columns without one become two features."""
    import pandas as pd

    columns: dict[str, pd.Series] = {}
    signs: dict[str, int] = {}
    for each in directions:
        parts = {each.column: each.sign} if each.sign else {each.column + RISING: 1, each.column + FALLING: -1}
        columns |= dict.fromkeys(parts, dataset.features[each.column])
        signs |= parts
    return replace(dataset, features=pd.DataFrame(columns, index=dataset.features.index), signs=signs)


def _standard_errors(values: pd.Series, bad: pd.Series) -> float:
    """Return the distance of the rank correlation with outcomes (Spearman) from 0, in standard errors."""
    present = values.notna()
    ranks, outcomes = values[present].rank(), bad[present]
    if ranks.nunique() < 2 or outcomes.nunique() < 2:  # noqa: PLR2004 - constant
        return float("nan")
    return float(np.corrcoef(ranks, outcomes)[0, 1] * np.sqrt(len(ranks) - 1))
