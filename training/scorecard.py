"""Benchmark scorecard: logistic regression on binned features, fitted to the same rows as the model.

Each feature is cut into few bins (optbinning) whose default rates follow its sign. The value of a bin is its weight of
evidence, and a logistic regression with shrinkage weighs the features (Siddiqi, Credit Risk Scorecards, ch. 6).
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
"""How the default rate moves from bin to bin, by the sign of the feature; without a sign, in either direction."""

_BINS: Final = 5
_PREBINS: Final = 10
"""Number of quantile bins of a feature before optbinning joins them."""

_SHRINKAGE: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for scikit-learn's C (the inverse of the L2 penalty), chosen on three folds."""


@dataclass(frozen=True)
class Scorecard:
    """A fitted scorecard of the features that vary.

    Attributes:
        binnings: by feature, its bins and their weights of evidence.
        weights: logistic regression on the weights of evidence.
        information: by feature, the information value: mean weight of evidence of good rows minus that of bad rows.
            Above 0.3 is strong.
        mean_evidence: by feature, the mean weight of evidence of the training rows.
    """

    binnings: Mapping[str, OptimalBinning] = field(repr=False)
    weights: LogisticRegressionCV = field(repr=False)
    information: NDArray[np.float64] = field(repr=False)
    mean_evidence: NDArray[np.float64] = field(repr=False)

    def probability(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the probability of default of each row, shape (rows,)."""
        probability: NDArray[np.float64] = self.weights.predict_proba(_evidence(self.binnings, features))[:, 1]
        return probability

    def contributions(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the SHAP value of each feature: its contribution to the log-odds of default.

        Example: a feature with weight -0.8 and evidence -0.5, whose mean evidence is 0.1, contributes 0.48.
        """
        import pandas as pd

        added = (_evidence(self.binnings, features) - self.mean_evidence) * self.weights.coef_[0]
        return pd.DataFrame(added, columns=list(self.binnings), index=features.index)

    def table(self) -> pd.DataFrame:
        """Return feature, number of bins, information value and weight, strongest first.

        A weight below 0 reverses the bins of a feature, which happens with correlated features.
        """
        import pandas as pd

        table = pd.DataFrame(
            {
                "feature": list(self.binnings),
                "bins": [len(binning.splits) + 1 for binning in self.binnings.values()],
                "information_value": self.information.round(4),
                # evidence is log(good/bad), so the regression on bad has negative weights
                "weight": (-self.weights.coef_[0]).round(4),
            }
        )
        return table.sort_values("information_value", ascending=False, ignore_index=True)


def fit_scorecard(
    features: pd.DataFrame, bad: pd.Series, seed: int = 7, signs: Mapping[str, int] = CATALOGUE_SIGNS
) -> Scorecard:
    """Fit a scorecard. Missing values have their own bin; a constant feature is omitted.

    Args:
        features: one float64 column per feature.
        bad: True for bad loans; both outcomes must occur.
        seed: seed of the folds that choose the shrinkage.
        signs: signs of the features, by default those of the catalogue.

    Raises:
        TrainingError: every feature is constant.

    Example: `fit_scorecard(features, bad).probability(features)`.
    """
    truth = bad.to_numpy()
    varied = [str(name) for name in features if features[name].nunique() > 1]
    if not varied:
        raise TrainingError("Every feature has the same value in all rows, so no model can be trained. Check the data.")
    with _quiet():
        binnings = {
            name: _binning(name, features[name], signs).fit(features[name].to_numpy(), truth.astype(int))
            for name in varied
        }
    evidence = _evidence(binnings, features)
    information = evidence[~truth].mean(axis=0) - evidence[truth].mean(axis=0)
    return Scorecard(binnings, _regression(seed).fit(evidence, truth), information, evidence.mean(axis=0))


def evidence_bins(sample: Sample) -> Binned:
    """Cut each column of a sample into the bins of a scorecard; the risk of a bin is its log-odds of default.

    Risk moves from bin to bin in the column's direction only. Missing values are at the riskiest end.

    Example: `fit_bounded(evidence_bins(sample), sample, 10.0)` is a scorecard that can serve.
    """
    import pandas as pd

    values = sample.values()
    names = [f"Column_{number}" for number in range(values.shape[1])]
    signs = dict(zip(names, sample.columns.signs, strict=True))
    edges, risk, rows = [], [], []
    for name, column in zip(names, values.T, strict=True):
        splits = np.empty(0)
        if column.min() < column.max():
            with _quiet():
                fitted = _binning(name, pd.Series(column), signs).fit(column, sample.bad.astype(int))
            # a bin begins at its split, whereas a value equal to an edge is on its left
            splits = np.unique(np.nextafter(np.asarray(fitted.splits, dtype=np.float64), -np.inf))
        step = np.searchsorted(splits, column)
        counts = np.bincount(step, minlength=len(splits) + 1)
        used = np.flatnonzero(counts)
        bad = np.bincount(step, weights=sample.bad, minlength=len(splits) + 1)[used]
        log_odds = np.log((bad + 0.5) / (counts[used] - bad + 0.5))
        order = slice(None, None, signs[name])
        edges.append(splits[used[:-1]])
        risk.append(np.maximum.accumulate(log_odds[order])[order])
        rows.append(counts[used])
    return Binned(tuple(edges), tuple(risk), tuple(rows))


def _binning(name: str, values: pd.Series, signs: Mapping[str, int]) -> OptimalBinning:
    """Return the binning of a feature: at tenths of the rows, or between any two values if there are few.

    Tenths do not separate a rare value: a flag that is set in one row of twenty would have a single bin.
    """
    from optbinning import OptimalBinning

    trend = _TREND[signs.get(name, 0)]
    if values.nunique() > _PREBINS:
        return OptimalBinning(
            name, prebinning_method="quantile", max_n_prebins=_PREBINS, max_n_bins=_BINS, monotonic_trend=trend
        )
    unique = np.unique(values.dropna())
    middles = np.unique((unique[1:] + unique[:-1]) / 2)  # values that differ by rounding have the same middle
    return OptimalBinning(name, user_splits=middles.tolist(), max_n_bins=_BINS, monotonic_trend=trend)


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
    """Suppress warnings of optbinning 1.0 with pandas 3.1 and scikit-learn 1.9."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting an item of incompatible dtype", DeprecationWarning)
        warnings.filterwarnings("ignore", "(divide by zero|invalid value) encountered", RuntimeWarning)
        # tenths of a feature that is mostly one value coincide, which is intended
        warnings.filterwarnings("ignore", "Bins whose width are too small", UserWarning)
        yield
