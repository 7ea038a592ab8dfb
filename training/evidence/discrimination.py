"""Discrimination: does the model rank better than chance, and no worse than the logistic scorecard on the same loans?

Both models are compared on the same resamples of sellers, so that loans that are hard for both cancel out and several
loans of one seller count as one observation (paired cluster bootstrap; Field and Welsh, Bootstrapping clustered data,
2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import Limit, LimitCheck, Standing, alarms, figures, quantity, two_digits
from training.evidence.metrics import Estimate
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd

    from training.evidence.study import ReviewedModel

CHANCE: Final = 0.5
"""The AUC of a model that ranks at random."""

MODEL_AUC: Final = Limit("AUC of the model", CHANCE, at_least=True)
DIFFERENCE: Final = Limit("difference in AUC (model less scorecard)", 0.0, at_least=True)

DRAWS: Final = 500
"""Resamples: enough for both ends of a 95% interval to be stable in the second digit."""


@dataclass(frozen=True)
class RankingComparison:
    """AUC of both models on the same loans, and the difference, each with its 95% interval."""

    model: Estimate
    scorecard: Estimate
    difference: Estimate


def discrimination(subject: ReviewedModel) -> Finding:
    """Compare the ranking of the model with chance and with the scorecard, on the same test loans."""
    found = compare_ranking(
        subject.bad, (subject.probability, subject.scorecard), subject.test.rows["seller_id"], subject.seed
    )
    bad = int(subject.bad.sum())
    checks = (_chance(found.model, bad), _scorecard(found.difference, bad))
    return Finding(
        "discrimination",
        "Ranking against chance and the scorecard",
        _summary(subject, found),
        figures={
            "defaults": float(bad),
            **found.model.figures("auc"),
            **found.scorecard.figures("scorecard_auc"),
            **found.difference.figures("auc_difference"),
        },
        alarms=alarms(checks),
        checks=checks,
    )


def compare_ranking(
    bad: NDArray[np.bool_],
    predicted: tuple[NDArray[np.float64], NDArray[np.float64]],
    sellers: pd.Series,
    seed: int,
    draws: int = DRAWS,
) -> RankingComparison:
    """Compare two models on the same loans.

    Args:
        bad: True for the loans that defaulted; both kinds must occur.
        predicted: the probability of default by the model and by the scorecard, each of shape (loans,).
        sellers: the seller of each loan; all loans of a seller are drawn together.
        seed: of the resamples.
        draws: number of resamples; those without both kinds of loans are drawn again.
    """
    import pandas as pd

    place, names = pd.factorize(sellers)
    rng, ranked = np.random.default_rng(seed), [_Ranked.of(bad, each) for each in predicted]
    drawn = np.empty((draws, 2))
    for number in range(draws):
        weight = _weights(rng, place, len(names))
        while not 0 < weight[bad].sum() < weight.sum():
            weight = _weights(rng, place, len(names))
        drawn[number] = [each.auc(weight) for each in ranked]
    model, scorecard = (each.auc(np.ones(len(bad))) for each in ranked)
    return RankingComparison(
        Estimate.of(model, drawn[:, 0]),
        Estimate.of(scorecard, drawn[:, 1]),
        Estimate.of(model - scorecard, drawn[:, 0] - drawn[:, 1]),
    )


def _weights(rng: np.random.Generator, place: NDArray[np.int64], sellers: int) -> NDArray[np.float64]:
    """Return how often each loan counts in a resample of sellers."""
    times = np.bincount(rng.integers(0, sellers, sellers), minlength=sellers)
    return times[place].astype(np.float64)


@dataclass(frozen=True)
class _Ranked:
    """Loans by distinct predicted probability; `place` is 0 for the lowest."""

    bad: NDArray[np.float64]
    place: NDArray[np.int64]

    @classmethod
    def of(cls, bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> _Ranked:
        _, place = np.unique(probability, return_inverse=True)
        return cls(bad.astype(np.float64), place)

    def auc(self, weight: NDArray[np.float64]) -> float:
        """Return the probability that a bad loan is ranked above a good one, ties counting half."""
        bads = np.bincount(self.place, self.bad * weight)
        goods = np.bincount(self.place, (1.0 - self.bad) * weight)
        below = np.cumsum(goods) - goods
        return float((bads * (below + goods / 2)).sum() / (bads.sum() * goods.sum()))


def _chance(auc: Estimate, bad: int) -> LimitCheck:
    """Check that AUC lies above chance; equal to chance is beyond the limit, too."""
    shown, limit = figures(auc), f"above {CHANCE}"
    if auc.low > CHANCE:
        return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.WITHIN)
    if auc.value > CHANCE:
        note = (
            f"The AUC of the model is {shown}. Its 95% interval reaches {CHANCE}, the AUC of chance. "
            f"{quantity(bad, 'default')} are too few to show that the model ranks better than chance. Test on "
            "more loans."
        )
        return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.UNCERTAIN, note)
    note = f"The AUC of the model is {shown}, no better than chance ({CHANCE}). Do not promote it."
    return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.ALARM, note)


def _scorecard(difference: Estimate, bad: int) -> LimitCheck:
    action = (
        "The logistic scorecard ranks the same loans better. Train on more loans, or use fewer features and trees, "
        "before you promote the model."
    )
    return DIFFERENCE.check(difference, action, quantity(bad, "default"))


def _summary(subject: ReviewedModel, found: RankingComparison) -> str:
    difference, defaults = found.difference, quantity(int(subject.bad.sum()), "default")
    half = (difference.high - difference.low) / 2
    if difference.low > 0:
        verdict = "The model ranks better."
    elif difference.high < 0:
        verdict = "The model ranks worse."
    else:
        verdict = f"{defaults} cannot show which of the two ranks better."
    return (
        "Asked: does the model rank loans better than chance, and no worse than the logistic scorecard? On the same "
        f"{len(subject.bad):,} test loans ({defaults}), AUC is {found.model} for the model and "
        f"{found.scorecard} for the scorecard; the difference is {difference}. {verdict} A difference in AUC "
        f"below about {two_digits(half)} cannot be seen on these loans. Intervals are 95% bootstrap intervals over "
        f"{subject.train.borrowers}."
    )
