"""Two models on the same rows: how much better or worse the candidate is, and how far that could be chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.errors import ComparisonError
from training.evidence.metrics import Estimate, resampled
from training.evidence.segments import LEAST_OF_A_KIND
from training.evidence.study import in_order
from training.predictions import SEGMENTS, predict

if TYPE_CHECKING:
    import pandas as pd

    from scoring import Bundle
    from training.dataset import Dataset

FIGURES: Final = ("auc", "gini", "ks", "brier", "log_loss")
"""What is compared; of the last two less is better."""

NEAR: Final = 20
"""Points within which two scores say much the same: half of what doubles the odds."""


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
    for version, bundle in (("candidate", candidate), ("champion", champion)):
        if bundle.sheet.catalogue != rows.catalogue:
            raise ComparisonError(
                f"The {version} was trained with the catalogue {bundle.sheet.catalogue[:19]}, and these rows are of "
                f"{rows.catalogue[:19]}. Compare the test predictions that both runs stored."
            )
    return compare_predictions(predict(candidate, rows), predict(champion, rows), seed)


def compare_predictions(ours: pd.DataFrame, theirs: pd.DataFrame, seed: int = 7) -> Comparison:
    """Compare the predictions of two models for the same loans in the same order; see `predictions.COLUMNS`.

    Outcomes and segments are those of the candidate's table, `ours`.
    """
    bad = ours["bad"].to_numpy(dtype=bool)
    probabilities = (ours["probability"].to_numpy(), theirs["probability"].to_numpy())
    return Comparison(
        rows=len(bad),
        bad=int(bad.sum()),
        figures=_paired(bad, *probabilities, seed),
        agreement=_agreement(ours, theirs),
        segments=tuple(_segments(ours, probabilities, seed)),
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


def _agreement(ours: pd.DataFrame, theirs: pd.DataFrame) -> Agreement:
    from scipy.stats import spearmanr

    one, other = ours["score"].to_numpy(), theirs["score"].to_numpy()
    apart = np.abs(one - other)
    constant = len(set(one)) == 1 or len(set(other)) == 1
    return Agreement(
        rank_correlation=None if constant else float(spearmanr(one, other).statistic),
        mean_points_apart=float(apart.mean()),
        within_20_points=float((apart <= NEAR).mean()),
        same_band=float((ours["band"].to_numpy() == theirs["band"].to_numpy()).mean()),
    )


def _segments(
    ours: pd.DataFrame, probabilities: tuple[NDArray[np.float64], NDArray[np.float64]], seed: int
) -> Iterator[Segment]:
    bad = ours["bad"].to_numpy(dtype=bool)
    for by in SEGMENTS:
        for value in in_order(by, ours[by]):
            inside = (ours[by] == value).to_numpy()
            yield _segment((by, value), bad[inside], (probabilities[0][inside], probabilities[1][inside]), seed)


def _segment(
    named: tuple[str, str], bad: NDArray[np.bool_], given: tuple[NDArray[np.float64], NDArray[np.float64]], seed: int
) -> Segment:
    rows, bads = len(bad), int(bad.sum())
    judged = min(bads, rows - bads) >= LEAST_OF_A_KIND
    return Segment(*named, rows, bads, _paired(bad, *given, seed, ("auc",))["auc"] if judged else None)
