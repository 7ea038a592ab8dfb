"""Logistic regression with weights of at least 0, so that each column raises risk in its own direction only.

Columns are reversed if needed so that more is riskier, cut into steps, and replaced by normal scores. The result is
additive and therefore explained exactly (see `additive`). With the steps of optbinning and their weights of evidence
instead of normal scores, it is a scorecard (Siddiqi, Credit Risk Scorecards, ch. 6).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.additive import Steps, additive_model
from training.errors import TrainingError
from training.sample import Sample

if TYPE_CHECKING:
    import lightgbm

STEPS: Final = 200
"""Number of steps of a column, with about equal numbers of training rows. With this many steps, a small move of a
value earns few points."""

_TAIL: Final = 0.005
"""Share of the rows at which normal scores are clipped, so that an extreme value counts like the highest values."""

_MIN_SPREAD: Final = 1e-9


@dataclass(frozen=True)
class Binned:
    """Columns cut into steps, and the risk of each step: the input of the regression.

    Attributes:
        edges: edges of each column, see `Steps`.
        risk: risk of each step of each column; it never falls in the direction in which risk rises.
        rows: number of training rows on each step.
    """

    edges: tuple[NDArray[np.float64], ...]
    risk: tuple[NDArray[np.float64], ...]
    rows: tuple[NDArray[np.int64], ...]

    def matrix(self, sample: Sample) -> NDArray[np.float64]:
        """Return the risk of each row's step, shape (rows, columns)."""
        values = sample.values()
        columns = zip(values.T, self.edges, self.risk, strict=True)
        scores = [risk[np.searchsorted(edges, column)] for column, edges, risk in columns]
        return np.column_stack(scores) if scores else np.empty((len(values), 0))


@dataclass(frozen=True)
class BoundedLogistic:
    """A fitted regression: the binned columns, a weight for each (at least 0), and the intercept in log-odds."""

    binned: Binned = field(repr=False)
    weights: NDArray[np.float64]
    intercept: float

    def margins(self, sample: Sample) -> NDArray[np.float64]:
        """Return the log-odds of default of each row."""
        margins: NDArray[np.float64] = self.intercept + self.binned.matrix(sample) @ self.weights
        return margins

    def booster(self) -> lightgbm.Booster:
        """Return the model as a LightGBM booster with a tree for each column that has a weight."""
        steps = [
            Steps(number, edges, weight * risk, rows)
            for number, (edges, risk, rows, weight) in enumerate(
                zip(self.binned.edges, self.binned.risk, self.binned.rows, self.weights, strict=True)
            )
            if weight > 0
        ]
        return additive_model(steps, self.intercept, len(self.weights))


def normal_scores(sample: Sample, steps: int = STEPS) -> Binned:
    """Cut each column into steps with about equal numbers of rows, and score each by the normal quantile of its middle.

    The heavy tails of money and counts would dominate a linear model; ranks have none. Missing values are already at
    the riskiest end of a column. If there are enough of them, they have a step of their own.

    Args:
        sample: the training rows.
        steps: maximum number of steps.
    """
    from scipy.stats import norm

    edges, risk, rows = [], [], []
    for column, sign in zip(sample.values().T, sample.columns.signs, strict=True):
        ordered = np.sort(column)
        # the values at which steps end; the last step has no end
        ends = np.unique(ordered[(np.arange(1, steps) * len(ordered)) // steps])
        ends = ends[ends < ordered[-1]]
        below = int(np.searchsorted(ordered, ordered[-1]))
        if 0 < below < len(ordered) * (steps - 1) / steps:  # the highest value fills more than a step
            ends = np.union1d(ends, ordered[below - 1])
        upto = np.concatenate([[0], np.searchsorted(ordered, ends, side="right"), [len(ordered)]])
        middles = (upto[:-1] + upto[1:]) / (2 * len(ordered))
        edges.append(ends)
        risk.append(sign * norm.ppf(np.clip(middles, _TAIL, 1 - _TAIL)))
        rows.append(np.diff(upto))
    return Binned(tuple(edges), tuple(risk), tuple(rows))


def fit_bounded(binned: Binned, sample: Sample, shrinkage: float) -> BoundedLogistic:
    """Fit the weights, each at least 0, by penalized maximum likelihood.

    Args:
        binned: the columns.
        sample: the training rows.
        shrinkage: L2 penalty of the weights of columns scaled to a spread of 1; above 0.

    Raises:
        TrainingError: the fit does not converge.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    risk = binned.matrix(sample)
    spread = np.maximum(risk.std(axis=0), _MIN_SPREAD)
    mean, bad = risk.mean(axis=0), sample.bad
    scaled = (risk - mean) / spread

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = weights[0] + scaled @ weights[1:]
        residual = expit(margins) - bad
        value = np.logaddexp(0.0, margins).sum() - bad @ margins + 0.5 * shrinkage * (weights[1:] ** 2).sum()
        return value, np.concatenate([[residual.sum()], scaled.T @ residual + shrinkage * weights[1:]])

    share = float(np.clip(bad.mean(), 1e-6, 1 - 1e-6))
    start = np.concatenate([[np.log(share / (1 - share))], np.zeros(scaled.shape[1])])
    bounds = [(None, None), *([(0.0, None)] * scaled.shape[1])]
    result = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2_000})
    if not np.isfinite(result.x).all():
        raise TrainingError(
            "The logistic regression does not converge on these rows. Check the features for extreme values."
        )
    # a constant column carries no information
    weights = np.where(risk.std(axis=0) > _MIN_SPREAD, result.x[1:] / spread, 0.0)
    return BoundedLogistic(binned, weights, float(result.x[0] - mean @ weights))


def thinned(sample: Sample, most: int) -> Sample:
    """Return the sample in memory; if it has more than `most` rows, evenly spaced ones.

    100,000 rows determine a few hundred weights as well as millions do, which need not fit in memory.
    """
    rows = np.arange(len(sample.bad))
    if len(rows) > most:
        rows = np.linspace(0, len(rows) - 1, most).astype(np.int64)
    elif isinstance(sample.matrix, np.ndarray):
        return sample
    thin = sample.take(rows)
    return replace(thin, matrix=thin.values())
