"""Cross-validation for label tables: the mean AUC over all parts left out, and how far it could be chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.evidence.metrics import Estimate, auc
from training.sample import Part

if TYPE_CHECKING:
    import pandas as pd

_RESAMPLES = 200
_FOLDS = 5

Predictor = Callable[["pd.DataFrame", "pd.Series", "pd.DataFrame"], NDArray[np.float64]]
"""Fits on features and labels, and returns predictions for other features."""


@dataclass(frozen=True)
class HeldOutPredictions:
    """What models predicted for rows that they had not seen, part by part, all models on the same parts.

    Attributes:
        bad: the outcomes of all rows of the table.
        parts: of each part left out, the places of its rows, and by model what it predicted for them.
        seed: of the bootstrap.

    Intervals are 95% bootstrap intervals over the rows with the predictions held: they say how much another such sample
    of firms would differ, which is far more than how much another split of these would.
    """

    bad: NDArray[np.bool_]
    parts: tuple[tuple[NDArray[np.int64], Mapping[str, NDArray[np.float64]]], ...] = field(repr=False)
    seed: int = 7

    def auc(self, model: str) -> Estimate:
        """Return the mean AUC over the parts."""
        return Estimate.of(self._mean(model, np.ones(len(self.bad), dtype=np.int64)), self._drawn(model))

    def difference(self, model: str, other: str) -> Estimate:
        """Return by how much the mean AUC of one model is above another's; what is hard for both cancels out."""
        ours, theirs = self.auc(model).value, self.auc(other).value
        return Estimate.of(ours - theirs, self._drawn(model) - self._drawn(other))

    def _drawn(self, model: str) -> NDArray[np.float64]:
        rng, rows = np.random.default_rng(self.seed), len(self.bad)
        samples = (np.bincount(rng.integers(0, rows, rows), minlength=rows) for _ in range(_RESAMPLES))
        return np.array([self._mean(model, times) for times in samples])

    def _mean(self, model: str, times: NDArray[np.int64]) -> float:
        """Return the mean AUC where each row counts so many times, over the parts that have both kinds."""
        found = []
        for rows, predicted in self.parts:
            repeated = np.repeat(np.arange(len(rows)), times[rows])
            drawn = self.bad[rows][repeated]
            if 0 < drawn.sum() < len(drawn):
                found.append(auc(drawn, predicted[model][repeated]))
        return float(np.mean(found))


def predict_held_out(
    predictors: Mapping[str, Predictor], features: pd.DataFrame, bad: pd.Series, parts: Iterable[Part], seed: int = 7
) -> HeldOutPredictions:
    """Predict the rows of each part by models of the rows inside, and by nothing else."""
    judged = [
        (
            outside,
            {
                name: predict(features.iloc[inside], bad.iloc[inside], features.iloc[outside])
                for name, predict in predictors.items()
            },
        )
        for inside, outside in parts
    ]
    return HeldOutPredictions(bad.to_numpy(), tuple(judged), seed)


def cross_validated_auc(
    predict: Predictor, features: pd.DataFrame, bad: pd.Series, repetitions: int = 10, seed: int = 7
) -> Estimate:
    """Return the mean AUC over five stratified folds of all repetitions.

    Example: 123 firms, 27 of them bad, in 10 repetitions of 5 folds make 50 AUCs of some 25 firms each.
    """
    from sklearn.model_selection import RepeatedStratifiedKFold

    splitter = RepeatedStratifiedKFold(n_splits=_FOLDS, n_repeats=repetitions, random_state=seed)
    return predict_held_out({"model": predict}, features, bad, splitter.split(features, bad), seed).auc("model")
