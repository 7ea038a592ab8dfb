"""Probe rows for the check of the tables against LightGBM: values on both sides of the model's thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from scoring.kernel.trees import CATEGORICAL, Tree


def probe_rows(trees: Sequence[Tree], features: int, rows: int) -> NDArray[np.float64]:
    """Return `rows` rows: the first all missing, the second all zero, then values at thresholds and just above.

    From row to row, each feature takes its next value: a threshold, the next double above it, a category, or missing.
    Each feature repeats its own list of values, so they meet in many combinations. Nothing is random.
    """
    values: list[dict[float, None]] = [{np.nan: None} for _ in range(features)]
    for tree in trees:
        for split in tree.splits:
            if split.decision & CATEGORICAL:
                probes = [float(category) for category in sorted(split.categories)]
            else:
                probes = [split.threshold, np.nextafter(split.threshold, np.inf)]
            values[split.feature] |= dict.fromkeys(probes)
    matrix = np.array([list(islice(cycle(column), rows)) for column in values]).reshape(features, rows).T
    matrix[1:2] = 0.0
    return np.ascontiguousarray(matrix)
