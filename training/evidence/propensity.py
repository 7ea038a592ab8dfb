"""How surely a row is of one population and not of another, and weights that make the one look like the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.metrics import Estimate
from training.evidence.resample import RESAMPLES

if TYPE_CHECKING:
    import pandas as pd

_FOLDS: Final = 3
_ROUNDS: Final = 50
_PARAMETERS: Final = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.1,
    "min_data_in_leaf": 20,
    "lambda_l2": 10.0,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # of a few thousand rows, a second thread takes longer to wake than to help
}
_LEAST: Final = 0.02
"""A propensity below this counts as this, so that no single row speaks for more than 49 others."""


def propensities(
    features: pd.DataFrame, inside: NDArray[np.bool_], sellers: pd.Series, seed: int
) -> NDArray[np.float64]:
    """Return each row's probability of being `inside`, by models that never saw a row of its seller.

    Args:
        features: of the rows of both populations.
        inside: True for the rows of the one population; there must be as many sellers as folds in either.
        sellers: whose rows they are.
        seed: of folds and models.
    """
    import lightgbm
    from sklearn.model_selection import StratifiedGroupKFold

    matrix, found = features.to_numpy(), np.empty(len(features))
    folds = StratifiedGroupKFold(n_splits=_FOLDS, shuffle=True, random_state=seed)
    for known, unseen in folds.split(matrix, inside, groups=sellers):
        data = lightgbm.Dataset(matrix[known], inside[known].astype(float))
        booster = lightgbm.train({**_PARAMETERS, "seed": seed}, data, num_boost_round=_ROUNDS)
        found[unseen] = booster.predict(matrix[unseen])
    return found


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
