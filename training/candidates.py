"""Kinds of models that may serve, and the choice among them on later loans of other sellers.

Every kind obeys the declared directions, takes a missing value at the riskiest end, and is a sum of trees that the
scoring package explains exactly: boosted trees, a logistic regression, a scorecard, and the mean of the first two in
log-odds. The mean serves unless another kind is better on the same rows beyond chance, so that no model serves where a
plain one beats it.
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
from training.evidence.study import Finding
from training.sample import Part, Sample
from training.scorecard import evidence_bins

if TYPE_CHECKING:
    import lightgbm

MOST_ROWS: Final = 100_000
"""Rows that a regression is fitted to; of more, evenly spaced ones are taken."""

SHRINKAGES: Final = (1.0, 10.0, 100.0, 1000.0)
"""What the squared weights of a regression count against its log-likelihood; see `_shrinkage` for which is taken."""


BEYOND_CHANCE: Final = 2.0
"""Standard errors by which another kind must be better than the average to serve in its place."""


class Kind(StrEnum):
    """What a model is."""

    AVERAGE = "average"
    LIGHTGBM = "lightgbm"
    LOGISTIC = "logistic"
    SCORECARD = "scorecard"


_BINS: Final[Mapping[Kind, Callable[[Sample], Binned]]] = {
    Kind.LOGISTIC: normal_scores,
    Kind.SCORECARD: evidence_bins,
}

Grow = Callable[[Sample, int], "lightgbm.Booster"]
"""Grows boosted trees of a sample with this number of rounds."""


@dataclass(frozen=True)
class Recipe:
    """How a model is fitted, once decided: its kind, the rounds of its trees and the shrinkage of its regression."""

    kind: Kind
    rounds: int
    shrinkage: float

    def fit(self, sample: Sample, grow: Grow) -> lightgbm.Booster:
        """Return the model of a sample's columns."""
        match self.kind:
            case Kind.LIGHTGBM:
                return grow(sample, self.rounds)
            case Kind.AVERAGE:
                both = [grow(sample, self.rounds), regression(sample, Kind.LOGISTIC, self.shrinkage)]
                return weighted_sum(both, (0.5, 0.5))
        return regression(sample, self.kind, self.shrinkage)


@dataclass(frozen=True)
class LeftOut:
    """Rows that rolling origins leave out, and what each kind of model predicts for them.

    Attributes:
        bad: whether the row is bad.
        sellers: the number of each row's seller.
        days: the day of each row's midnight; None if the rows have no dates.
        margins: by kind, raw log-odds of models of earlier rows of other sellers.
    """

    bad: NDArray[np.bool_]
    sellers: NDArray[np.int64]
    days: NDArray[np.int64] | None
    margins: Mapping[Kind, NDArray[np.float64]]


@dataclass(frozen=True)
class Choice:
    """The recipe chosen and how the kinds compare.

    Attributes:
        recipe: what serves.
        benchmark: the scorecard that it is compared with.
        losses: by kind, the mean log-loss on rows left out, after calibration.
        behind: by kind, how far its loss is above that of the mean of models, and the standard error of that.
        out_of_time: whether those rows were later in time; else they are only of other sellers.
        rows: how many rows were left out, in all, and how many of them are bad.
        left_out: the rows themselves, with the margins of every kind.
        is_named: whether the settings name the kind, so that the comparison decides nothing.
    """

    recipe: Recipe
    benchmark: Recipe
    losses: Mapping[Kind, float]
    behind: Mapping[Kind, tuple[float, float]] = field(repr=False)
    out_of_time: bool
    rows: tuple[int, int]
    left_out: LeftOut = field(repr=False)
    is_named: bool = False

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
        where = "later loans of other borrowers" if self.out_of_time else "loans of other borrowers"
        rows, bad = self.rows
        rule = (
            ""
            if self.is_named
            else "The average of boosted trees and logistic regression serves unless another kind has a lower loss on "
            f"the same loans by more than {BEYOND_CHANCE:g} standard errors."
        )
        return Finding(
            name="candidates",
            title="Choice of the model",
            summary=f"The {self.recipe.kind} serves{', as the settings say' if self.is_named else ''}. "
            f"{len(self.losses)} kinds of models were compared on {rows:,} {where} inside the training part ({bad:,} "
            f"bad). {rule}",
            figures={f"{kind}_log_loss": loss for kind, loss in self.losses.items()},
            tables={"Log-loss": table},
        )


def regression(sample: Sample, kind: Kind, shrinkage: float) -> lightgbm.Booster:
    """Return a logistic regression or a scorecard of a sample's columns, as a sum of trees."""
    rows = thinned(sample, MOST_ROWS)
    return fit_bounded(_BINS[kind](rows), rows, shrinkage).booster()


