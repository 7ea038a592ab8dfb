"""Figures of merit, each with a bootstrap interval, since a figure from few defaults means little without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 200


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Write it as `0.812 (0.790 to 0.833)`."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def evaluate(bad: NDArray[np.bool_], probability: NDArray[np.float64], seed: int = 7) -> dict[str, Estimate]:
    """Return AUC, Gini, KS, Brier score and log-loss of probabilities of default, on the same resamples.

    Gini is 2 AUC - 1. KS is the largest gap between the score distributions of good and bad: above 0.4 is strong.

    Args:
        bad: shape (n,), True where the loan went bad; both kinds must occur.
        probability: shape (n,), the predicted probability of default.
        seed: of the bootstrap.
    """
    samples = _resamples(bad, seed)
    return {name: _estimate(figure, bad, probability, samples) for name, figure in _FIGURES.items()}


def auc(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Return the probability that a bad loan is ranked above a good one, ties counting half.

    Example:
        >>> auc(np.array([True, False, False]), np.array([0.3, 0.1, 0.3]))
        0.75
    """
    from scipy.stats import rankdata

    ranks = rankdata(probability)
    bads = int(bad.sum())
    wins = float(ranks[bad].sum()) - bads * (bads + 1) / 2
    return wins / (bads * (len(bad) - bads))


def ks(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Return the largest distance between the cumulative distributions of good and bad."""
    # by hand, since scipy's test also computes a p-value, which fails on a few rows
    cuts = np.unique(probability)
    below_bad, below_good = (
        np.searchsorted(np.sort(probability[kind]), cuts, side="right") / kind.sum() for kind in (bad, ~bad)
    )
    return float(np.abs(below_bad - below_good).max())


def _gini(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    return 2.0 * auc(bad, probability) - 1.0


def _brier(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    return float(np.mean((probability - bad) ** 2))


def _log_loss(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    p = np.clip(probability, 1e-15, 1.0 - 1e-15)
    return float(-np.mean(np.where(bad, np.log(p), np.log1p(-p))))


_FIGURES: dict[str, Callable[[NDArray[np.bool_], NDArray[np.float64]], float]] = {
    "auc": auc,
    "gini": _gini,
    "ks": ks,
    "brier": _brier,
    "log_loss": _log_loss,
}


def _resamples(bad: NDArray[np.bool_], seed: int) -> list[NDArray[np.int64]]:
    # Good and bad are drawn apart, so that no resample lacks a kind
    rng = np.random.default_rng(seed)
    kinds = [np.flatnonzero(bad), np.flatnonzero(~bad)]
    return [np.concatenate([rng.choice(kind, len(kind)) for kind in kinds]) for _ in range(_RESAMPLES)]


def _estimate(
    figure: Callable[[NDArray[np.bool_], NDArray[np.float64]], float],
    bad: NDArray[np.bool_],
    probability: NDArray[np.float64],
    samples: list[NDArray[np.int64]],
) -> Estimate:
    drawn = [figure(bad[rows], probability[rows]) for rows in samples]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(figure(bad, probability), float(low), float(high))
