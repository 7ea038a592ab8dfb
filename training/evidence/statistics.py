"""Statistics of the studies: confidence intervals, bootstrap, calibration slope, and small out-of-fold models.

A resample of the bootstrap is the number of times that each row was drawn, so its metrics need no sorting: 500
resamples of 200,000 rows take seconds. If the sellers of the rows are given, sellers are drawn, each with all rows
(cluster bootstrap).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

Z: Final = 1.959964
"""Standard errors on either side of a 95% interval of a normal figure."""

RESAMPLES: Final = 500
"""Enough for the ends of a 95% interval to be stable in the second digit. All studies draw as many with one seed, so
that a figure has the same interval wherever it is reported."""

_PRECISION: Final = 1e-4
"""Precision of a normal prior around slope 1 and intercept 0 (standard deviation 100): negligible with more than a few
rows, but it keeps the fit finite if predictions separate good and bad completely."""

_TOLERANCE: Final = 1e-3
"""Largest last step; the error that it leaves is about its square."""

_MOST_STEPS: Final = 100
_MOST_HALVINGS: Final = 40
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
    "num_threads": 1,  # with a few thousand rows, a second thread costs more than it saves
}
_DEPTH: Final = 3
_LEAST_IN_LEAF: Final = 10
_LARGEST: Final = float(np.finfo(np.float32).max)


def wilson_interval(hits: ArrayLike, rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the 95% interval of shares `hits / rows`; 0 and 1 without rows.

    Example: none of 10 loans defaulted: the share is 0, its interval 0 to 0.278.

    Formula: Wilson, Probable inference, 1927. It stays within 0 and 1 and is valid for rare events.
    """
    n = np.asarray(rows, dtype=np.float64)
    some = np.maximum(n, 1.0)
    share = np.asarray(hits, dtype=np.float64) / some
    centre = (share + Z * Z / (2 * some)) / (1 + Z * Z / some)
    half = Z * np.sqrt(share * (1 - share) / some + Z * Z / (4 * some * some)) / (1 + Z * Z / some)
    low, high = np.clip(centre - half, 0.0, share), np.clip(centre + half, share, 1.0)
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean of independent values and its 95% interval, by the central limit theorem.

    Example: the values 1 and 3 have the mean 2, the standard error 1 and the interval 0.04 to 3.96.
    """
    middle = float(values.mean())
    half = Z * float(values.std(ddof=1)) / float(np.sqrt(len(values))) if len(values) > 1 else float("inf")
    return middle, middle - half, middle + half


def draw_resamples(
    bad: NDArray[np.bool_], seed: int, sellers: NDArray[np.int64] | None = None, count: int = RESAMPLES
) -> Iterator[NDArray[np.float64]]:
    """Draw as many rows (or sellers) as there are, with replacement; a draw without bad or good rows is repeated.

    The same seed draws the same rows whatever their predictions, so two models are compared on the same resamples.

    Args:
        bad: True for the bad rows; both outcomes must occur.
        seed: of the draws.
        sellers: the number of each row's seller, from 0: all rows of a seller are then drawn together.
        count: number of resamples.

    Yields:
        The number of times that each row was drawn.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield _draw_rows(rng, bad) if sellers is None else _draw_sellers(rng, bad, sellers)