def choose(
    sample: Sample,
    parts: list[Part],
    grown: list[lightgbm.Booster],
    rounds: int,
    among: Sequence[Kind],
    *,
    out_of_time: bool,
) -> Choice:
    """Compare the kinds on the rows that each part leaves out, all on the same rows.

    Args:
        sample: the training rows.
        parts: which rows to learn from, and which are left out.
        grown: boosted trees of each part.
        rounds: how many of their rounds count.
        among: the kinds that may serve; all are compared.
        out_of_time: whether what is left out is later in time.
    """
    outside = np.concatenate([left for _, left in parts])
    bad, sellers = sample.bad[outside], sample.sellers[outside]
    trees = np.concatenate(
        [_margins(sample.rows(left), each, rounds) for (_, left), each in zip(parts, grown, strict=True)]
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
    better = [kind for kind in among if behind[kind][0] < -BEYOND_CHANCE * behind[kind][1]]
    usual = Kind.AVERAGE if Kind.AVERAGE in among else among[0]
    best = min(better, key=lambda kind: behind[kind][0], default=usual)
    shrinkage = shrinkages[Kind.SCORECARD if best is Kind.SCORECARD else Kind.LOGISTIC]
    return Choice(
        Recipe(best, rounds, shrinkage),
        Recipe(Kind.SCORECARD, 0, shrinkages[Kind.SCORECARD]),
        {kind: float(each.mean()) for kind, each in losses.items()},
        behind,
        out_of_time,
        (len(bad), int(bad.sum())),
        LeftOut(bad > 0, sellers, None if sample.days is None else sample.days[outside], margins),
        len(among) == 1,
    )


def predict_left_out(sample: Sample, parts: list[Part], recipes: Sequence[Recipe], grow: Grow) -> LeftOut:
    """Fit recipes to the training rows of each part, and predict the rows that it leaves out.

    Args:
        sample: the rows.
        parts: training rows and left-out rows.
        recipes: one of each kind wanted.
        grow: grows boosted trees.
    """
    outside = np.concatenate([left for _, left in parts])
    margins = {
        recipe.kind: np.concatenate(
            [sample.rows(left).margins(recipe.fit(sample.rows(inside), grow)) for inside, left in parts]
        )
        for recipe in recipes
    }
    days = None if sample.days is None else sample.days[outside]
    return LeftOut(sample.bad[outside] > 0, sample.sellers[outside], days, margins)


def _regressions(sample: Sample, parts: list[Part], kind: Kind) -> dict[float, NDArray[np.float64]]:
    """Return the margins of the rows left out, by shrinkage."""
    found: dict[float, list[NDArray[np.float64]]] = {shrinkage: [] for shrinkage in SHRINKAGES}
    for inside, outside in parts:
        rows, left = thinned(sample.rows(inside), MOST_ROWS), sample.rows(outside)
        binned = _BINS[kind](rows)
        for shrinkage, several in found.items():
            several.append(fit_bounded(binned, rows, shrinkage).margins(left))
    return {shrinkage: np.concatenate(several) for shrinkage, several in found.items()}


def _shrinkage(
    by_shrinkage: Mapping[float, NDArray[np.float64]], bad: NDArray[np.float64], sellers: NDArray[np.int64]
) -> float:
    """Return the largest shrinkage whose loss is within a standard error of the least (Hastie et al., ESL, 7.10)."""
    losses = {shrinkage: _losses(margins, bad) for shrinkage, margins in by_shrinkage.items()}
    least = min(losses.values(), key=lambda each: float(each.mean()))
    near = []
    for shrinkage, each in losses.items():
        above, error = _difference(each - least, sellers)
        if above <= error:
            near.append(shrinkage)
    return max(near)


def _margins(left: Sample, booster: lightgbm.Booster, rounds: int) -> NDArray[np.float64]:
    values = np.asarray(left.matrix[0 : len(left.bad)])
    return np.asarray(booster.predict(values, raw_score=True, num_iteration=rounds), dtype=np.float64)


def _losses(margins: NDArray[np.float64], bad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's log-loss once the margins are calibrated: kinds are compared by how they rank and spread."""
    from sklearn.linear_model import LogisticRegression

    shown = np.full(len(bad), np.log(bad.mean() / (1 - bad.mean())))
    if margins.min() < margins.max():
        model = LogisticRegression(C=np.inf).fit(margins.reshape(-1, 1), bad)
        # a model that ranks the wrong way is not turned around: it tells as much as the share of bad loans
        if model.coef_[0, 0] > 0:
            shown = float(model.intercept_[0]) + float(model.coef_[0, 0]) * margins
    losses: NDArray[np.float64] = np.logaddexp(0.0, shown) - bad * shown
    return losses


def _difference(each: NDArray[np.float64], sellers: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean of differences, and its standard error with rows of a seller taken as one (Liang and Zeger)."""
    mean = float(each.mean())
    by_seller = np.bincount(sellers, weights=each - mean)
    return mean, float(np.sqrt((by_seller**2).sum()) / len(each))
