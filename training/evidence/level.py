"""Overall calibration: observed over expected defaults, and the calibration slope, with intervals over sellers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.evidence.limits import Limit, quantity
from training.evidence.metrics import Estimate
from training.evidence.statistics import draw_counts
from training.evidence.study import Finding

if TYPE_CHECKING:
    from training.evidence.study import ReviewedModel

LEAST: Final = Limit("observed over expected defaults", 0.8, at_least=True)
MOST: Final = Limit("observed over expected defaults", 1.25)
DRAWS: Final = 500

_ACTION: Final = (
    "Prices and limits that are set from the probability of default would be wrong by the same ratio. Retrain with "
    "later outcomes. If the ratio does not change, find out what differs between the training and the test {rows}."
)


@dataclass(frozen=True)
class LevelEstimate:
    """Observed defaults, expected defaults (the sum of the probabilities), and their ratio with its 95% interval."""

    observed: int
    expected: float
    ratio: Estimate


def estimate_level(
    bad: NDArray[np.bool_], probability: NDArray[np.float64], sellers: ArrayLike, seed: int = 7
) -> LevelEstimate:
    """Compare observed with expected defaults; all loans of a seller are drawn together (cluster bootstrap).

    Example: 110 observed and 100 expected defaults are a ratio of 1.1.
    """
    numbers, count = _seller_numbers(sellers)
    observed = np.bincount(numbers, weights=bad.astype(float), minlength=count)
    expected = np.bincount(numbers, weights=probability, minlength=count)
    rng = np.random.default_rng(seed)
    resamples = np.empty(DRAWS)
    for draw in range(DRAWS):
        times = draw_counts(rng, count)
        resamples[draw] = (times * observed).sum() / (times * expected).sum()
    ratio = Estimate.of(float(observed.sum() / expected.sum()), resamples)
    return LevelEstimate(int(bad.sum()), float(expected.sum()), ratio)


def estimate_slope(
    bad: NDArray[np.bool_], probability: NDArray[np.float64], sellers: ArrayLike, seed: int = 7
) -> Estimate:
    """Return the calibration slope; all loans of a seller are drawn together.

    It is the slope of the logistic regression of outcomes on predicted log-odds: 1 if the probabilities are right,
    below 1 if they are too extreme. Arguments are those of `estimate_level`.
    """
    from sklearn.linear_model import LogisticRegression

    numbers, count = _seller_numbers(sellers)
    log_odds = np.log(probability / (1.0 - probability)).reshape(-1, 1)
    rng = np.random.default_rng(seed)

    def slope(weights: NDArray[np.float64]) -> float:
        return float(LogisticRegression(C=np.inf).fit(log_odds, bad, sample_weight=weights).coef_[0, 0])

    resamples = []
    for _ in range(DRAWS // 2):
        weights = draw_counts(rng, count)[numbers]
        if 0 < weights[bad].sum() < weights.sum():
            resamples.append(slope(weights))
    return Estimate.of(slope(np.ones(len(bad))), np.array(resamples))


def _seller_numbers(sellers: ArrayLike) -> tuple[NDArray[np.int64], int]:
    import pandas as pd

    numbers, names = pd.factorize(np.asarray(sellers, dtype=object))
    return numbers, len(names)


def study_level(subject: ReviewedModel) -> Finding:
    """Compare the observed defaults of the test loans with those that the model expected."""
    words = subject.test.words
    level = estimate_level(subject.bad, subject.probability, subject.test.rows["seller_id"], subject.seed)
    return Finding(
        "level",
        "Overall calibration",
        f"Do as many test {words.rows} default as the model predicts? {level.observed:,} of {len(subject.bad):,} did; "
        f"the model expected {level.expected:.1f}. The ratio of observed to expected defaults is {level.ratio}. The "
        f"interval comes from resampling {words.units}.",
        figures={
            "observed": float(level.observed),
            "expected": level.expected,
            **level.ratio.figures("observed_over_expected"),
        },
        checks=tuple(
            limit.check(level.ratio, _ACTION.format(rows=words.rows), quantity(level.observed, words.bad))
            for limit in (LEAST, MOST)
        ),
    )
