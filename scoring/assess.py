"""Assessment of vectors with a bundle.

Single requests, batches, portfolios and replays all call `assess`; therefore their results are equal to the byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from scoring.assessment import SCALE_LIMIT, Assessment, Contribution, Explanation, GroupPoints, Versions
from scoring.bundle import Bundle
from scoring.freshness import TableGap, UnusedTables, optional_gaps, usable_values
from scoring.outcome import Outcome, Shortfall, determine_outcome
from scoring.reasons import group_sums, to_reasons
from scoring.scored_rows import ScoredRows, score_rows
from scoring.sheet import FeatureSheet
from scoring.vector import Vector

_SCALE_LIMIT_LABEL: Final = "Limit of the scale"


def assess(bundle: Bundle, vectors: Sequence[Vector], threads: int = 1) -> list[Assessment]:
    """Assess each vector with the bundle, and return the assessments in the same order.

    The serialized bytes of an assessment do not depend on the number of vectors, on the other vectors or on the number
    of threads.

    Example: `assess(bundle, [vector])[0].score` is 625.

    Raises:
        VectorError: a vector does not fit the bundle's feature sheet.
        ExplanationError: the model's contributions are not finite or do not add up.
    """
    gaps = [optional_gaps(bundle.sheet, vector) for vector in vectors]
    unused = UnusedTables.of_rows(gaps)
    matrix = usable_values(bundle.sheet, vectors, unused)
    outcomes = [determine_outcome(bundle.sheet, vector) for vector in vectors]
    is_scored = np.array([outcome is Outcome.SCORED for outcome, _ in outcomes], dtype=bool)
    scores = _results(score_rows(bundle, matrix[is_scored], unused.take(is_scored), threads))
    return [
        _assessment(
            bundle,
            vector,
            vector_gaps,
            next(scores) if outcome is Outcome.SCORED else _ModelResult(outcome, shortfalls),
        )
        for vector, vector_gaps, (outcome, shortfalls) in zip(vectors, gaps, outcomes, strict=True)
    ]


@dataclass(frozen=True)
class _ModelResult:
    """The fields of an assessment that depend on the model; without a score if there are shortfalls."""

    outcome: Outcome
    shortfalls: tuple[Shortfall, ...] = ()
    score: int | None = None
    band: str | None = None
    probability_of_default: float | None = None
    explanation: Explanation | None = None


def _assessment(bundle: Bundle, vector: Vector, gaps: tuple[TableGap, ...], result: _ModelResult) -> Assessment:
    covered = [day for name in bundle.sheet.required_tables if (day := vector.data_through(name)) is not None]
    return Assessment(
        **vars(result),
        default_definition=bundle.policy.default_definition,
        requested_on=vector.requested_on.isoformat(),
        as_of=vector.as_of.isoformat(),
        data_through=min(covered).isoformat() if covered else None,
        table_gaps=gaps,
        versions=Versions(
            model=bundle.model_digest,
            bundle=bundle.digest,
            catalogue=bundle.sheet.catalogue,
            reasons=bundle.reasons.version,
            scale=dict(vars(bundle.policy.scale)),
        ),
    )


def _results(scored: ScoredRows) -> Iterator[_ModelResult]:
    """Yield score and explanation of each row."""
    bundle, points = scored.bundle, scored.points
    reasons = to_reasons(bundle, scored.rows, points, scored.unused, scored.reasons)
    sums = group_sums(bundle.sheet, points).tolist()
    values = scored.rows[:, bundle.sheet.scored].tolist()
    bands = bundle.policy.bands.names
    for row, (probability, band) in enumerate(zip(scored.probabilities, scored.bands.tolist(), strict=True)):
        feature_points, limit_points = points.features[row].tolist(), int(points.scale_limit[row])
        yield _ModelResult(
            outcome=Outcome.SCORED,
            score=int(points.score[row]),
            band=bands[band],
            probability_of_default=probability,
            explanation=Explanation(
                base_points=points.base,
                reference_population=bundle.reference.population,
                groups=_groups(bundle, sums[row], limit_points),
                contributions=_contributions(bundle.sheet, values[row], feature_points, limit_points),
                reasons=reasons[row],
            ),
        )


def _groups(bundle: Bundle, sums: Sequence[int], limit_points: int) -> tuple[GroupPoints, ...]:
    of_group = dict(zip(bundle.sheet.scored_groups, sums, strict=True))
    # in the order of the reason catalogue, which has each group of the sheet once
    groups = [
        GroupPoints(group.name, group.label.en, of_group[group.name])
        for group in bundle.reasons.groups
        if group.name in of_group
    ]
    if limit_points:
        groups.append(GroupPoints(SCALE_LIMIT, _SCALE_LIMIT_LABEL, limit_points))
    return tuple(groups)


def _contributions(
    sheet: FeatureSheet, values: Sequence[float], feature_points: Sequence[int], limit_points: int
) -> tuple[Contribution, ...]:
    items = [
        Contribution(
            entry.name,
            entry.label,
            None if math.isnan(value) else value,
            entry.unit,
            entry.typical,
            points,
            entry.reason_group,
        )
        for entry, value, points in zip(sheet.scored_entries, values, feature_points, strict=True)
    ]
    if limit_points:
        items.append(Contribution(SCALE_LIMIT, _SCALE_LIMIT_LABEL, None, "points", None, limit_points, None))
    return tuple(items)
