"""The benchmark that the model must beat: a classic scorecard, logistic on binned features, of the same rows.

Each feature is cut into few bins whose default rates move as its sign says (optbinning), a bin is worth its weight of
evidence, and a logistic regression with some shrinkage weighs the features (Siddiqi, Credit Risk Scorecards, ch. 6).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.bounded_logistic import Binned
from training.dataset import CATALOGUE_SIGNS
from training.errors import TrainingError

if TYPE_CHECKING:
    import pandas as pd
    from optbinning import OptimalBinning
    from sklearn.linear_model import LogisticRegressionCV

    from training.sample import Sample

_TREND: Final = {1: "ascending", -1: "descending", 0: "auto_asc_desc"}
"""How the default rate moves from bin to bin, by a feature's sign; a free one may take either direction."""

_BINS: Final = 5
_PIECES: Final = 10
"""Of a feature before they are joined into bins, equally many rows each."""

_SHRINKAGE: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""scikit-learn's C: what the likelihood counts against one of the squared weights; the best of three folds is taken."""


@dataclass(frozen=True)
class Scorecard:
    """A fitted scorecard of the features that vary.

    Attributes:
        binnings: by feature, its bins and their weights of evidence.
        weights: the logistic regression on weights of evidence.
        information: by feature, its information value: the mean weight of evidence of the good less that of the bad.
            Above 0.3 is strong.
        usual: by feature, the mean weight of evidence of the rows that it learnt from.
    """

    binnings: Mapping[str, OptimalBinning] = field(repr=False)
    weights: LogisticRegressionCV = field(repr=False)
    information: NDArray[np.float64] = field(repr=False)
    usual: NDArray[np.float64] = field(repr=False)

    def probability(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the probability of default of each row, shape (rows,)."""
        probability: NDArray[np.float64] = self.weights.predict_proba(_evidence(self.binnings, features))[:, 1]
        return probability

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return what each feature adds to the log-odds of default, against the rows learnt from: SHAP of a sum.

        Example: a feature of weight -0.8 and an evidence of -0.5, where the usual one is 0.1, adds 0.48.
        """
        import pandas as pd

        added = (_evidence(self.binnings, features) - self.usual) * self.weights.coef_[0]
        return pd.DataFrame(added, columns=list(self.binnings), index=features.index)

    def table(self) -> pd.DataFrame:
        """Return what the scorecard rests on: feature, bins, information value and weight, the strongest first.

        A weight below 0 turns the bins of a feature around, as happens among features that say the same.
        """
        import pandas as pd

        table = pd.DataFrame(
            {
                "feature": list(self.binnings),
                "bins": [len(binning.splits) + 1 for binning in self.binnings.values()],
                "information_value": self.information.round(4),
                # evidence counts good over bad, so that the regression of bad has its weights below zero
                "weight": (-self.weights.coef_[0]).round(4),
            }
        )
        return table.sort_values("information_value", ascending=False, ignore_index=True)


def fit_scorecard(
    features: pd.DataFrame, bad: pd.Series, seed: int = 7, signs: Mapping[str, int] = CATALOGUE_SIGNS
) -> Scorecard:
    """Fit a scorecard; a missing value is a bin of its own, and a feature without two values is left out.

    Args:
        features: one float64 column per feature.
        bad: True where the loan went bad; both kinds must occur.
        seed: of the folds that choose the shrinkage.
        signs: of the features, the catalogue's if none are given.

    Raises:
        TrainingError: no feature has two values.

    Example: `fit_scorecard(features, bad).probability(features)`.
    """
    truth = bad.to_numpy()
    varied = [str(name) for name in features if features[name].nunique() > 1]
    if not varied:
        raise TrainingError(
            "Every feature has one value throughout, so there is nothing to learn from; look at the data."
        )
    with _quiet():
        binnings = {
            name: _binning(name, features[name], signs).fit(features[name].to_numpy(), truth.astype(int))
            for name in varied
        }
    evidence = _evidence(binnings, features)
    information = evidence[~truth].mean(axis=0) - evidence[truth].mean(axis=0)
    return Scorecard(binnings, _regression(seed).fit(evidence, truth), information, evidence.mean(axis=0))


def evidence_bins(sample: Sample) -> Binned:
    """Cut each column of a sample into a scorecard's bins, the risk of a bin being its weight of evidence, turned.

    A default rate moves from bin to bin in the column's direction only; a missing value lies at the riskiest end.

    Example: `fit_bounded(evidence_bins(sample), sample, 10.0)` is a scorecard that may serve.
    """
    import pandas as pd

    values = np.asarray(sample.matrix[0 : len(sample.bad)])
    names = [f"Column_{number}" for number in range(values.shape[1])]
    signs = dict(zip(names, sample.columns.signs, strict=True))
    edges, risk, rows = [], [], []
    for name, column in zip(names, values.T, strict=True):
        splits = np.empty(0)
        if column.min() < column.max():
            with _quiet():
                fitted = _binning(name, pd.Series(column), signs).fit(column, sample.bad.astype(int))
            # a bin begins at its split, whereas a value up to and including an edge lies on its left
            splits = np.unique(np.nextafter(np.asarray(fitted.splits, dtype=np.float64), -np.inf))
        step = np.searchsorted(splits, column)
        every = np.bincount(step, minlength=len(splits) + 1)
        held = np.flatnonzero(every)
        bad = np.bincount(step, weights=sample.bad, minlength=len(splits) + 1)[held]
        log_odds = np.log((bad + 0.5) / (every[held] - bad + 0.5))
        turned = log_odds if signs[name] > 0 else log_odds[::-1]
        risen = np.maximum.accumulate(turned)
        edges.append(splits[held[:-1]])
        risk.append(risen if signs[name] > 0 else risen[::-1])
        rows.append(every[held])
    return Binned(tuple(edges), tuple(risk), tuple(rows))


def _binning(name: str, values: pd.Series, signs: Mapping[str, int]) -> OptimalBinning:
    """Return how a feature is to be cut: where tenths of the rows end, or between any two values if there are few.

    Tenths would tear no rare value from the rest: a flag that one row in twenty has would be a single bin.
    """
    from optbinning import OptimalBinning

    trend = _TREND[signs.get(name, 0)]
    if values.nunique() > _PIECES:
        return OptimalBinning(
            name, prebinning_method="quantile", max_n_prebins=_PIECES, max_n_bins=_BINS, monotonic_trend=trend
        )
    known = np.unique(values.dropna())
    between = np.unique((known[1:] + known[:-1]) / 2)  # values a rounding apart share the middle between them
    return OptimalBinning(name, user_splits=between.tolist(), max_n_bins=_BINS, monotonic_trend=trend)


def _evidence(binnings: Mapping[str, OptimalBinning], features: pd.DataFrame) -> NDArray[np.float64]:
    """Return the weight of evidence of each value, shape (rows, features that vary)."""
    with _quiet():
        columns = [
            binning.transform(features[name].to_numpy(), metric="woe", metric_missing="empirical")
            for name, binning in binnings.items()
        ]
    return np.column_stack(columns)


def _regression(seed: int) -> LogisticRegressionCV:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    return LogisticRegressionCV(
        Cs=np.array(_SHRINKAGE),
        l1_ratios=(0.0,),
        cv=StratifiedKFold(3, shuffle=True, random_state=seed),
        scoring="neg_log_loss",
        solver="newton-cholesky",
        use_legacy_attributes=False,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what optbinning 1.0 is told by pandas 3.1 and scikit-learn 1.9, and no one here can change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting an item of incompatible dtype", DeprecationWarning)
        warnings.filterwarnings("ignore", "(divide by zero|invalid value) encountered", RuntimeWarning)
        # tenths of a feature that is mostly one value: those between the same two ends are one, as they should be
        warnings.filterwarnings("ignore", "Bins whose width are too small", UserWarning)
        yield
