"""Fitting: features selected by stability, the kind of model chosen on later loans, margins computed out of fold.

training rows -> stable columns -> recipe (kind, rounds, shrinkage) -> model of all rows, margins out of fold

Calibration: an affine map of log-odds, fitted to margins that models gave to sellers they had not seen.
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
from training.stability import Stability, stability

if TYPE_CHECKING:
    import lightgbm
    import pandas as pd

    from training.sample import Part


@dataclass(frozen=True)
class FitConfig:
    """How a model is fitted; all else is fixed for reproducibility.

    The same data and config give the same model text on the same machine. Classes are not weighted, since a
    weighted probability means nothing.

    Attributes:
        model: the kind of model, or `auto`: chosen on later loans of other sellers (see `candidates`).
        stability: standard errors by which a feature's mean Gini over the periods must exceed 0, else no model reads
            it; 0 keeps every feature.
        origins: how often the training rows are parted into earlier and later ones, to choose the model, its rounds
            and its settings.
        extra_trees: each split is the best of one random threshold per column, so that hundreds of trees spread the
            effect of a few thresholds: a small move of a feature earns few points, which limits what fake orders gain.
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

        A leaf holds at least a hundredth of the rows, between 5 and `most_data_in_leaf`: a few hundred firms would
        otherwise grow no tree at all. With fewer than 200 bad loans trees have depth 2: deeper ones would split leaves
        of a few bad loans. `feature_fraction` counts features, not columns, so that features with two columns do not
        make training slower. Below 20,000 rows one thread is used, whatever `threads` is: a tree takes milliseconds,
        less than starting threads. The model is the same.

        Args:
            columns: of the training data.
            rows: number of training rows.
            bad: number of bad training rows.
        """
        ours = {key: value for key, value in asdict(self).items() if key not in _NOT_LIGHTGBM}
        return {
            **ours,
            "feature_fraction": self.feature_fraction * len(set(columns.shows)) / len(columns.shows),
            "max_depth": self.max_depth if bad >= _BAD_FOR_DEPTH else min(self.max_depth, 2),
            "min_data_in_leaf": max(5, min(self.most_data_in_leaf, rows // 100)),
            "objective": "binary",
            "metric": "binary_logloss",
            "bagging_freq": 1,
            # `advanced` has open bug reports of broken constraints; so the trained bundle is audited as well
            "monotone_constraints_method": "intermediate",
            "monotone_constraints": list(columns.signs),
            "num_threads": self.threads if rows >= _ROWS_FOR_THREADS else 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }


_ROWS_FOR_THREADS: Final = 20_000


_BAD_FOR_DEPTH: Final = 200
"""Bad loans from which trees may be as deep as the settings say."""


_NOT_LIGHTGBM = frozenset(
    {"model", "stability", "origins", "most_data_in_leaf", "max_rounds", "patience", "folds", "threads"}
)


Boost = Callable[[Sample, FitConfig, int], "lightgbm.Booster"]
"""Grows boosted trees of a sample's columns with this many rounds."""


@dataclass(frozen=True)
class FittedModel:
    """A fitted model.

    Attributes:
        booster: of all training rows, reading features rather than columns.
        recipe: how it was fitted.
        shown: the features that it may read.
        choice: how the kinds compare; None where they were not compared.
        stability: how each column ranks, and which are kept.
        out_of_fold: each row's raw margin by a model that did not see its seller, shape (rows,).
    """

    booster: lightgbm.Booster
    recipe: Recipe
    shown: frozenset[str]
    choice: Choice | None
    stability: Stability = field(repr=False)
    out_of_fold: NDArray[np.float64] = field(repr=False)


def fit(
    features: pd.DataFrame, bad: pd.Series, sellers: pd.Series, config: FitConfig, as_of: pd.Series | None = None
) -> FittedModel:
    """Fit the model: select features, choose the recipe, compute margins out of fold, and fit all rows.

    Args:
        features: one float64 column per feature; the catalogue declares the sign of each name.
        bad: True where the loan went bad.
        sellers: seller of each row; a seller is never on both sides of a fold.
        config: the settings.
        as_of: midnight of each row; without it, or where the periods have too few of a kind, folds of sellers decide.

    Raises:
        LabelError: fewer sellers with bad or with good loans than folds.
    """
    return fit_sample(Sample.of(features, bad, sellers, as_of), config)


def fit_sample(sample: Sample, config: FitConfig, boosted: Boost | None = None, *, compare: bool = True) -> FittedModel:
    """Fit the model to a sample; see `fit`.

    Args:
        sample: the rows, in memory or on disk.
        config: the settings.
        boosted: what grows the trees of the folds and of all rows once the recipe is chosen; `boost` unless a
            cluster does.
        compare: whether to compare the kinds of models, also where the settings name the kind. False is for studies of
            many fits, and needs the kind `lightgbm`.
    """
    boosted = boosted or boost
    stable = stability(sample, config.stability)
    recipe, choice = choose_recipe(sample.only(stable.kept), config, compare=compare)
    margins = out_of_fold(sample, config, recipe, boosted)
    shown, booster = fit_rows(sample, config, recipe, boosted)
    return FittedModel(booster, recipe, shown, choice, stable, margins)


