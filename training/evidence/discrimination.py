"""Discrimination: AUC of the model against a random ranking and against the scorecard benchmark on the same loans.

Both models are compared on the same resamples of sellers. Several loans of one seller count as one observation, and the
interval of the difference excludes the variation that both models share (paired cluster bootstrap; Field and Welsh,
Bootstrapping clustered data, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.limits import Limit, LimitCheck, Standing, figures, quantity, two_digits
from training.evidence.metrics import Estimate, expand_intervals, paired_auc
from training.evidence.study import Finding

if TYPE_CHECKING:
    import pandas as pd

    from training.evidence.study import ReviewedModel

CHANCE: Final = 0.5
"""The AUC of a random ranking."""

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

    @property
    def figures(self) -> dict[str, float]:
        """The three as figures of a finding."""
        estimates = {"auc": self.model, "scorecard_auc": self.scorecard, "auc_difference": self.difference}
        return expand_intervals(estimates)


def study_discrimination(subject: ReviewedModel) -> Finding:
    """Compare the ranking of the model with a random one and with the scorecard, on the same test loans."""
    compared = compare_ranking(
        subject.bad, (subject.probability, subject.scorecard), subject.test.rows["seller_id"], subject.seed
    )
    bad = int(subject.bad.sum())
    return Finding(
        "discrimination",
        "Discrimination",
        _summary(subject, compared),
        figures={"defaults": float(bad), **compared.figures},
        checks=(_check_chance(compared.model, bad), _check_scorecard(compared.difference, bad)),
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
        bad: True for the loans that defaulted; both outcomes must occur.
        predicted: the probability of default by the model and by the scorecard, each of shape (loans,).
        sellers: the seller of each loan; all loans of a seller are drawn together.
        seed: of the resamples.
        draws: number of resamples; those without both outcomes are drawn again.
    """
    return RankingComparison(*paired_auc(bad, predicted, sellers, seed, draws))


def _check_chance(auc: Estimate, bad: int) -> LimitCheck:
    """Check that AUC lies above 0.5; an AUC of exactly 0.5 is beyond the limit, too."""
    shown, limit = figures(auc), f"above {CHANCE}"
    if auc.low > CHANCE:
        return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.WITHIN)
    if auc.value > CHANCE:
        note = (
            f"The AUC of the model is {shown}. Its 95% interval reaches {CHANCE}, the AUC of a random ranking. "
            f"{quantity(bad, 'default')} are too few to show that the model ranks better than that. Test on more loans."
        )
        return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.UNCERTAIN, note)
    note = f"The AUC of the model is {shown}, no better than a random ranking ({CHANCE}). Do not promote the model."
    return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.ALARM, note)


def _check_scorecard(difference: Estimate, bad: int) -> LimitCheck:
    action = (
        "The scorecard benchmark ranks the same loans better. Train on more loans, or use fewer features and trees, "
        "before you promote the model."
    )
    return DIFFERENCE.check(difference, action, quantity(bad, "default"))


def _summary(subject: ReviewedModel, compared: RankingComparison) -> str:
    difference, defaults = compared.difference, quantity(int(subject.bad.sum()), "default")
    half = (difference.high - difference.low) / 2
    if difference.low > 0:
        verdict = "The model ranks better."
    elif difference.high < 0:
        verdict = "The model ranks worse."
    else:
        verdict = f"{defaults} are too few to show which of the two ranks better."
    return (
        "Does the model rank loans better than a random ranking, and at least as well as the scorecard benchmark? On "
        f"the same {len(subject.bad):,} test loans ({defaults}), the AUC is {compared.model} for the model and "
        f"{compared.scorecard} for the scorecard. The difference is {difference}. {verdict} These loans cannot show a "
        f"difference in AUC below about {two_digits(half)}. Intervals are 95% bootstrap intervals over "
        f"{subject.train.borrowers}."
    )
