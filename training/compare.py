"""Two models on the same rows: how much better or worse the candidate is, and how far that could be chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.errors import ComparisonError
from training.evidence.groups import groups, ordered
from training.evidence.metrics import Estimate, resampled
from training.evidence.scored import log_odds, scores
from training.evidence.segments import LEAST_OF_A_KIND

if TYPE_CHECKING:
    from scoring import Bundle
    from training.dataset import Dataset

FIGURES: Final = ("auc", "gini", "ks", "brier", "log_loss")
"""What is compared; of the last two less is better."""

NEAR: Final = 20
"""Points within which two scores say much the same: half of what doubles the odds."""

SEGMENTS: Final = ("country", "size")
"""By which groups the two are held against each other."""


@dataclass(frozen=True)
class Paired:
    """A figure of both models on the same rows, and candidate minus champion with its 95% interval.

    The interval is of the difference on the same resamples, so that what both models find hard cancels out.
    """

    candidate: float
    champion: float
    difference: Estimate


@dataclass(frozen=True)
class Segment:
    """A part of the rows, such as `country` `VN`, and the AUC there; None where there are too few rows of a kind."""

    by: str
    value: str
    rows: int
    bad: int
    auc: Paired | None


@dataclass(frozen=True)
class Agreement:
    """How alike the scores are: rank correlation (Spearman), mean distance in points, and shares of the rows.

    There is no correlation where a model gives everyone the same score.
    """

    rank_correlation: float | None
    mean_points_apart: float
    within_20_points: float
    same_band: float


@dataclass(frozen=True)
class Comparison:
    """All that was found on `rows` rows, `bad` of them bad."""

    rows: int
    bad: int
    figures: Mapping[str, Paired]
    agreement: Agreement
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class _Answers:
    probability: NDArray[np.float64]
    score: NDArray[np.int64]
    band: NDArray[np.str_]

    @classmethod
    def of(cls, bundle: Bundle, rows: Dataset) -> _Answers:
        matrix = rows.features.to_numpy()
        probability = 0.5 + 0.5 * np.tanh(0.5 * log_odds(bundle, matrix))
        bands = [bundle.policy.bands.of(each) for each in probability.tolist()]
        return cls(probability, scores(bundle, matrix), np.array(bands))


def compare(candidate: Bundle, champion: Bundle, rows: Dataset, seed: int = 7) -> Comparison:
    """Judge both models on the same rows.

    Example: a difference in AUC of `0.012 (-0.004 to 0.027)` says that the candidate ranked better, and that another
    such sample of loans could say the opposite.

    Args:
        candidate: the bundle that may come.
        champion: the bundle that is there.
        rows: unseen by both, with both kinds of outcome.
        seed: of the bootstrap.

    Raises:
        ComparisonError: a bundle was trained with another catalogue than the other's, or the rows'.
    """
    require_one_catalogue(candidate, champion)
    if candidate.sheet.catalogue != rows.catalogue:
        raise ComparisonError(
            f"Both models were trained with the catalogue {candidate.sheet.catalogue[:19]}, and this program computes "
            f"{rows.catalogue[:19]}; compare them with the release of SellerScore that trained them."
        )
    bad = rows.rows["bad"].to_numpy()
    ours, theirs = _Answers.of(candidate, rows), _Answers.of(champion, rows)
    return Comparison(
        rows=len(bad),
        bad=int(bad.sum()),
        figures=_paired(bad, ours.probability, theirs.probability, seed),
        agreement=_agreement(ours, theirs),
        segments=tuple(_segments(rows, ours, theirs, seed)),
    )


def require_one_catalogue(candidate: Bundle, champion: Bundle) -> None:
    """Check that the same rows can meet both bundles.

    Raises:
        ComparisonError: they were trained with different catalogues.
    """
    ours, theirs = candidate.sheet.catalogue, champion.sheet.catalogue
    if ours != theirs:
        raise ComparisonError(
            f"The candidate was trained with the catalogue {ours[:19]} and the champion with {theirs[:19]}: bundles of "
            "different catalogues cannot meet the same rows, so compare the figures that each run logged, which `make "
            "mlflow` shows side by side."
        )


def _paired(
    bad: NDArray[np.bool_],
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    seed: int,
    names: tuple[str, ...] = FIGURES,
) -> dict[str, Paired]:
    # the same seed draws the same rows for both
    (mine, mine_drawn), (other, other_drawn) = (resampled(bad, each, seed, names) for each in (ours, theirs))
    return {
        name: Paired(
            mine[name], other[name], Estimate.of(mine[name] - other[name], mine_drawn[name] - other_drawn[name])
        )
        for name in names
    }


def _agreement(ours: _Answers, theirs: _Answers) -> Agreement:
    from scipy.stats import spearmanr

    apart = np.abs(ours.score - theirs.score)
    constant = len(set(ours.score)) == 1 or len(set(theirs.score)) == 1
    return Agreement(
        rank_correlation=None if constant else float(spearmanr(ours.score, theirs.score).statistic),
        mean_points_apart=float(apart.mean()),
        within_20_points=float((apart <= NEAR).mean()),
        same_band=float((ours.band == theirs.band).mean()),
    )


def _segments(rows: Dataset, ours: _Answers, theirs: _Answers, seed: int) -> Iterator[Segment]:
    bad = rows.rows["bad"].to_numpy()
    of_each = groups(rows)
    for by in SEGMENTS:
        for value in ordered(by, of_each[by]):
            inside = (of_each[by] == value).to_numpy()
            yield _segment((by, value), bad[inside], (ours.probability[inside], theirs.probability[inside]), seed)


def _segment(
    named: tuple[str, str], bad: NDArray[np.bool_], given: tuple[NDArray[np.float64], NDArray[np.float64]], seed: int
) -> Segment:
    rows, bads = len(bad), int(bad.sum())
    judged = min(bads, rows - bads) >= LEAST_OF_A_KIND
    return Segment(*named, rows, bads, _paired(bad, *given, seed, ("auc",))["auc"] if judged else None)
