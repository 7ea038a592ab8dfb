"""Discrimination: AUC of the model against a random ranking and against the scorecard benchmark on the same rows.

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

    from training.dataset import Words
    from training.evidence.study import ReviewedModel

CHANCE: Final = 0.5
"""The AUC of a random ranking."""

TOO_WELL: Final = 0.95
"""Largest plausible AUC of a model of features that are known before the outcome, on later rows."""

MODEL_AUC: Final = Limit("AUC of the model", CHANCE, at_least=True)
DIFFERENCE: Final = Limit("difference in AUC (model less scorecard)", 0.0, at_least=True)


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
    bad, words = int(subject.bad.sum()), subject.test.words
    return Finding(
        "discrimination",
        "Discrimination",
        _summary(subject, compared),
        figures={"defaults": float(bad), **compared.figures},
        checks=(_check_chance(compared.model, bad, words), _check_scorecard(compared.difference, bad, words)),
    )


def compare_ranking(
    bad: NDArray[np.bool_],
    predicted: tuple[NDArray[np.float64], NDArray[np.float64]],
    sellers: pd.Series,
    seed: int,
) -> RankingComparison:
    """Compare two models on the same loans.

    Args:
        bad: True for the loans that defaulted; both outcomes must occur.
        predicted: the probability of default by the model and by the scorecard, each of shape (loans,).
        sellers: the seller of each loan; all loans of a seller are drawn together.
        seed: of the resamples.
    """
    return RankingComparison(*paired_auc(bad, predicted, sellers, seed))


def _check_chance(auc: Estimate, bad: int, words: Words) -> LimitCheck:
    """Check that AUC lies above 0.5; an AUC of exactly 0.5 is beyond the limit, too."""
    shown, limit = figures(auc), f"above {CHANCE}"
    if auc.low > CHANCE:
        return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.WITHIN)
    if auc.value > CHANCE:
        note = (
            f"The AUC of the model is {shown}. Its 95% interval reaches {CHANCE}, the AUC of a random ranking. "
            f"{quantity(bad, words.bad)} are too few to show that the model ranks better than that. Test on more "
            f"{words.rows}."
        )
        return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.UNCERTAIN, note)
    note = f"The AUC of the model is {shown}, no better than a random ranking ({CHANCE}). Do not use the model."
    return LimitCheck(MODEL_AUC.figure, shown, limit, Standing.ALARM, note)


def _check_scorecard(difference: Estimate, bad: int, words: Words) -> LimitCheck:
    action = (
        f"The scorecard benchmark ranks the same {words.rows} better. Train on more {words.rows} or on fewer features "
        "before you use the model."
    )
    return DIFFERENCE.check(difference, action, quantity(bad, words.bad))


def _summary(subject: ReviewedModel, compared: RankingComparison) -> str:
    difference, words = compared.difference, subject.test.words
    bads = quantity(int(subject.bad.sum()), words.bad)
    half = (difference.high - difference.low) / 2
    if compared.model.low > TOO_WELL:
        verdict = (
            f"An AUC above {TOO_WELL} is a sign that a feature contains the outcome: read the study of target leakage "
            "before you compare the two."
        )
    elif difference.low > 0:
        verdict = "The model ranks better."
    elif difference.high < 0:
        verdict = "The model ranks worse."
    else:
        verdict = f"{bads} are too few to show which of the two ranks better."
    return (
        f"Does the model rank {words.rows} better than a random ranking, and at least as well as the scorecard "
        f"benchmark? On the same {len(subject.bad):,} test {words.rows} ({bads}), the AUC is {compared.model} for the "
        f"model and {compared.scorecard} for the scorecard. The difference is {difference}. {verdict} These "
        f"{words.rows} cannot show a difference in AUC below about {two_digits(half)}. Intervals are 95% bootstrap "
        f"intervals over {words.units}."
    )