def _draw_rows(rng: np.random.Generator, bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    rows, bads, drawn = len(bad), int(bad.sum()), 0
    while not 0 < drawn < rows:
        drawn = int(rng.binomial(rows, bads / rows))
    weight = np.empty(rows)
    weight[bad] = draw_counts(rng, bads, drawn)
    weight[~bad] = draw_counts(rng, rows - bads, rows - drawn)
    return weight


def _draw_sellers(rng: np.random.Generator, bad: NDArray[np.bool_], sellers: NDArray[np.int64]) -> NDArray[np.float64]:
    weight = np.zeros(len(bad))
    while not 0 < weight[bad].sum() < weight.sum():
        weight = draw_counts(rng, int(sellers.max()) + 1)[sellers]
    return weight


def draw_counts(rng: np.random.Generator, count: int, draws: int | None = None) -> NDArray[np.float64]:
    """Draw items with replacement, and return the number of times that each was drawn.

    Args:
        rng: the random numbers.
        count: number of items.
        draws: number of draws; as many as items unless given.
    """
    return np.bincount(rng.integers(0, count, count if draws is None else draws), minlength=count).astype(np.float64)


def total(weights: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the sum of weighted values.

    This does not use `@`, which splits the sum between threads: its last digits would depend on the machine, and on a
    busy machine the threads wait for each other far longer than the sum takes.
    """
    return float(np.einsum("i,i->", weights, values))


def logistic(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of log-odds, without overflow."""
    probability: NDArray[np.float64] = 0.5 + 0.5 * np.tanh(0.5 * log_odds)
    return probability


Line = tuple[float, float]
"""Intercept and slope."""


def recalibration(
    log_odds: NDArray[np.float64],
    bad: NDArray[np.float64],
    weight: NDArray[np.float64],
    start: Line = (0.0, 1.0),
) -> Line:
    """Return the maximum-likelihood intercept and slope of a logistic regression of outcomes on predicted log-odds.

    A slope below 1 means that predictions are too extreme, a slope above 1 that they are not extreme enough. Example:
    predicted log-odds that are twice the true ones have the slope 0.5.

    Newton's method finds them. A step that does not reduce the gradient is halved, which suffices because the
    likelihood is concave (Cox, Two further applications of a model for binary regression, 1958).

    Args:
        log_odds: the predicted log-odds, shape (n,).
        bad: 1 if the loan defaulted, else 0.
        weight: the number of times that each row counts.
        start: the first line; the fit of all rows is a good start for a resample of them.
    """
    line = np.array(start)
    gradient, curvature = _slopes(line, log_odds, bad, weight)
    for _ in range(_MOST_STEPS):
        step = np.linalg.solve(curvature, gradient)
        for _ in range(_MOST_HALVINGS):
            nearer = _slopes(line + step, log_odds, bad, weight)
            if np.linalg.norm(nearer[0]) <= np.linalg.norm(gradient):
                break
            step /= 2
        line, (gradient, curvature) = line + step, nearer
        if np.abs(step).max() < _TOLERANCE:
            break
    return float(line[0]), float(line[1])


def _slopes(
    line: NDArray[np.float64], log_odds: NDArray[np.float64], bad: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the gradient of the log-likelihood with its prior, and its negative second derivatives."""
    from scipy.special import expit

    probability = expit(line[0] + line[1] * log_odds)
    missed = weight * (bad - probability)
    spread = weight * probability * (1.0 - probability)
    leaning = total(spread, log_odds)
    gradient = np.array([missed.sum(), total(missed, log_odds)]) - _PRECISION * (line - (0.0, 1.0))
    curvature = np.array([[spread.sum(), leaning], [leaning, total(spread * log_odds, log_odds)]])
    return gradient, curvature + _PRECISION * np.eye(2)


def predict_out_of_fold(
    features: pd.DataFrame, truth: NDArray[np.bool_], sellers: pd.Series, seed: int
) -> NDArray[np.float64]:
    """Return each row's probability of `truth`, by boosted trees that were trained on rows of other sellers.

    Args:
        features: the inputs, NaN where missing.
        truth: the outcome to predict; both values must occur in as many sellers as there are folds.
        sellers: the seller of each row.
        seed: of folds and models.
    """
    import lightgbm

    matrix, predictions = features.to_numpy(), np.empty(len(features))
    for train, test in _folds(_FOLDS, truth, sellers, seed):
        data = lightgbm.Dataset(matrix[train], truth[train].astype(float))
        booster = lightgbm.train({**_PARAMETERS, "seed": seed}, data, num_boost_round=_ROUNDS)
        predictions[test] = booster.predict(matrix[test])
    return predictions


def predict_by_single_features(
    features: pd.DataFrame, truth: NDArray[np.bool_], sellers: pd.Series, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return each row's probability of `truth` by feature: a shallow tree on that feature alone, of other sellers.

    A tree also finds a signal in medium values and in missing values.
    """
    from sklearn.tree import DecisionTreeRegressor

    folds = _folds(2, truth, sellers, seed)
    predictions = {}
    for name in features.columns:
        # scikit-learn's trees read float32; clipping keeps the order of values, and only the order matters
        values = features[[name]].clip(-_LARGEST, _LARGEST).to_numpy()
        predictions[name] = np.empty(len(values))
        for train, test in folds:
            # a regression of 0 and 1 predicts shares and does not need both outcomes in every fold
            tree = DecisionTreeRegressor(max_depth=_DEPTH, min_samples_leaf=_LEAST_IN_LEAF, random_state=seed)
            predictions[name][test] = tree.fit(values[train], truth[train]).predict(values[test])
    return predictions


def _folds(
    count: int, truth: NDArray[np.bool_], sellers: pd.Series, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    return list(folds.split(np.empty(len(truth)), truth, groups=sellers))
