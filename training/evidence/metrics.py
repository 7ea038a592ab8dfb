"""Performance metrics (AUC, Gini, KS, Brier score, log-loss, calibration slope), each with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.statistics import Line, draw_resamples, recalibration, total, wilson_interval

if TYPE_CHECKING:
    import pandas as pd

_LEAST: Final = 1e-15
"""Probabilities are clipped to this distance from 0 and 1, so that log-odds are finite."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95% confidence interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resamples: NDArray[np.float64]) -> Estimate:
        """Return a figure with the middle 95% of its values on resamples."""
        low, high = np.quantile(resamples, [0.025, 0.975])
        return cls(value, float(low), float(high))

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """Return a figure without an interval: both ends equal it."""
        return cls(value, value, value)

    @classmethod
    def share(cls, hits: float, rows: float) -> Estimate:
        """Return the share `hits / rows` with its Wilson interval; `rows` must not be 0."""
        low, high = wilson_interval(hits, rows)
        return cls(float(hits / rows), float(low), float(high))

    def figures(self, name: str) -> dict[str, float]:
        """Return it as figures of a finding: `auc`, `auc_low` and `auc_high`."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def __str__(self) -> str:
        """Write it as `0.812 (0.790 to 0.833)`."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


NO_ESTIMATE: Final = Estimate.exact(float("nan"))
"""Stands in a table for a figure that was not measured."""