def fit_rows(
    sample: Sample, config: FitConfig, recipe: Recipe, boosted: Boost | None = None
) -> tuple[frozenset[str], lightgbm.Booster]:
    """Return the features selected on these rows, and a model of them by a recipe chosen before."""
    stable = sample.only(stability(sample, config.stability).kept)
    model = recipe.fit(stable, _grow(config, boosted or boost))
    return stable.columns.shown, stable.columns.merge(model)


def choose_recipe(sample: Sample, config: FitConfig, *, compare: bool = True) -> tuple[Recipe, Choice | None]:
    """Choose the kind of model, the rounds after which the loss on rows left out stops falling, and the shrinkage.

    Left out are later rows of other sellers (rolling origins); where those do not serve, folds of sellers.
    """
    later = sample.origins(config.origins, config.seed)
    parts = later or sample.folds(config.folds, config.seed)
    grown = [boost(sample.rows(inside), config, config.max_rounds, sample.rows(outside)) for inside, outside in parts]
    # the more rows an origin learns from, the nearer its rounds are to those that all rows need
    weights = [len(inside) for inside, _ in parts]
    rounds = max(1, round(float(np.average([booster.best_iteration for booster in grown], weights=weights))))
    if not compare and config.model == "lightgbm":
        return Recipe(Kind.LIGHTGBM, rounds, 1.0), None
    among = tuple(Kind) if config.model == "auto" else (Kind(config.model),)
    choice = choose(sample, parts, grown, rounds, among, out_of_time=bool(later))
    return choice.recipe, choice


def repeat_origins(sample: Sample, config: FitConfig, fitted: FittedModel) -> LeftOut | None:
    """Return the rows that origins with another draw of sellers leave out, predicted by the recipe and the scorecard.

    None if the recipe was not chosen on later rows.
    """
    if fitted.choice is None or not fitted.choice.out_of_time:
        return None
    stable = sample.only(fitted.stability.kept)
    recipes = (fitted.recipe, fitted.choice.benchmark)
    return predict_left_out(stable, stable.origins(config.origins, config.seed + 1), recipes, _grow(config, boost))


def out_of_fold(sample: Sample, config: FitConfig, recipe: Recipe, boosted: Boost | None = None) -> NDArray[np.float64]:
    """Return the raw margin of each row by a model that did not see its seller; features are selected in each fold."""
    boosted = boosted or boost
    margins = np.empty(len(sample.bad))
    for inside, outside in sample.folds(config.folds, config.seed):
        rows = sample.rows(inside)
        kept = stability(rows, config.stability).kept
        model = recipe.fit(rows.only(kept), _grow(config, boosted))
        margins[outside] = sample.only(kept).rows(outside).margins(model)
    return margins


def _grow(config: FitConfig, boosted: Boost) -> Callable[[Sample, int], lightgbm.Booster]:
    return lambda sample, rounds: boosted(sample, config, rounds)


def boost(sample: Sample, config: FitConfig, rounds: int, stop_on: Sample | None = None) -> lightgbm.Booster:
    """Return boosted trees of this many rounds, or of fewer, where the loss on `stop_on` begins to rise."""
    import lightgbm

    trained = lightgbm.Dataset(sample.matrix, sample.bad)
    judged = [] if stop_on is None else [lightgbm.Dataset(stop_on.matrix, stop_on.bad, reference=trained)]
    return lightgbm.train(
        config.parameters(sample.columns, len(sample.bad), int(sample.bad.sum())),
        trained,
        num_boost_round=rounds,
        valid_sets=judged,
        callbacks=[lightgbm.early_stopping(config.patience, verbose=False)] if judged else [],
    )


def fit_calibration(out_of_fold: NDArray[np.float64], bad: NDArray[np.bool_]) -> Calibration:
    """Fit `log-odds = intercept + slope * margin` by maximum likelihood (Platt scaling without its prior).

    Example: margins that are already right give a slope near 1 and an intercept near 0.

    Raises:
        TrainingError: the slope is not positive, so the model ranks unseen sellers no better than chance.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf).fit(out_of_fold.reshape(-1, 1), bad)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if not slope > 0:
        raise TrainingError(
            f"The model ranks sellers it has not seen no better than chance (calibration slope {slope:.3f}); "
            "more data or better features are needed."
        )
    return Calibration(slope, intercept)


def calibrate_out_of_fold(
    out_of_fold: NDArray[np.float64], bad: NDArray[np.bool_], folds: Iterable[Part]
) -> NDArray[np.float64]:
    """Return probabilities whose calibration was fitted to the margins of the other folds.

    A calibration that is fitted to all margins predicts exactly as many bad rows as there are, so that it says nothing
    about the level.

    Args:
        out_of_fold: margins of models that were not trained on the row's seller, shape (rows,).
        bad: True for the bad rows.
        folds: training rows and left-out rows of each fold.
    """
    found = np.empty(len(bad))
    for inside, outside in folds:
        found[outside] = probabilities(fit_calibration(out_of_fold[inside], bad[inside]), out_of_fold[outside])
    return found


def probabilities(calibration: Calibration, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of default for raw margins."""
    return 1.0 / (1.0 + np.exp(-(calibration.intercept + calibration.slope * margins)))
