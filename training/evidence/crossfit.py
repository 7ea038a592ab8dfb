"""What features can tell of a yes or no about rows, by small models that never saw the row's seller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_FOLDS: Final = 3
_ROUNDS: Final = 30
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
_DEPTH: Final = 3
_LEAST_IN_LEAF: Final = 10

_LARGEST: Final = float(np.finfo(np.float32).max)


def cross_fitted(
    features: pd.DataFrame, truth: NDArray[np.bool_], sellers: pd.Series, seed: int
) -> NDArray[np.float64]:
    """Return each row's probability of `truth`, by boosted trees on the rows of other sellers.

    Args:
        features: what may tell, NaN where missing.
        truth: what is to be told; both kinds must occur in as many sellers as there are folds.
        sellers: whose rows they are.
        seed: of folds and models.
    """
    import lightgbm

    matrix, found = features.to_numpy(), np.empty(len(features))
    for known, unseen in _folds(_FOLDS, truth, sellers, seed):
        data = lightgbm.Dataset(matrix[known], truth[known].astype(float))
        booster = lightgbm.train({**_PARAMETERS, "seed": seed}, data, num_boost_round=_ROUNDS)
        found[unseen] = booster.predict(matrix[unseen])
    return found


def each_alone(
    features: pd.DataFrame, truth: NDArray[np.bool_], sellers: pd.Series, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return, for each feature, each row's probability of `truth` by one shallow tree on that feature of other sellers.

    A tree finds what lies in high values, in low ones, in some between, and in whether there is a value.
    """
    from sklearn.tree import DecisionTreeRegressor

    folds = _folds(2, truth, sellers, seed)
    found = {}
    for name in features.columns:
        # trees of scikit-learn read float32: larger values share its end, and only the order matters
        values = features[[name]].clip(-_LARGEST, _LARGEST).to_numpy()
        found[name] = np.empty(len(values))
        for known, unseen in folds:
            # a regression of 0 and 1 gives shares, and needs no rows of both kinds in every fold
            tree = DecisionTreeRegressor(max_depth=_DEPTH, min_samples_leaf=_LEAST_IN_LEAF, random_state=seed)
            found[name][unseen] = tree.fit(values[known], truth[known]).predict(values[unseen])
    return found


def _folds(
    count: int, truth: NDArray[np.bool_], sellers: pd.Series, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    return list(folds.split(np.empty(len(truth)), truth, groups=sellers))
