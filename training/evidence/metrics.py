"""Figures of merit, each with a bootstrap interval, since a figure from few defaults means little without one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.statistics import (
    Line,
    Ranked,
    Sample,
    cumulative,
    draw_resamples,
    recalibration,
    total,
    without_resampling,
)

if TYPE_CHECKING:
    import pandas as pd

_LEAST: Final = 1e-15
"""A probability nearer to 0 or 1 than this counts as this far from it, so that its log-odds are finite."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, drawn: NDArray[np.float64]) -> Estimate:
        """Return a figure with the middle 95% of what resamples gave."""
        low, high = np.quantile(drawn, [0.025, 0.975])
        return cls(value, float(low), float(high))

    def figures(self, name: str) -> dict[str, float]:
        """Return it as figures of a finding: `auc`, `auc_low` and `auc_high`."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def __str__(self) -> str:
        """Write it as `0.812 (0.790 to 0.833)`."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def evaluate(
    bad: NDArray[np.bool_],
    probability: NDArray[np.float64],
    seed: int = 7,
    names: Collection[str] | None = None,
    sellers: pd.Series | None = None,
) -> dict[str, Estimate]:
    """Return figures of merit of probabilities of default, all on the same resamples.

    They are AUC, Gini, KS, Brier score, log-loss, and calibration slope and intercept. Gini is 2 AUC - 1. KS is the
    largest gap between the score distributions of good and bad: above 0.4 is strong. Slope and intercept are those of
    the logistic regression of outcomes on predicted log-odds: 1 and 0 where probabilities are right.

    Args:
        bad: shape (n,), True where the loan went bad; both kinds must occur.
        probability: shape (n,), the predicted probability of default.
        seed: of the bootstrap; the same seed draws the same rows for every model.
        names: the figures wanted; all unless given.
        sellers: the seller of each row. All rows of a seller are drawn together, since they are alike; without it,
            each row is drawn alone.
    """
    value, drawn = resampled(bad, probability, seed, names, sellers)
    return {name: Estimate.of(value[name], drawn[name]) for name in value}


def resampled(
    bad: NDArray[np.bool_],
    probability: NDArray[np.float64],
    seed: int = 7,
    names: Collection[str] | None = None,
    sellers: pd.Series | None = None,
) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    """Return figures of all rows, and of each resample: what intervals of a difference of two models are made of."""
    judged = _Judged(Ranked.of(bad, probability, _numbers(sellers)))
    wanted = [name for name in _FIGURES if names is None or name in names]
    value = {name: _FIGURES[name](_once(judged)) for name in wanted}
    samples = (_Drawn(judged, sample) for sample in draw_resamples(judged.ranked, seed))
    drawn = [[_FIGURES[name](sample) for name in wanted] for sample in samples]
    return value, dict(zip(wanted, np.array(drawn).T, strict=True))


def _numbers(sellers: pd.Series | None) -> NDArray[np.int64] | None:
    """Return the number of each row's seller; None if each row has a seller of its own, or none are given."""
    import pandas as pd

    if sellers is None or sellers.is_unique:
        return None
    numbers: NDArray[np.int64] = pd.factorize(sellers)[0]
    return numbers


def auc(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Return the probability that a bad loan is ranked above a good one, ties counting half.

    Example:
        >>> auc(np.array([True, False, False]), np.array([0.3, 0.1, 0.3]))
        0.75
    """
    return _once(_Judged(Ranked.of(bad, probability))).auc


def ks(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Return the largest distance between the cumulative distributions of good and bad."""
    return _once(_Judged(Ranked.of(bad, probability))).ks


@dataclass(frozen=True)
class _Judged:
    """Ranked rows, and what every resample of them needs."""

    ranked: Ranked

    @cached_property
    def log_odds(self) -> NDArray[np.float64]:
        p = np.clip(np.concatenate([self.ranked.bad, self.ranked.good]), _LEAST, 1.0 - _LEAST)
        return np.asarray(np.log(p) - np.log1p(-p))

    @cached_property
    def outcome(self) -> NDArray[np.float64]:
        return np.repeat([1.0, 0.0], [len(self.ranked.bad), len(self.ranked.good)])

    @cached_property
    def squares(self) -> NDArray[np.float64]:
        return np.concatenate([(1.0 - self.ranked.bad) ** 2, self.ranked.good**2])

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        # -ln of the probability that was given to what happened
        return np.logaddexp(0.0, np.where(self.outcome == 1.0, -self.log_odds, self.log_odds))

    @cached_property
    def line(self) -> Line:
        return recalibration(self.log_odds, self.outcome, np.ones(len(self.outcome)))


@dataclass(frozen=True)
class _Drawn:
    """One sample of judged rows; each of its figures is computed once."""

    judged: _Judged
    sample: Sample

    @cached_property
    def auc(self) -> float:
        below, up_to = cumulative(self.sample.good)[self.judged.ranked.among_good]
        pairs = float(self.sample.bad.sum() * self.sample.good.sum())
        return total(self.sample.bad, below + up_to) / (2.0 * pairs)

    @cached_property
    def ks(self) -> float:
        # the gap is widest at a bad row or just before one, since only good ones come between
        ranked = self.judged.ranked
        bads, goods = (
            cumulative(counts)[among] / counts.sum()
            for counts, among in ((self.sample.bad, ranked.among_bad), (self.sample.good, ranked.among_good))
        )
        return float(np.abs(bads - goods).max())

    @cached_property
    def line(self) -> Line:
        judged = self.judged
        return recalibration(judged.log_odds, judged.outcome, self.weight, judged.line)

    @cached_property
    def weight(self) -> NDArray[np.float64]:
        return np.concatenate([self.sample.bad, self.sample.good])

    def mean(self, each: NDArray[np.float64]) -> float:
        return total(self.weight, each) / float(self.weight.sum())


def _once(judged: _Judged) -> _Drawn:
    return _Drawn(judged, without_resampling(judged.ranked))


_FIGURES: Final[dict[str, Callable[[_Drawn], float]]] = {
    "auc": lambda drawn: drawn.auc,
    "gini": lambda drawn: 2.0 * drawn.auc - 1.0,
    "ks": lambda drawn: drawn.ks,
    "brier": lambda drawn: drawn.mean(drawn.judged.squares),
    "log_loss": lambda drawn: drawn.mean(drawn.judged.losses),
    "calibration_slope": lambda drawn: drawn.line[1],
    "calibration_intercept": lambda drawn: drawn.line[0],
}
