"""Model selection: boosted trees, logistic regression, scorecard or an average, compared on later loans.

Every kind of model obeys the declared directions, places a missing value at the riskiest end, and is a sum of trees
that the scoring package explains exactly. The average is the mean of boosted trees and logistic regression in log-odds.
It is chosen unless another kind is better on the same rows beyond chance, so that no model serves if a simpler one
beats it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.additive import weighted_sum
from training.bounded_logistic import Binned, fit_bounded, normal_scores, thinned
from training.dataset import SELLER_LOANS, Words
from training.evidence.study import Finding
from training.sample import Part, Sample
from training.scorecard import evidence_bins

if TYPE_CHECKING:
    import lightgbm

MOST_ROWS: Final = 100_000
"""Maximum number of rows to fit a regression to. From more rows, evenly spaced ones are used."""

SHRINKAGES: Final = (1.0, 10.0, 100.0, 1000.0)
"""Candidate L2 penalties of a regression; see `_shrinkage` for the choice."""

BEYOND_CHANCE: Final = 2.0
"""Number of standard errors by which another kind must be better than the average to replace it."""


class Kind(StrEnum):
    """Kind of model."""

    AVERAGE = "average"
    LIGHTGBM = "lightgbm"
    LOGISTIC = "logistic"
    SCORECARD = "scorecard"


_BINS: Final[Mapping[Kind, Callable[[Sample], Binned]]] = {
    Kind.LOGISTIC: normal_scores,
    Kind.SCORECARD: evidence_bins,
}

Grow = Callable[[Sample, int], "lightgbm.Booster"]
"""Fits boosted trees to a sample with this number of rounds."""


@dataclass(frozen=True)
class Recipe:
    """How to fit a model: its kind, the rounds of its trees and the shrinkage of its regression."""

    kind: Kind
    rounds: int
    shrinkage: float

    def fit(self, sample: Sample, grow: Grow) -> lightgbm.Booster:
        """Return a model of a sample's columns."""
        match self.kind:
            case Kind.LIGHTGBM:
                return grow(sample, self.rounds)
            case Kind.AVERAGE:
                both = [grow(sample, self.rounds), regression(sample, Kind.LOGISTIC, self.shrinkage)]
                return weighted_sum(both, (0.5, 0.5))
        return regression(sample, self.kind, self.shrinkage)


@dataclass(frozen=True)
class LeftOut:
    """The rows that rolling origins leave out, and the predictions of each kind of model for them.

    Attributes:
        bad: True for bad rows.
        sellers: number of each row's seller.
        days: day of each row's midnight; None if the rows have no dates.
        margins: by kind, raw log-odds from models of earlier rows of other sellers.
    """

    bad: NDArray[np.bool_]
    sellers: NDArray[np.int64]
    days: NDArray[np.int64] | None
    margins: Mapping[Kind, NDArray[np.float64]]


@dataclass(frozen=True)
class Choice:
    """The chosen recipe and the comparison of the kinds.

    Attributes:
        recipe: the recipe of the model.
        benchmark: the recipe of the scorecard that it is compared with.
        losses: by kind, the mean log-loss on the rows left out, after calibration.
        behind: by kind, its loss minus that of the average, and the standard error of the difference.
        out_of_time: True if the rows left out are later in time; otherwise they are only of other sellers.
        rows: number of rows left out, and number of bad ones among them.
        left_out: the rows left out, with the margins of every kind.
        is_named: True if the settings name the kind, so that the comparison decides nothing.
        words: what reports call the rows.
    """

    recipe: Recipe
    benchmark: Recipe
    losses: Mapping[Kind, float]
    behind: Mapping[Kind, tuple[float, float]] = field(repr=False)
    out_of_time: bool
    rows: tuple[int, int]
    left_out: LeftOut = field(repr=False)
    is_named: bool = False
    words: Words = SELLER_LOANS

    def finding(self) -> Finding:
        """Return the choice for the model card."""
        import pandas as pd

        table = pd.DataFrame(
            {
                "model": [kind.value for kind in self.losses],
                "log_loss": [round(loss, 5) for loss in self.losses.values()],
                "above_average": [round(self.behind[kind][0], 5) for kind in self.losses],
                "standard_error": [round(self.behind[kind][1], 5) for kind in self.losses],
            }
        )
        where = f"{'later ' if self.out_of_time else ''}{self.words.of_others}"
        rows, bad = self.rows
        rule = (
            ""
            if self.is_named
            else "The average of boosted trees and logistic regression is chosen unless another kind has a lower loss "
            f"on the same {self.words.rows} by more than {BEYOND_CHANCE:g} standard errors."
        )
        return Finding(
            name="candidates",
            title="Choice of the model",
            summary=f"The {self.recipe.kind} is chosen{', as set by fit.model' if self.is_named else ''}. "
            f"{len(self.losses)} kinds of models were compared on {rows:,} {where} inside the training part ({bad:,} "
            f"bad). {rule}",
            figures={f"{kind}_log_loss": loss for kind, loss in self.losses.items()},
            tables={"Log-loss": table},
        )


def regression(sample: Sample, kind: Kind, shrinkage: float) -> lightgbm.Booster:
    """Return a logistic regression or a scorecard of a sample's columns as a sum of trees."""
    rows = thinned(sample, MOST_ROWS)
    return fit_bounded(_BINS[kind](rows), rows, shrinkage).booster()


