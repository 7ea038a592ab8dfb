"""Fitting: LightGBM under the catalogue's signs; rounds chosen on later loans, margins made out of fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from training.columns import Columns
from training.sample import Sample
from training.settings import STRICT

if TYPE_CHECKING:
    import lightgbm
    import pandas as pd


@dataclass(frozen=True)
class FitConfig:
    """LightGBM's settings that are ours to choose; all else is fixed for reproducibility.

    The same data and config give the same model text on the same machine. Classes are not weighted, since a
    weighted probability means nothing. `stop_share` of the rows, the latest, say when to stop. With `extra_trees` each
    split is the best of one random threshold a column, so that hundreds of trees share out what a few thresholds would
    hold: a small move of a feature then earns few points, and no more can be bought with it.
    """

    __pydantic_config__ = STRICT

    learning_rate: Annotated[float, Field(ge=0.0001, le=1)] = 0.015
    num_leaves: Annotated[int, Field(ge=2, le=256)] = 8
    max_depth: Annotated[int, Field(ge=1, le=8)] = 4
    most_data_in_leaf: Annotated[int, Field(ge=5, le=1_000_000)] = 40
    feature_fraction: Annotated[float, Field(ge=0.01, le=1)] = 0.5
    bagging_fraction: Annotated[float, Field(ge=0.01, le=1)] = 0.8
    lambda_l2: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 50.0
    extra_trees: bool = True
    max_rounds: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    patience: Annotated[int, Field(ge=1, le=100_000)] = 100
    stop_share: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 7
    threads: Annotated[int, Field(ge=1, le=512)] = 2

    def parameters(self, columns: Columns, rows: int) -> dict[str, Any]:
        """Return LightGBM's parameters for these columns and a training set of this many rows.

        A leaf holds at least a hundredth of the rows, between 5 and `most_data_in_leaf`: a few hundred firms would
        otherwise grow no tree at all. A tree sees as many columns as `feature_fraction` says of the features that have
        some, so that those with two columns do not make it slower. Below 20,000 rows one thread works, whatever
        `threads` says: it takes milliseconds a tree, for which others take longer to wake than to help, and far longer
        where the machine is busy. The model is the same.
        """
        ours = {key: value for key, value in asdict(self).items() if key not in _NOT_LIGHTGBM}
        return {
            **ours,
            "feature_fraction": self.feature_fraction * len(set(columns.shows)) / len(columns.shows),
            "min_data_in_leaf": max(5, min(self.most_data_in_leaf, rows // 100)),
            "objective": "binary",
            "metric": "binary_logloss",
            "bagging_freq": 1,
            # `advanced` has open bug reports of broken constraints; the trained bundle is audited besides
            "monotone_constraints_method": "intermediate",
            "monotone_constraints": list(columns.signs),
            "num_threads": self.threads if rows >= _ROWS_FOR_THREADS else 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }


_ROWS_FOR_THREADS: Final = 20_000

_NOT_LIGHTGBM = frozenset({"most_data_in_leaf", "max_rounds", "patience", "stop_share", "folds", "threads"})


Boost = Callable[[Sample, FitConfig, int], "lightgbm.Booster"]
"""Makes a model of a sample's columns with this many rounds."""


@dataclass(frozen=True)
class Fitted:
    """The final model on all training rows, and each row's raw margin by models that did not see its seller."""

    booster: lightgbm.Booster
    rounds: int
    out_of_fold: NDArray[np.float64] = field(repr=False)


def fit(
    features: pd.DataFrame, bad: pd.Series, sellers: pd.Series, config: FitConfig, as_of: pd.Series | None = None
) -> Fitted:
    """Fit the model: choose the rounds, make margins out of fold with that many, and fit all rows with that many.

    Args:
        features: one float64 column per feature; their names say which sign holds.
        bad: True where the loan went bad.
        sellers: seller of each row; a seller is never on both sides of a fold.
        config: the settings.
        as_of: midnight of each row; without it, or where the latest rows have too few of a kind, folds of sellers
            say when to stop.

    Raises:
        LabelError: fewer sellers with bad or with good loans than folds.
    """
    return fit_sample(Sample.of(features, bad, sellers, as_of), config)


def fit_sample(sample: Sample, config: FitConfig, boosted: Boost | None = None) -> Fitted:
    """Fit the model to a sample; see `fit`.

    Args:
        sample: the rows, in memory or on disk.
        config: the settings.
        boosted: what makes the models of the folds and of all rows once the rounds are chosen; `boost` unless a
            cluster does.
    """
    boosted = boosted or boost
    rounds = choose_rounds(sample, config)
    margins = out_of_fold(sample, config, rounds, boosted)
    return Fitted(sample.columns.merge(boosted(sample, config, rounds)), rounds, margins)


def choose_rounds(sample: Sample, config: FitConfig) -> int:
    """Return the number of rounds after which the loss on rows left out stops falling.

    Left out are the latest rows, for which models learn from earlier rows of other sellers; where those do not serve,
    one fold of sellers after the other, and the mean of their rounds counts.
    """
    parts = sample.later(config.stop_share) or sample.folds(config.folds, config.seed)
    stopped = [boost(sample.rows(inside), config, config.max_rounds, sample.rows(outside)) for inside, outside in parts]
    return max(1, round(float(np.mean([booster.best_iteration for booster in stopped]))))


def out_of_fold(sample: Sample, config: FitConfig, rounds: int, boosted: Boost | None = None) -> NDArray[np.float64]:
    """Return the raw margin of each row by a model of this many rounds that did not see its seller."""
    boosted = boosted or boost
    margins = np.empty(len(sample.bad))
    for inside, outside in sample.folds(config.folds, config.seed):
        margins[outside] = sample.rows(outside).margins(boosted(sample.rows(inside), config, rounds))
    return margins


def boost(sample: Sample, config: FitConfig, rounds: int, stop_on: Sample | None = None) -> lightgbm.Booster:
    """Return a model of the sample's columns after this many rounds, or fewer once the loss on `stop_on` has risen."""
    import lightgbm

    learnt = lightgbm.Dataset(sample.matrix, sample.bad)
    judged = [] if stop_on is None else [lightgbm.Dataset(stop_on.matrix, stop_on.bad, reference=learnt)]
    return lightgbm.train(
        config.parameters(sample.columns, len(sample.bad)),
        learnt,
        num_boost_round=rounds,
        valid_sets=judged,
        callbacks=[lightgbm.early_stopping(config.patience, verbose=False)] if judged else [],
    )
