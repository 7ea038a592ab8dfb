"""The one call that everyone makes: vectors and a bundle in, assessments out.

Single requests, batches, portfolios and replays all come here, which is why their bytes agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from scoring.bundle import Bundle
from scoring.explain import contributions
from scoring.points import Points, to_points
from scoring.reasons import Reason, principal_reasons
from scoring.vector import Vector, to_matrix
from scoring.written import assessment_bytes

SCALE_LIMIT = "scale_limit"
"""The name of the contribution by which an end of the scale cuts the score off."""

_PROBABILITY_DIGITS = 6


class Outcome(StrEnum):
    """What became of a request; all but the first are answers without a number."""

    SCORED = "scored"
    INSUFFICIENT_HISTORY = "insufficient_history"
    INSUFFICIENT_DATA = "insufficient_data"
    STALE_DATA = "stale_data"


class Contribution(NamedTuple):
    """The points of one feature. `typical` is the reference population's median, in the same unit as `value`.

    A tuple, since a score has a hundred of them and a frozen dataclass takes three times as long to make.
    """

    feature: str
    label: str
    value: float | None
    unit: str
    typical: float | None
    points: int
    reason_group: str | None


@dataclass(frozen=True)
class Explanation:
    """Why the score is what it is: `base_points` plus all contributions' points is the score."""

    base_points: int
    reference_population: str
    contributions: tuple[Contribution, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Shortfall:
    """One thing that was lacking: `what` (a table or a feature), what was found and what is needed."""

    what: str
    found: float | str | None
    needed: float | str


@dataclass(frozen=True)
class Versions:
    """What an assessment was made with; `scale` is the whole scale, since libraries differ."""

    model: str
    bundle: str
    catalogue: str
    reasons: str
    scale: dict[str, float | int]


@dataclass(frozen=True)
class Assessment:
    """A pure function of vector and bundle. Without a number where `outcome` is not `scored`; `shortfalls` says why."""

    outcome: Outcome
    score: int | None
    band: str | None
    probability_of_default: float | None
    default_definition: str
    as_of: str
    data_through: str | None
    explanation: Explanation | None
    shortfalls: tuple[Shortfall, ...]
    versions: Versions

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the API shows them."""
        plain = asdict(replace(self, explanation=None))
        if self.explanation is not None:
            contributions = [item._asdict() for item in self.explanation.contributions]
            plain["explanation"] = {
                **asdict(replace(self.explanation, contributions=())),
                "contributions": contributions,
            }
        return plain

    @cached_property
    def canonical_bytes(self) -> bytes:
        """The bytes that are stored, signed and compared: the canonical JSON of `to_dict`."""
        return assessment_bytes(self)


def assess(bundle: Bundle, vectors: Sequence[Vector], threads: int = 1) -> list[Assessment]:
    """Assess each vector with the bundle; the result's order is the vectors'.

    One vector or a million, alone or beside others, on any number of threads: an assessment's canonical bytes are the
    same.

    Example: `assess(bundle, [vector])[0].score` is 625.

    Raises:
        VectorError: a vector does not meet the bundle's feature sheet.
        ExplanationError: the model's contributions are not finite or do not add up.
    """
    matrix = to_matrix(vectors, bundle.sheet)
    judged = [_shortfall(bundle, vector) for vector in vectors]
    scorable = np.array([outcome is Outcome.SCORED for outcome, _ in judged], dtype=bool)
    explained = contributions(bundle.model, matrix[scorable], threads)
    points = to_points(explained, bundle.policy.calibration, bundle.policy.scale)
    row_of = np.cumsum(scorable) - 1
    return [
        _scored(bundle, vector, points, int(row_of[i]))
        if scorable[i]
        else _answer(bundle, vector, outcome=judged[i][0], shortfalls=judged[i][1])
        for i, vector in enumerate(vectors)
    ]


def probability_of(log_odds: float) -> float:
    """Return the probability of default as it is told, to a millionth.

    Example: `probability_of(0.0)` is 0.5.
    """
    # the logistic function as tanh, which no margin overflows
    return round(0.5 + 0.5 * math.tanh(0.5 * log_odds), _PROBABILITY_DIGITS)


def _shortfall(bundle: Bundle, vector: Vector) -> tuple[Outcome, tuple[Shortfall, ...]]:
    sheet = bundle.sheet
    withheld = [name for name in sheet.required_tables if name not in vector.covers_through]
    if withheld:
        return Outcome.INSUFFICIENT_DATA, tuple(Shortfall(name, None, "delivered") for name in withheld)
    late = [
        Shortfall(name, vector.covers_through[name].isoformat(), f"at most {sheet.max_age_days} days before as_of")
        for name in sheet.required_tables
        if (vector.as_of - vector.covers_through[name]).days > sheet.max_age_days
    ]
    if late:
        return Outcome.STALE_DATA, tuple(late)
    values = dict(zip(sheet.names, vector.values, strict=True))
    short = [
        Shortfall(threshold.feature, values[threshold.feature], threshold.least)
        for threshold in sheet.history
        if (values[threshold.feature] or 0.0) < threshold.least
    ]
    return (Outcome.INSUFFICIENT_HISTORY if short else Outcome.SCORED), tuple(short)


def _answer(bundle: Bundle, vector: Vector, **known: Any) -> Assessment:
    covered = [vector.covers_through[name] for name in bundle.sheet.required_tables if name in vector.covers_through]
    numbers = {
        "score": None,
        "band": None,
        "probability_of_default": None,
        "explanation": None,
        "shortfalls": (),
    }
    return Assessment(
        **{**numbers, **known},
        default_definition=bundle.policy.default_definition,
        as_of=vector.as_of.isoformat(),
        data_through=min(covered).isoformat() if covered else None,
        versions=Versions(
            model=bundle.model_digest,
            bundle=bundle.digest,
            catalogue=bundle.sheet.catalogue,
            reasons=bundle.reasons.version,
            scale=dict(vars(bundle.policy.scale)),
        ),
    )


def _scored(bundle: Bundle, vector: Vector, points: Points, row: int) -> Assessment:
    earned = points.features[row].tolist()
    probability = probability_of(float(points.log_odds[row]))
    explanation = Explanation(
        base_points=points.base,
        reference_population=bundle.reference.population,
        contributions=_contributions(bundle, vector, earned, int(points.scale_limit[row])),
        reasons=principal_reasons(earned, bundle.sheet, bundle.reasons),
    )
    return _answer(
        bundle,
        vector,
        outcome=Outcome.SCORED,
        score=int(points.score[row]),
        band=bundle.policy.bands.of(probability),
        probability_of_default=probability,
        explanation=explanation,
    )


def _contributions(bundle: Bundle, vector: Vector, earned: list[int], limit: int) -> tuple[Contribution, ...]:
    each = [
        Contribution(entry.name, entry.label, value, entry.unit, entry.typical, points, entry.reason_group)
        for entry, value, points in zip(bundle.sheet.entries, vector.values, earned, strict=True)
    ]
    if limit:
        each.append(Contribution(SCALE_LIMIT, "End of the scale", None, "points", None, limit, None))
    return tuple(each)