def expand_intervals(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name, each estimate as three: `auc`, `auc_low` and `auc_high`."""
    expanded: dict[str, Any] = {}
    for name, value in values.items():
        expanded |= value.figures(name) if isinstance(value, Estimate) else {name: value}
    return expanded


def build_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the table of a finding: one row for each mapping, three columns for each estimate.

    Args:
        rows: values by column.
        columns: the columns of a table that may be empty.
    """
    import pandas as pd

    return pd.DataFrame([expand_intervals(row) for row in rows], columns=None if columns is None else list(columns))


def evaluate(
    bad: NDArray[np.bool_],
    probability: NDArray[np.float64],
    seed: int = 7,
    names: Collection[str] | None = None,
    sellers: pd.Series | None = None,
) -> dict[str, Estimate]:
    """Return performance metrics of probabilities of default, all on the same resamples.

    They are AUC, Gini, KS, Brier score, log-loss, and calibration slope and intercept. Gini is 2 AUC - 1. KS is the
    largest gap between the score distributions of good and bad: above 0.4 is strong. Slope and intercept are those of
    the logistic regression of outcomes on predicted log-odds: 1 and 0 where probabilities are right.

    Args:
        bad: shape (n,), True where the loan went bad; both kinds must occur.
        probability: shape (n,), the predicted probability of default.
        seed: of the bootstrap; the same seed draws the same rows for every model.
        names: the metrics to compute; all unless given.
        sellers: the seller of each row. All rows of a seller are drawn together, because they are correlated. Without
            it, each row is drawn alone.
    """
    value, resamples = resampled(bad, probability, seed, names, sellers)
    if "ks" in value:
        # A largest gap is larger on a resample than on its rows, most of all near 0: remove the mean excess
        excess = resamples["ks"].mean() - value["ks"]
        resamples["ks"] = np.maximum(resamples["ks"] - excess, 0.0)
    return {name: Estimate.of(value[name], resamples[name]) for name in value}


def resampled(
    bad: NDArray[np.bool_],
    probability: NDArray[np.float64],
    seed: int = 7,
    names: Collection[str] | None = None,
    sellers: pd.Series | None = None,
) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    """Return metrics of all rows and of each resample, to compute the interval of a difference of two models."""
    loans = _Loans.of(bad, probability)
    chosen = [name for name in _METRICS if names is None or name in names]
    value = {name: _METRICS[name](loans.all) for name in chosen}
    samples = loans.resamples(seed, _seller_numbers(sellers))
    resamples = [[_METRICS[name](sample) for name in chosen] for sample in samples]
    return value, dict(zip(chosen, np.array(resamples).T, strict=True))


def paired_auc(
    bad: NDArray[np.bool_],
    predictions: tuple[NDArray[np.float64], NDArray[np.float64]],
    sellers: pd.Series,
    seed: int,
) -> tuple[Estimate, Estimate, Estimate]:
    """Return the AUC of two models, equal to those of `evaluate`, and their difference on the same resamples."""
    (one, ones), (two, twos) = (resampled(bad, each, seed, ("auc",), sellers) for each in predictions)
    return (
        Estimate.of(one["auc"], ones["auc"]),
        Estimate.of(two["auc"], twos["auc"]),
        Estimate.of(one["auc"] - two["auc"], ones["auc"] - twos["auc"]),
    )


def _seller_numbers(sellers: pd.Series | None) -> NDArray[np.int64] | None:
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
    return _Loans.of(bad, probability).all.auc


@dataclass(frozen=True)
class _Loans:
    """Loans sorted by outcome (bad first) and then by probability, with the values that every resample needs."""

    order: NDArray[np.int64]
    bad: NDArray[np.bool_]
    probability: NDArray[np.float64]

    @classmethod
    def of(cls, bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> _Loans:
        order = np.lexsort((probability, ~bad))
        return cls(order, bad[order], probability[order])

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        return np.unique(self.probability, return_inverse=True)[1]

    @cached_property
    def outcome(self) -> NDArray[np.float64]:
        return self.bad.astype(np.float64)

    @cached_property
    def log_odds(self) -> NDArray[np.float64]:
        p = np.clip(self.probability, _LEAST, 1.0 - _LEAST)
        return np.asarray(np.log(p) - np.log1p(-p))

    @cached_property
    def squares(self) -> NDArray[np.float64]:
        return np.where(self.bad, 1.0 - self.probability, self.probability) ** 2

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        # -ln of the predicted probability of the observed outcome
        return np.logaddexp(0.0, np.where(self.bad, -self.log_odds, self.log_odds))

    @cached_property
    def line(self) -> Line:
        return recalibration(self.log_odds, self.outcome, np.ones(len(self.bad)))

    @property
    def all(self) -> _Resample:
        """The sample in which every loan counts once."""
        return _Resample(self, np.ones(len(self.bad)))

    def resamples(self, seed: int, sellers: NDArray[np.int64] | None) -> Iterator[_Resample]:
        """Draw resamples; `sellers` are in the original order of the loans."""
        original = np.empty_like(self.bad)
        original[self.order] = self.bad
        return (_Resample(self, weight[self.order]) for weight in draw_resamples(original, seed, sellers))


@dataclass(frozen=True)
class _Resample:
    loans: _Loans
    weight: NDArray[np.float64]

    @cached_property
    def counts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bad and good loans by rising probability."""
        rank, weight = self.loans.rank, self.weight
        bads = np.bincount(rank, weight * self.loans.outcome).astype(np.float64)
        return bads, np.bincount(rank, weight).astype(np.float64) - bads

    @cached_property
    def auc(self) -> float:
        bads, goods = self.counts
        below = np.cumsum(goods) - goods
        return total(bads, 2.0 * below + goods) / (2.0 * float(bads.sum() * goods.sum()))

    @cached_property
    def ks(self) -> float:
        bads, goods = (np.cumsum(counts) / counts.sum() for counts in self.counts)
        return float(np.abs(bads - goods).max())

    @cached_property
    def line(self) -> Line:
        return recalibration(self.loans.log_odds, self.loans.outcome, self.weight, self.loans.line)

    def mean(self, values: NDArray[np.float64]) -> float:
        return total(self.weight, values) / float(self.weight.sum())


_METRICS: Final[dict[str, Callable[[_Resample], float]]] = {
    "auc": lambda sample: sample.auc,
    "gini": lambda sample: 2.0 * sample.auc - 1.0,
    "ks": lambda sample: sample.ks,
    "brier": lambda sample: sample.mean(sample.loans.squares),
    "log_loss": lambda sample: sample.mean(sample.loans.losses),
    "calibration_slope": lambda sample: sample.line[1],
    "calibration_intercept": lambda sample: sample.line[0],
}
