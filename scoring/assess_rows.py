"""Assessment of many sellers as columns: outcomes, scores, points and reasons without an object for each seller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import Bundle
from scoring.errors import VectorError
from scoring.freshness import UnusedTables, optional_gaps
from scoring.outcome import Outcome, outcomes_of_rows
from scoring.scored_rows import ScoredRows, score_rows
from scoring.vector import Vector


@dataclass(frozen=True)
class AssessedRows:
    """The assessments of n sellers.

    Attributes:
        outcomes: the name of the outcome of each seller, such as `scored`, shape (n,).
        is_scored: whether the outcome is `scored`, shape (n,).
        scored: the results of the sellers with a score, in the same order.
    """

    outcomes: NDArray[np.object_]
    is_scored: NDArray[np.bool_]
    scored: ScoredRows


def assess_rows(bundle: Bundle, shared: Vector, values: NDArray[np.float64], threads: int = 1) -> AssessedRows:
    """Assess sellers whose vectors have the same dates, tables and catalogue. All numbers equal those of `assess`.

    Args:
        bundle: the model.
        shared: a vector with what all sellers share; its seller and its values are not read.
        values: the values of all features, shape (sellers, features), NaN if missing.
        threads: number of threads for the contributions.

    Example: `assess_rows(bundle, vector, values).scored.points.score` has the scores of the sellers that have one.

    Raises:
        VectorError: the values do not fit the bundle's feature sheet.
        ExplanationError: the model's contributions are not finite or do not add up.
    """
    sheet = bundle.sheet
    if shared.catalogue != sheet.catalogue:
        raise VectorError(
            f"The vectors were computed with catalogue {shared.catalogue}, but the model was trained with "
            f"{sheet.catalogue}; compute the features again with the model's catalogue, or train a model with this one."
        )
    if values.ndim != 2 or values.shape[1] != len(sheet.entries):  # noqa: PLR2004
        raise VectorError(f"The values have the shape {values.shape}; the model needs (sellers, {len(sheet.entries)}).")
    if infinite := int(np.isinf(values).sum()):
        raise VectorError(f"{infinite} values are infinite; allowed are finite numbers, NaN if missing.")
    outcomes = outcomes_of_rows(sheet, shared, values)
    is_scored = outcomes == Outcome.SCORED.value
    rows = values[is_scored]
    unused = UnusedTables((optional_gaps(sheet, shared),), np.zeros(len(rows), dtype=np.intp))
    unused.blank(sheet, rows)
    return AssessedRows(outcomes, is_scored, score_rows(bundle, rows, unused, threads))
