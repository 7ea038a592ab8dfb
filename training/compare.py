"""Comparison of two models on the same rows: differences of metrics with intervals, agreement of scores, segments."""

from __future__ import annotations

import math
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
"""The compared metrics; for the last two, less is better."""

NEAR: Final = 20
"""Scores within this number of points count as near: half of the points that double the odds."""


@dataclass(frozen=True)
class Paired:
    """A metric of both models on the same rows, and candidate less champion with its 95% interval.

    The interval is that of the difference on the same resamples, so that rows that are hard for both cancel out.
    """

    candidate: float
    champion: float
    difference: Estimate


@dataclass(frozen=True)
class Segment:
    """A part of the rows, such as `country` `VN`, with its AUC; None if there are too few bad or good rows."""

    by: str
    value: str
    rows: int
    bad: int
    auc: Paired | None


@dataclass(frozen=True)
class Agreement:
    """Agreement of the scores: rank correlation (Spearman), mean distance in points, and shares of the rows.

    The correlation is None if one model gives all rows the same score.
    """

    rank_correlation: float | None
    mean_points_apart: float
    within_20_points: float
    same_band: float


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison; `rows` is the number of rows, `bad` the number of bad ones."""

    rows: int
    bad: int
    figures: Mapping[str, Paired]
    agreement: Agreement
    segments: tuple[Segment, ...]


def compare(candidate: Bundle, champion: Bundle, rows: Dataset, seed: int = 7) -> Comparison:
    """Compare two bundles on the same rows.

    Example: an AUC difference of `0.012 (-0.004 to 0.027)` means that the candidate ranked better, but that another
    sample of loans could show the opposite.

    Args:
        candidate: the bundle that may become the champion.
        champion: the bundle of the champion.
        rows: rows that neither was trained on, with both kinds of outcome.
        seed: of the bootstrap.

    Raises:
        ComparisonError: a bundle was trained with another catalogue than that of the rows.
    """
    for version, bundle in (("candidate", candidate), ("champion", champion)):
        if bundle.sheet.catalogue != rows.catalogue:
            raise ComparisonError(
                f"The {version} was trained with the catalogue {bundle.sheet.catalogue[:19]}, but the rows have the "
                f"catalogue {rows.catalogue[:19]}. Compare the test predictions that both runs stored."
            )
    return compare_predictions(predict(candidate, rows), predict(champion, rows), seed)


def compare_predictions(ours: pd.DataFrame, theirs: pd.DataFrame, seed: int = 7) -> Comparison:
    """Compare the test predictions of two models for the same loans in the same order.

    Args:
        ours: the candidate's, with the columns `predictions.COLUMNS`; outcomes and segments are read from it.
        theirs: the champion's.
        seed: of the bootstrap.
    """
    bad = ours["bad"].to_numpy(dtype=bool)
    probabilities = (ours["probability"].to_numpy(), theirs["probability"].to_numpy())
    return Comparison(
        rows=len(bad),
        bad=int(bad.sum()),
        figures=paired(bad, *probabilities, seed=seed),
        agreement=agreement(ours, theirs),
        segments=tuple(_segments(ours, probabilities, seed)),
    )


def paired(
    bad: NDArray[np.bool_],
    candidate: NDArray[np.float64],
    champion: NDArray[np.float64],
    *,
    seed: int = 7,
    names: tuple[str, ...] = FIGURES,
    sellers: pd.Series | None = None,
) -> dict[str, Paired]:
    """Return metrics of two models on the same rows.

    Args:
        bad: shape (n,), True if the loan is bad.
        candidate: shape (n,), the candidate's probabilities of default.
        champion: shape (n,), the champion's probabilities of default.
        seed: of the bootstrap; both models are measured on the same resamples.
        names: of the metrics.
        sellers: the seller of each row; all rows of a seller are resampled together.
    """
    (ours, our_samples), (theirs, their_samples) = (
        resampled(bad, probability, seed, names, sellers) for probability in (candidate, champion)
    )
    return {
        name: Paired(
            ours[name], theirs[name], Estimate.of(ours[name] - theirs[name], our_samples[name] - their_samples[name])
        )
        for name in names
    }


def agreement(ours: pd.DataFrame, theirs: pd.DataFrame) -> Agreement:
    """Return the agreement of two models from the columns `score` and `band`; shares are NaN without rows."""
    from scipy.stats import spearmanr

    one, other = ours["score"].to_numpy(dtype=np.float64), theirs["score"].to_numpy(dtype=np.float64)
    if not len(one):
        return Agreement(None, math.nan, math.nan, math.nan)
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
    for by in SEGMENTS:
        for value in in_order(by, ours[by]):
            inside = (ours[by] == value).to_numpy()
            bad = ours["bad"].to_numpy(dtype=bool)[inside]
            auc = None
            if min(bad.sum(), (~bad).sum()) >= LEAST_OF_A_KIND:
                auc = paired(bad, *(each[inside] for each in probabilities), seed=seed, names=("auc",))["auc"]
            yield Segment(by, value, len(bad), int(bad.sum()), auc)