def choose(
    sample: Sample,
    parts: list[Part],
    boosted: list[lightgbm.Booster],
    rounds: int,
    allowed: Sequence[Kind],
    *,
    out_of_time: bool,
) -> Choice:
    """Compare the kinds on the rows that the parts leave out and return the choice.

    Args:
        sample: the training rows.
        parts: rows to train on and rows left out.
        boosted: boosted trees of each part.
        rounds: number of their rounds to use.
        allowed: the kinds that may be chosen; all are compared.
        out_of_time: True if the rows left out are later in time.
    """
    outside = np.concatenate([left for _, left in parts])
    bad, sellers = sample.bad[outside], sample.sellers[outside]
    trees = np.concatenate(
        [_margins(sample.take(left), booster, rounds) for (_, left), booster in zip(parts, boosted, strict=True)]
    )
    margins = {Kind.LIGHTGBM: trees}
    shrinkages: dict[Kind, float] = {}
    for kind in _BINS:
        by_shrinkage = _regressions(sample, parts, kind)
        shrinkages[kind] = _shrinkage(by_shrinkage, bad, sellers)
        margins[kind] = by_shrinkage[shrinkages[kind]]
    margins[Kind.AVERAGE] = 0.5 * trees + 0.5 * margins[Kind.LOGISTIC]
    losses = {kind: _losses(margins[kind], bad) for kind in Kind}
    behind = {kind: _difference(losses[kind] - losses[Kind.AVERAGE], sellers) for kind in Kind}
    better = [kind for kind in allowed if behind[kind][0] < -BEYOND_CHANCE * behind[kind][1]]
    default = Kind.AVERAGE if Kind.AVERAGE in allowed else allowed[0]
    best = min(better, key=lambda kind: behind[kind][0], default=default)
    shrinkage = shrinkages[Kind.SCORECARD if best is Kind.SCORECARD else Kind.LOGISTIC]
    return Choice(
        Recipe(best, rounds, shrinkage),
        Recipe(Kind.SCORECARD, 0, shrinkages[Kind.SCORECARD]),
        {kind: float(loss.mean()) for kind, loss in losses.items()},
        behind,
        out_of_time,
        (len(bad), int(bad.sum())),
        LeftOut(bad > 0, sellers, None if sample.days is None else sample.days[outside], margins),
        len(allowed) == 1,
        sample.words,
    )


def predict_left_out(sample: Sample, parts: list[Part], recipes: Sequence[Recipe], grow: Grow) -> LeftOut:
    """Fit recipes to the training rows of each part and predict the rows that it leaves out.

    Args:
        sample: the rows.
        parts: rows to train on and rows left out.
        recipes: the recipes, one per kind.
        grow: fits boosted trees.
    """
    outside = np.concatenate([left for _, left in parts])
    margins = {
        recipe.kind: np.concatenate(
            [sample.take(left).margins(recipe.fit(sample.take(inside), grow)) for inside, left in parts]
        )
        for recipe in recipes
    }
    days = None if sample.days is None else sample.days[outside]
    return LeftOut(sample.bad[outside] > 0, sample.sellers[outside], days, margins)


def _regressions(sample: Sample, parts: list[Part], kind: Kind) -> dict[float, NDArray[np.float64]]:
    """Return the margins of the rows left out, by shrinkage."""
    by_shrinkage: dict[float, list[NDArray[np.float64]]] = {shrinkage: [] for shrinkage in SHRINKAGES}
    for inside, outside in parts:
        rows, left = thinned(sample.take(inside), MOST_ROWS), sample.take(outside)
        binned = _BINS[kind](rows)
        for shrinkage, margins in by_shrinkage.items():
            margins.append(fit_bounded(binned, rows, shrinkage).margins(left))
    return {shrinkage: np.concatenate(margins) for shrinkage, margins in by_shrinkage.items()}


def _shrinkage(
    by_shrinkage: Mapping[float, NDArray[np.float64]], bad: NDArray[np.float64], sellers: NDArray[np.int64]
) -> float:
    """Return the largest shrinkage whose loss is within one standard error of the lowest (Hastie et al., ESL, 7.10)."""
    losses = {shrinkage: _losses(margins, bad) for shrinkage, margins in by_shrinkage.items()}
    lowest = min(losses.values(), key=lambda loss: float(loss.mean()))
    differences = {shrinkage: _difference(loss - lowest, sellers) for shrinkage, loss in losses.items()}
    return max(shrinkage for shrinkage, (above, error) in differences.items() if above <= error)


def _margins(left: Sample, booster: lightgbm.Booster, rounds: int) -> NDArray[np.float64]:
    return np.asarray(booster.predict(left.values(), raw_score=True, num_iteration=rounds), dtype=np.float64)


def _losses(margins: NDArray[np.float64], bad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's log-loss after calibration: the kinds are compared by how they rank and spread."""
    from sklearn.linear_model import LogisticRegression

    calibrated = np.full(len(bad), np.log(bad.mean() / (1 - bad.mean())))
    if margins.min() < margins.max():
        model = LogisticRegression(C=np.inf).fit(margins.reshape(-1, 1), bad)
        # a model that ranks the wrong way is not reversed: it is as good as the share of bad loans
        if model.coef_[0, 0] > 0:
            calibrated = float(model.intercept_[0]) + float(model.coef_[0, 0]) * margins
    losses: NDArray[np.float64] = np.logaddexp(0.0, calibrated) - bad * calibrated
    return losses


def _difference(differences: NDArray[np.float64], sellers: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean of differences and its standard error, clustered by seller (Liang and Zeger)."""
    mean = float(differences.mean())
    by_seller = np.bincount(sellers, weights=differences - mean)
    return mean, float(np.sqrt((by_seller**2).sum()) / len(differences))
