"""Level: are as many loans bad as predicted? Observed over expected defaults, with an interval clustered by seller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import Limit, alarms
from training.evidence.metrics import Estimate
from training.evidence.study import Finding

if TYPE_CHECKING:
    from training.evidence.study import ReviewedModel

LEAST: Final = Limit("observed over expected defaults", 0.8, at_least=True)
MOST: Final = Limit("observed over expected defaults", 1.25)
DRAWS: Final = 500

_ACTION: Final = (
    "Prices and limits that rest on the probability would be wrong by as much. Retrain with later outcomes; if they do "
    "not change the level, look for what changed between the training loans and the test loans."
)


@dataclass(frozen=True)
class LevelEstimate:
    """Defaults observed, expected (the sum of the probabilities), and the ratio of both with its 95% interval."""

    observed: int
    expected: float
    ratio: Estimate


def estimate_level(
    bad: NDArray[np.bool_], probability: NDArray[np.float64], sellers: Sequence[str], seed: int = 7
) -> LevelEstimate:
    """Compare defaults with their probabilities; all loans of a seller are drawn together (cluster bootstrap).

    Args:
        bad: True for the loans that defaulted.
        probability: the predicted probability of default of each loan.
        sellers: the seller of each loan.
        seed: of the resamples.

    Example: 110 defaults where 100 were expected are a ratio of 1.1.
    """
    import pandas as pd

    place, names = pd.factorize(np.asarray(sellers, dtype=object))
    observed = np.bincount(place, weights=bad.astype(float), minlength=len(names))
    expected = np.bincount(place, weights=probability, minlength=len(names))
    rng = np.random.default_rng(seed)
    drawn = np.empty(DRAWS)
    for number in range(DRAWS):
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        drawn[number] = (times * observed).sum() / (times * expected).sum()
    return LevelEstimate(
        int(bad.sum()), float(expected.sum()), Estimate.of(float(observed.sum() / expected.sum()), drawn)
    )


def estimate_slope(
    bad: NDArray[np.bool_], probability: NDArray[np.float64], sellers: Sequence[str], seed: int = 7
) -> Estimate:
    """Return the calibration slope with an interval for which all loans of a seller are drawn together.

    The slope is that of the logistic regression of outcomes on predicted log-odds: 1 where probabilities are right,
    below 1 if they are too extreme. Arguments are those of `estimate_level`.
    """
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    place, names = pd.factorize(np.asarray(sellers, dtype=object))
    log_odds = np.log(probability / (1.0 - probability)).reshape(-1, 1)
    rng = np.random.default_rng(seed)

    def slope(weights: NDArray[np.float64]) -> float:
        return float(LogisticRegression(C=np.inf).fit(log_odds, bad, sample_weight=weights).coef_[0, 0])

    drawn = []
    for _ in range(DRAWS // 2):
        weights = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))[place].astype(float)
        if 0 < weights[bad].sum() < weights.sum():
            drawn.append(slope(weights))
    return Estimate.of(slope(np.ones(len(bad))), np.array(drawn))


def level(subject: ReviewedModel) -> Finding:
    """Compare the defaults of the test loans with those that the model expected."""
    found = estimate_level(
        subject.bad, subject.probability, subject.test.rows["seller_id"].astype(str).tolist(), subject.seed
    )
    loans = f"{found.observed:,} defaults"
    checks = tuple(limit.check(found.ratio, _ACTION, loans) for limit in (LEAST, MOST))
    return Finding(
        "level",
        "Level of the predictions",
        f"Asked: do as many test loans default as predicted? {found.observed:,} of {len(subject.bad):,} defaulted, and "
        f"{found.expected:.1f} were expected. The ratio is {found.ratio}, with {subject.train.borrowers} "
        "drawn as a whole.",
        figures={
            "observed": float(found.observed),
            "expected": found.expected,
            **found.ratio.figures("observed_over_expected"),
        },
        alarms=alarms(checks),
        checks=checks,
    )
