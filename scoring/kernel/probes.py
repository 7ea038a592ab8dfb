"""Rows on which the tables must agree with LightGBM, made from the model: on both sides of its thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from scoring.kernel.trees import CATEGORICAL, Tree


def probe_rows(trees: Sequence[Tree], features: int, rows: int) -> NDArray[np.float64]:
    """Return so many rows: the first all missing, the second all zero, then values at thresholds and just above.

    Row by row each feature takes its next threshold, or the next double above, or a category, or is missing; features
    go round at their own pace, so that they meet in many combinations. Nothing is drawn at random.
    """
    values: list[dict[float, None]] = [{np.nan: None} for _ in range(features)]
    for tree in trees:
        for split in tree.splits:
            if split.decision & CATEGORICAL:
                found = [float(category) for category in sorted(split.categories)]
            else:
                found = [split.threshold, np.nextafter(split.threshold, np.inf)]
            values[split.feature] |= dict.fromkeys(found)
    matrix = np.array([list(islice(cycle(each), rows)) for each in values]).reshape(features, rows).T
    matrix[1:2] = 0.0
    return np.ascontiguousarray(matrix)
