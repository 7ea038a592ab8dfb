"""Weights that make rows of one population look like those of another, and the calibration that they then show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.metrics import Estimate
from training.evidence.resample import RESAMPLES

_LEAST: Final = 0.02
"""A propensity below this counts as this, so that no single row speaks for more than 49 others."""


@dataclass(frozen=True)
class Reweighted:
    """Calibration of weighted rows: expected over observed defaults, and how many rows' worth the weights leave."""

    ratio: Estimate
    effective_rows: float


def reweighted(
    bad: NDArray[np.bool_], probability: NDArray[np.float64], propensity: NDArray[np.float64], seed: int
) -> Reweighted:
    """Return the calibration that rows would show if they were of the other population, as far as features tell.

    Each row counts by its odds of being of the other population, `(1 - e) / e`. That corrects for what the features
    know of why these rows and no others have outcomes; what they do not know stays.

    Example: where every propensity is a half, nothing changes and every row is worth one.

    Source: Hirano, Imbens and Ridder, Efficient estimation using the estimated propensity score, 2003; effective rows
    by Kish, Survey sampling, 1965.
    """
    e = np.maximum(propensity, _LEAST)
    weight = (1.0 - e) / e
    rng = np.random.default_rng(seed)
    counts = np.stack([np.bincount(rng.integers(0, len(bad), len(bad)), minlength=len(bad)) for _ in range(RESAMPLES)])
    expected, observed = (counts * weight) @ probability, (counts * weight) @ bad
    some = observed > 0
    value = float(weight @ probability) / float(weight @ bad)
    return Reweighted(Estimate.of(value, expected[some] / observed[some]), float(weight.sum() ** 2 / (weight @ weight)))
