"""Fitting: LightGBM under the catalogue's monotone signs, rounds chosen and margins made out of fold."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.catalogue import CATALOGUE
from training.settings import STRICT

if TYPE_CHECKING:
    import lightgbm
    import pandas as pd


@dataclass(frozen=True)
class FitConfig:
    """LightGBM's settings that are ours to choose; all else is fixed for reproducibility.

    The same data and config give the same model text on the same machine. Classes are not weighted, since a
    weighted probability means nothing.
    """

    __pydantic_config__ = STRICT

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.03
    num_leaves: Annotated[int, Field(ge=2, le=256)] = 8
    max_depth: Annotated[int, Field(ge=1, le=8)] = 4
    most_data_in_leaf: Annotated[int, Field(ge=5)] = 40
    feature_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    bagging_fraction: Annotated[float, Field(gt=0, le=1)] = 0.8
    lambda_l2: Annotated[float, Field(ge=0)] = 10.0
    max_rounds: Annotated[int, Field(ge=1)] = 800
    patience: Annotated[int, Field(ge=1)] = 50
    folds: Annotated[int, Field(ge=2)] = 5
    seed: Annotated[int, Field(ge=0)] = 7
    threads: Annotated[int, Field(ge=1)] = 2

    def parameters(self, names: tuple[str, ...], rows: int) -> dict[str, Any]:
        """Return LightGBM's parameters for features in this order and a training set of this many rows.

        A leaf holds at least a hundredth of the rows, between 5 and `most_data_in_leaf`: a few hundred firms would
        otherwise grow no tree at all.
        """
        signs = {feature.name: feature.sign for feature in CATALOGUE}
        ours = {key: value for key, value in asdict(self).items() if key not in _NOT_LIGHTGBM}
        return {
            **ours,
            "min_data_in_leaf": max(5, min(self.most_data_in_leaf, rows // 100)),
            "objective": "binary",
            "metric": "binary_logloss",
            "bagging_freq": 1,
            # `advanced` has open bug reports of broken constraints; the trained bundle is audited besides
            "monotone_constraints_method": "intermediate",
            "monotone_constraints": [signs.get(name, 0) for name in names],
            "num_threads": self.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }


_NOT_LIGHTGBM = frozenset({"most_data_in_leaf", "max_rounds", "patience", "folds", "threads"})


@dataclass(frozen=True)
class Fitted:
    """The final model on all training rows, and each row's raw margin by models that did not see its seller."""

    booster: lightgbm.Booster
    rounds: int
    out_of_fold: NDArray[np.float64] = field(repr=False)


def fit(features: pd.DataFrame, bad: pd.Series, sellers: pd.Series, config: FitConfig) -> Fitted:
    """Fit the model.

    Each fold leaves out a fifth of the sellers, stops early on them and predicts them; the final model takes all
    rows and the folds' mean number of rounds.

    Args:
        features: one float64 column per feature; their names say which sign holds.
        bad: True where the loan went bad.
        sellers: seller of each row; a seller is never on both sides of a fold.
        config: the settings.
    """
    import lightgbm
    from sklearn.model_selection import StratifiedGroupKFold

    parameters = config.parameters(tuple(features.columns), len(features))
    matrix, target = features.to_numpy(), bad.to_numpy().astype(float)
    names = list(features.columns)

    def data(rows: NDArray[np.int64] | slice) -> lightgbm.Dataset:
        return lightgbm.Dataset(matrix[rows], target[rows], feature_name=names, free_raw_data=False)

    margins, rounds = np.empty(len(target)), []
    folds = StratifiedGroupKFold(n_splits=config.folds, shuffle=True, random_state=config.seed)
    for inside, outside in folds.split(matrix, target, groups=sellers):
        booster = lightgbm.train(
            parameters,
            data(inside),
            num_boost_round=config.max_rounds,
            valid_sets=[data(outside)],
            callbacks=[lightgbm.early_stopping(config.patience, verbose=False)],
        )
        margins[outside] = booster.predict(matrix[outside], raw_score=True)
        rounds.append(booster.best_iteration)
    chosen = max(1, round(float(np.mean(rounds))))
    return Fitted(lightgbm.train(parameters, data(slice(None)), num_boost_round=chosen), chosen, margins)
