"""A logistic regression whose weights cannot be negative: each column may only raise risk in its own direction.

Columns are turned so that more means riskier, cut into steps, and replaced by normal scores. The result is additive,
so that it is explained exactly (see `additive`). With steps that optbinning finds, and their weights of evidence in
place of normal scores, it is a scorecard (Siddiqi, Credit Risk Scorecards, ch. 6).
"""

from __future__ import annotations

from collections.abc import Sequence
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
"""Steps of a column, each with about as many training rows: so fine that a small move of a value earns few points."""

_TAIL: Final = 0.005
"""Normal scores end at this share of the rows: one extreme value says no more than that it is among the highest."""

_LEAST_SPREAD: Final = 1e-9


@dataclass(frozen=True)
class Binned:
    """Columns cut into steps, and the risk of each step on the scale that the regression weighs.

    Attributes:
        edges: of each column, see `Steps`.
        risk: of each step of each column; it never falls in the direction in which risk rises.
        rows: how many training rows lie on each step.
    """

    edges: tuple[NDArray[np.float64], ...]
    risk: tuple[NDArray[np.float64], ...]
    rows: tuple[NDArray[np.int64], ...]

    def matrix(self, sample: Sample) -> NDArray[np.float64]:
        """Return the risk of each row's step, shape (rows, columns)."""
        values = np.asarray(sample.matrix[0 : len(sample.bad)])
        found = [risk[np.searchsorted(edges, values[:, number])] for number, edges, risk in self._columns()]
        return np.column_stack(found) if found else np.empty((len(values), 0))

    def _columns(self) -> Sequence[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
        return list(zip(range(len(self.edges)), self.edges, self.risk, strict=True))


@dataclass(frozen=True)
class BoundedLogistic:
    """A fitted regression: the binned columns, a weight for each (0 or more), and the intercept, in log-odds."""

    binned: Binned = field(repr=False)
    weights: NDArray[np.float64]
    intercept: float

    def margins(self, sample: Sample) -> NDArray[np.float64]:
        """Return the log-odds of default of each row."""
        margins: NDArray[np.float64] = self.intercept + self.binned.matrix(sample) @ self.weights
        return margins

    def booster(self) -> lightgbm.Booster:
        """Return the same model as LightGBM text, with a tree for each column that has a weight."""
        steps = [
            Steps(number, edges, weight * risk, rows)
            for number, (edges, risk, rows, weight) in enumerate(
                zip(self.binned.edges, self.binned.risk, self.binned.rows, self.weights, strict=True)
            )
            if weight > 0
        ]
        return additive_model(steps, self.intercept, len(self.weights))


def normal_scores(sample: Sample, steps: int = STEPS) -> Binned:
    """Cut each column into steps of about as many rows, and score a step by the normal quantile of its middle row.

    Money and counts have heavy tails, which dominate a linear model; ranks have none. Missing values are at the
    riskiest end of a column already. If there are enough of them, they have a step of their own.

    Args:
        sample: the training rows.
        steps: at most.
    """
    from scipy.stats import norm

    values = np.asarray(sample.matrix[0 : len(sample.bad)])
    edges, risk, rows = [], [], []
    for column, sign in zip(values.T, sample.columns.signs, strict=True):
        ordered = np.sort(column)
        # the values at which a step ends; the last step has no end
        ends = np.unique(ordered[(np.arange(1, steps) * len(ordered)) // steps])
        ends = ends[ends < ordered[-1]]
        below = int(np.searchsorted(ordered, ordered[-1]))
        if 0 < below < len(ordered) * (steps - 1) / steps:  # the last value fills more than a step
            ends = np.union1d(ends, ordered[below - 1])
        upto = np.concatenate([[0], np.searchsorted(ordered, ends, side="right"), [len(ordered)]])
        middles = (upto[:-1] + upto[1:]) / (2 * len(ordered))
        edges.append(ends)
        risk.append(sign * norm.ppf(np.clip(middles, _TAIL, 1 - _TAIL)))
        rows.append(np.diff(upto))
    return Binned(tuple(edges), tuple(risk), tuple(rows))


def fit_bounded(binned: Binned, sample: Sample, shrinkage: float) -> BoundedLogistic:
    """Fit the weights by penalised maximum likelihood, each at least 0.

    Args:
        binned: the columns.
        sample: the training rows.
        shrinkage: what the squared weights of columns with a spread of 1 count against the likelihood; above 0.

    Raises:
        TrainingError: the fit does not converge.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    risk = binned.matrix(sample)
    spread = np.maximum(risk.std(axis=0), _LEAST_SPREAD)
    mean, bad = risk.mean(axis=0), sample.bad
    scaled = (risk - mean) / spread

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margins = weights[0] + scaled @ weights[1:]
        missed = expit(margins) - bad
        value = np.logaddexp(0.0, margins).sum() - bad @ margins + 0.5 * shrinkage * (weights[1:] ** 2).sum()
        return value, np.concatenate([[missed.sum()], scaled.T @ missed + shrinkage * weights[1:]])

    share = float(np.clip(bad.mean(), 1e-6, 1 - 1e-6))
    begin = np.concatenate([[np.log(share / (1 - share))], np.zeros(scaled.shape[1])])
    bounds = [(None, None), *([(0.0, None)] * scaled.shape[1])]
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2_000})
    if not np.isfinite(found.x).all():
        raise TrainingError(
            "The logistic regression does not converge on these rows; check the features for extreme values."
        )
    # a column without spread carries no information
    weights = np.where(risk.std(axis=0) > _LEAST_SPREAD, found.x[1:] / spread, 0.0)
    return BoundedLogistic(binned, weights, float(found.x[0] - mean @ weights))


def thinned(sample: Sample, most: int) -> Sample:
    """Return the sample itself, or evenly spaced rows of it where it has more than `most`, read into memory.

    Some hundred weights are known as well from 100,000 rows as from millions, which need not fit in memory.
    """
    places = np.arange(len(sample.bad))
    if len(places) > most:
        places = np.linspace(0, len(places) - 1, most).astype(np.int64)
    elif isinstance(sample.matrix, np.ndarray):
        return sample
    rows = sample.rows(places)
    return replace(rows, matrix=np.asarray(rows.matrix[0 : len(places)]))
