"""Calibration slope and intercept: the logistic regression of outcomes on the log-odds that were predicted."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.resample import total

_PRECISION: Final = 1e-4
"""Of a normal prior around slope 1 and intercept 0 (deviation 100): nothing beside a handful of rows, but it keeps
the fit finite where predictions part good and bad completely."""

_TOLERANCE: Final = 1e-3
"""Of the last step: what it leaves of the error is about its square."""

_MOST_STEPS: Final = 100
_MOST_HALVINGS: Final = 40

Line = tuple[float, float]
"""Intercept and slope."""


def recalibration(
    log_odds: NDArray[np.float64],
    bad: NDArray[np.float64],
    weight: NDArray[np.float64],
    start: Line = (0.0, 1.0),
) -> Line:
    """Return the intercept and slope that make `intercept + slope * log_odds` most likely.

    A slope below 1 says that predictions are too extreme, above 1 that they are too timid. Example: log-odds that
    are twice what they should be have the slope 0.5.

    Found by Newton's method; a step that does not bring the gradient down is halved, which suffices as the
    likelihood is concave (Cox, Two further applications of a model for binary regression, 1958).

    Args:
        log_odds: what was predicted, shape (n,).
        bad: 1 where the loan went bad, else 0.
        weight: how often each row counts.
        start: where to begin; the fit of all rows is a good start for a resample of them.
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
