"""Model fitting and calibration.

training rows -> stable columns -> recipe (kind, rounds, shrinkage) -> model of all rows, out-of-fold margins
    -> calibration: an affine map of the out-of-fold margins to log-odds
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from scoring.model import Calibration
from training.candidates import Choice, Kind, LeftOut, Recipe, choose, predict_left_out
from training.columns import Columns
from training.errors import TrainingError
from training.sample import Sample
from training.settings import STRICT
from training.stability import Stability, measure_stability

if TYPE_CHECKING:
    import lightgbm
    import pandas as pd

    from training.sample import Part


@dataclass(frozen=True)
class FitConfig:
    """The `[fit]` section: how a model is fitted.

    The same data and config give the same model text on the same machine. Classes are not weighted, because the
    probabilities of a weighted model are not probabilities of default. Settings with the name of a LightGBM parameter
    have its meaning.

    Attributes:
        model: the kind of model, or `auto`: chosen on later loans of other sellers (see `training.candidates`).
        stability: number of standard errors by which a feature's mean Gini over the periods must exceed 0 for the
            feature to be selected; 0 selects every feature.
        origins: number of rolling origins that divide the training rows into earlier and later ones, to choose the
            model, its rounds and its settings.
        extra_trees: each split is the best of one random threshold per column, so that hundreds of trees spread the
            effect of a few thresholds. A small move of a feature then earns few points, which limits the effect of
            fake orders.
        most_data_in_leaf: upper limit of LightGBM's `min_data_in_leaf`, which is a hundredth of the rows.
        max_rounds: largest number of trees.
        patience: early stopping after this number of rounds without improvement.
        folds: number of folds by seller.
        threads: number of threads with many rows.
    """

    __pydantic_config__ = STRICT

    model: Literal["auto", "average", "lightgbm", "logistic", "scorecard"] = "auto"
    stability: Annotated[float, Field(ge=0, le=10)] = 1.5
    origins: Annotated[int, Field(ge=1, le=20)] = 3
    learning_rate: Annotated[float, Field(ge=0.0001, le=1)] = 0.05
    num_leaves: Annotated[int, Field(ge=2, le=256)] = 8
    max_depth: Annotated[int, Field(ge=1, le=8)] = 4
    most_data_in_leaf: Annotated[int, Field(ge=5, le=1_000_000)] = 40
    feature_fraction: Annotated[float, Field(ge=0.01, le=1)] = 0.5
    bagging_fraction: Annotated[float, Field(ge=0.01, le=1)] = 0.8
    lambda_l2: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 50.0
    extra_trees: bool = True
    max_rounds: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    patience: Annotated[int, Field(ge=1, le=100_000)] = 100
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 7
    threads: Annotated[int, Field(ge=1, le=512)] = 2

    def parameters(self, columns: Columns, rows: int, bad: int) -> dict[str, Any]:
        """Return LightGBM's parameters for these columns.

        - A leaf has at least a hundredth of the rows, between 5 and `most_data_in_leaf`: with a fixed minimum, no split
          would be possible on a few hundred rows.
        - With fewer than 200 bad loans, trees have depth 2: deeper ones would split leaves of a few bad loans.
        - `feature_fraction` counts features, not columns, so that features with two columns do not slow training.
        - Below 20,000 rows one thread is used: a tree takes less time than starting threads. The model is the same.

        Args:
            columns: columns of the training data.
            rows: number of training rows.
            bad: number of bad training rows.
        """
        own = {key: value for key, value in asdict(self).items() if key not in _NOT_LIGHTGBM}
        return {
            **own,
            "feature_fraction": self.feature_fraction * len(set(columns.feature_of)) / len(columns.feature_of),
            "max_depth": self.max_depth if bad >= _BAD_FOR_DEPTH else min(self.max_depth, 2),
            "min_data_in_leaf": max(5, min(self.most_data_in_leaf, rows // 100)),
            "objective": "binary",
            "metric": "binary_logloss",
            "bagging_freq": 1,
            # `advanced` has open bug reports of broken constraints; the trained bundle is audited as well
            "monotone_constraints_method": "intermediate",
            "monotone_constraints": list(columns.signs),
            "num_threads": self.threads if rows >= _ROWS_FOR_THREADS else 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }


_ROWS_FOR_THREADS: Final = 20_000
_BAD_FOR_DEPTH: Final = 200
"""Number of bad loans from which trees may have the configured depth."""

_NOT_LIGHTGBM: Final = frozenset(
    {"model", "stability", "origins", "most_data_in_leaf", "max_rounds", "patience", "folds", "threads"}
)
Boost = Callable[[Sample, FitConfig, int], "lightgbm.Booster"]
"""Fits boosted trees to a sample with this number of rounds."""


@dataclass(frozen=True)
class FittedModel:
    """A fitted model.

    Attributes:
        booster: the model of all training rows; its inputs are features, not columns (see `training.columns`).
        recipe: kind of model, number of rounds and strength of the penalty.
        features: the features that it may read.
        choice: the comparison of the kinds; None if they were not compared.
        stability: how each column ranks, and which are selected.
        out_of_fold: raw margin of each row by a model that was not trained on its seller, shape (rows,).
    """

    booster: lightgbm.Booster
    recipe: Recipe
    features: frozenset[str]
    choice: Choice | None
    stability: Stability = field(repr=False)
    out_of_fold: NDArray[np.float64] = field(repr=False)


def fit(
    features: pd.DataFrame, bad: pd.Series, sellers: pd.Series, config: FitConfig, as_of: pd.Series | None = None
) -> FittedModel:
    """Fit a model: select features, choose the recipe, compute out-of-fold margins, and fit all rows.

    Args:
        features: one float64 column per feature; the catalogue declares their signs.
        bad: True for bad loans.
        sellers: seller of each row; a seller is never on both sides of a fold.
        config: the settings.
        as_of: midnight of each row. Without it, or if the periods have too few loans of an outcome, the recipe is
            chosen on folds of sellers.

    Raises:
        LabelError: fewer sellers with bad or with good loans than folds.
    """
    return fit_sample(Sample.of(features, bad, sellers, as_of), config)


def fit_sample(sample: Sample, config: FitConfig, grow: Boost | None = None, *, compare: bool = True) -> FittedModel:
    """Fit a model to a sample; see `fit`.

    Args:
        sample: the rows, in memory or on disk.
        config: the settings.
        grow: fits the trees of the folds and of all rows once the recipe is chosen; by default `boost`.
        compare: whether to compare the kinds of models even if the settings name the kind. False is for studies with
            many fits and requires the kind `lightgbm`.
    """
    stability = measure_stability(sample, config.stability)
    recipe, choice = choose_recipe(sample.select_columns(stability.selected), config, compare=compare)
    margins = out_of_fold(sample, config, recipe, grow)
    features, booster = fit_rows(sample, config, recipe, grow)
    return FittedModel(booster, recipe, features, choice, stability, margins)


def fit_rows(
    sample: Sample, config: FitConfig, recipe: Recipe, grow: Boost | None = None
) -> tuple[frozenset[str], lightgbm.Booster]:
    """Select features on these rows and fit a recipe to them; return the features and the model."""
    stable = sample.select_columns(measure_stability(sample, config.stability).selected)
    model = recipe.fit(stable, _grow(config, grow))
    return stable.columns.read_features, stable.columns.merge(model)


def choose_recipe(sample: Sample, config: FitConfig, *, compare: bool = True) -> tuple[Recipe, Choice | None]:
    """Choose the kind of model, the number of rounds (early stopping) and the L2 penalty of the regression.

    They are chosen on later rows of other sellers (rolling origins), or on folds of sellers if there are no origins.
    """
    origins = sample.origins(config.origins, config.seed)
    parts = origins or sample.folds(config.folds, config.seed)
    boosted = [boost(sample.take(inside), config, config.max_rounds, sample.take(outside)) for inside, outside in parts]
    # the more rows an origin trains on, the closer its number of rounds is to that of all rows
    weights = [len(inside) for inside, _ in parts]
    rounds = max(1, round(float(np.average([booster.best_iteration for booster in boosted], weights=weights))))
    if not compare and config.model == "lightgbm":
        return Recipe(Kind.LIGHTGBM, rounds, 1.0), None
    allowed = tuple(Kind) if config.model == "auto" else (Kind(config.model),)
    choice = choose(sample, parts, boosted, rounds, allowed, out_of_time=bool(origins))
    return choice.recipe, choice


def repeat_origins(sample: Sample, config: FitConfig, fitted: FittedModel) -> LeftOut | None:
    """Repeat the rolling origins with another draw of sellers; return the predictions of the recipe and the scorecard.

    The result is None if the recipe was not chosen on later rows.
    """
    if fitted.choice is None or not fitted.choice.out_of_time:
        return None
    stable = sample.select_columns(fitted.stability.selected)
    recipes = (fitted.recipe, fitted.choice.benchmark)
    return predict_left_out(stable, stable.origins(config.origins, config.seed + 1), recipes, _grow(config))


def out_of_fold(sample: Sample, config: FitConfig, recipe: Recipe, grow: Boost | None = None) -> NDArray[np.float64]:
    """Return the raw margin of each row by a model not trained on its seller; each fold selects its features."""
    margins = np.empty(len(sample.bad))
    for inside, outside in sample.folds(config.folds, config.seed):
        rows = sample.take(inside)
        selected = measure_stability(rows, config.stability).selected
        model = recipe.fit(rows.select_columns(selected), _grow(config, grow))
        margins[outside] = sample.select_columns(selected).take(outside).margins(model)
    return margins


def _grow(config: FitConfig, grow: Boost | None = None) -> Callable[[Sample, int], lightgbm.Booster]:
    return lambda sample, rounds: (grow or boost)(sample, config, rounds)


def boost(sample: Sample, config: FitConfig, rounds: int, stop_on: Sample | None = None) -> lightgbm.Booster:
    """Return boosted trees with this number of rounds, or fewer if the loss on `stop_on` starts to rise."""
    import lightgbm

    trained = lightgbm.Dataset(sample.matrix, sample.bad)
    stopping = [] if stop_on is None else [lightgbm.Dataset(stop_on.matrix, stop_on.bad, reference=trained)]
    return lightgbm.train(
        config.parameters(sample.columns, len(sample.bad), int(sample.bad.sum())),
        trained,
        num_boost_round=rounds,
        valid_sets=stopping,
        callbacks=[lightgbm.early_stopping(config.patience, verbose=False)] if stopping else [],
    )


def fit_calibration(out_of_fold: NDArray[np.float64], bad: NDArray[np.bool_]) -> Calibration:
    """Fit `log-odds = intercept + slope * margin` by maximum likelihood (Platt scaling without its prior).

    Example: margins that are already right give a slope near 1 and an intercept near 0.

    Raises:
        TrainingError: the slope is not positive, so the model ranks other sellers no better than chance.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf).fit(out_of_fold.reshape(-1, 1), bad)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if not slope > 0:
        raise TrainingError(
            "The model ranks rows that it was not trained on no better than a random ranking: the calibration slope is "
            f"{slope:.3f}, and must be above 0. The features hold no information about the outcome, or there are too "
            "few bad rows to find it. Add rows or other features."
        )
    return Calibration(slope, intercept)


def calibrate_out_of_fold(
    out_of_fold: NDArray[np.float64], bad: NDArray[np.bool_], folds: Iterable[Part]
) -> NDArray[np.float64]:
    """Return probabilities of default, each with a calibration fitted to the margins of the other folds.

    A calibration fitted to all margins predicts exactly the observed number of bad rows, so it would hide errors of
    the level.

    Args:
        out_of_fold: margins of models that were not trained on the row's seller, shape (rows,).
        bad: True for the bad rows.
        folds: rows to train on and rows left out of each fold.
    """
    probability = np.empty(len(bad))
    for inside, outside in folds:
        calibration = fit_calibration(out_of_fold[inside], bad[inside])
        probability[outside] = probabilities(calibration, out_of_fold[outside])
    return probability


def probabilities(calibration: Calibration, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of default for raw margins."""
    return 1.0 / (1.0 + np.exp(-(calibration.intercept + calibration.slope * margins)))
