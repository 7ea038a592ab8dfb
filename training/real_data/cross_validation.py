"""Cross-validation for label tables: the mean AUC over all parts left out, with intervals; and a logistic baseline."""

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
    from sklearn.pipeline import Pipeline

_RESAMPLES = 200
_FOLDS = 5

Predictor = Callable[["pd.DataFrame", "pd.Series", "pd.DataFrame"], NDArray[np.float64]]
"""Fits a model to features and labels, and returns its predictions for other features."""


@dataclass(frozen=True)
class HeldOutPredictions:
    """Predictions for rows that the models were not trained on; all models have the same parts.

    Attributes:
        bad: the outcomes of all rows of the table.
        parts: for each part left out, its row numbers and the predictions of each model.
        seed: seed of the bootstrap.

    Intervals are 95% bootstrap intervals over the rows with fixed predictions: they show how much another sample of
    firms would differ, which is much more than another split of the same firms.
    """

    bad: NDArray[np.bool_]
    parts: tuple[tuple[NDArray[np.int64], Mapping[str, NDArray[np.float64]]], ...] = field(repr=False)
    seed: int = 7

    def auc(self, model: str) -> Estimate:
        """Return the mean AUC over the parts."""
        return Estimate.of(self._mean(model, np.ones(len(self.bad), dtype=np.int64)), self._resampled(model))

    def difference(self, model: str, other: str) -> Estimate:
        """Return the mean AUC of one model minus that of another, on the same resamples."""
        value = self.auc(model).value - self.auc(other).value
        return Estimate.of(value, self._resampled(model) - self._resampled(other))

    def _resampled(self, model: str) -> NDArray[np.float64]:
        rng, rows = np.random.default_rng(self.seed), len(self.bad)
        samples = (np.bincount(rng.integers(0, rows, rows), minlength=rows) for _ in range(_RESAMPLES))
        return np.array([self._mean(model, times) for times in samples])

    def _mean(self, model: str, times: NDArray[np.int64]) -> float:
        """Return the mean AUC with each row counted `times` times, over the parts that have both outcomes."""
        aucs = []
        for rows, predicted in self.parts:
            repeated = np.repeat(np.arange(len(rows)), times[rows])
            bad = self.bad[rows][repeated]
            if 0 < bad.sum() < len(bad):
                aucs.append(auc(bad, predicted[model][repeated]))
        return float(np.mean(aucs))


def predict_held_out(
    predictors: Mapping[str, Predictor], features: pd.DataFrame, bad: pd.Series, parts: Iterable[Part], seed: int = 7
) -> HeldOutPredictions:
    """Predict the rows that each part leaves out by models of its training rows only."""
    predictions = [
        (
            outside,
            {
                name: predict(features.iloc[inside], bad.iloc[inside], features.iloc[outside])
                for name, predict in predictors.items()
            },
        )
        for inside, outside in parts
    ]
    return HeldOutPredictions(bad.to_numpy(), tuple(predictions), seed)


def cross_validated_auc(
    predict: Predictor, features: pd.DataFrame, bad: pd.Series, repetitions: int = 10, seed: int = 7
) -> Estimate:
    """Return the mean AUC over five stratified folds, repeated.

    Example: for 123 firms, 27 of them bad, 10 repetitions of 5 folds give 50 AUCs of about 25 firms each.
    """
    from sklearn.model_selection import RepeatedStratifiedKFold

    splitter = RepeatedStratifiedKFold(n_splits=_FOLDS, n_repeats=repetitions, random_state=seed)
    return predict_held_out({"model": predict}, features, bad, splitter.split(features, bad), seed).auc("model")


def logistic(seed: int = 7) -> Pipeline:
    """Return an unfitted logistic regression: missing values to the median, values to normal scores, L2 chosen by CV.

    Normal scores replace the values because the heavy tails of money and counts would dominate a linear model.

    Example: `logistic().fit(features, bad).predict_proba(features)[:, 1]`.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer, StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        QuantileTransformer(output_distribution="normal", n_quantiles=50, subsample=None, random_state=seed),
        StandardScaler(),
        LogisticRegressionCV(
            Cs=np.logspace(-4, 1, 11),
            l1_ratios=(0.0,),
            scoring="neg_log_loss",
            max_iter=2000,
            random_state=seed,
            use_legacy_attributes=False,
        ),
    )
