"""The one call that everyone makes: vectors and a bundle in, assessments out.

Single requests, batches, portfolios and replays all come here, which is why their bytes agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import Bundle
from scoring.explain import contributions
from scoring.freshness import TableGap, optional_gaps, required_gaps
from scoring.points import to_points
from scoring.reasons import Reason, principal_reasons
from scoring.sheet import FeatureSheet
from scoring.vector import Vector, to_matrix
from scoring.written import assessment_bytes

SCALE_LIMIT = "scale_limit"
"""The name of the contribution, and of the group, by which an end of the scale cuts the score off."""

_SCALE_LIMIT_LABEL = "Limit of the scale"
_PROBABILITY_DIGITS = 6


class Outcome(StrEnum):
    """What became of a request; all but the first are answers without a number.

    `INSUFFICIENT_HISTORY`: new on the platform, or too few days with sales. `INACTIVE`: sold before and not lately.
    `INSUFFICIENT_DATA`: a required table was not delivered. `STALE_DATA`: one ends too long before the request.
    """

    SCORED = "scored"
    INSUFFICIENT_HISTORY = "insufficient_history"
    INACTIVE = "inactive"
    INSUFFICIENT_DATA = "insufficient_data"
    STALE_DATA = "stale_data"


class GroupPoints(NamedTuple):
    """The points of a reason group: the sum of its features' points."""

    group: str
    label: str
    points: int


class Contribution(NamedTuple):
    """The points of one scored feature. `typical` is the reference population's median, in the unit of `value`.

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
    """Why the score is what it is: `base_points` plus the points of all groups is the score; so with contributions.

    Where an end of the scale cuts the score off, a group and a contribution named `scale_limit` come last.
    """

    base_points: int
    reference_population: str
    groups: tuple[GroupPoints, ...]
    contributions: tuple[Contribution, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Shortfall:
    """One thing that was missing for a score: `what` (a table or a feature), what was found and what is needed."""

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
    """A pure function of vector, date of the request and bundle.

    Without a number where `outcome` is not `scored`; `shortfalls` says why. `table_gaps` are the optional tables that
    the score does without: what rests on them counts as missing.
    """

    outcome: Outcome
    score: int | None
    band: str | None
    probability_of_default: float | None
    default_definition: str
    requested_on: str
    as_of: str
    data_through: str | None
    explanation: Explanation | None
    shortfalls: tuple[Shortfall, ...]
    table_gaps: tuple[TableGap, ...]
    versions: Versions

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as the API shows them."""
        plain = asdict(replace(self, explanation=None))
        if self.explanation is not None:
            plain["explanation"] = {
                **asdict(replace(self.explanation, groups=(), contributions=())),
                "groups": [item._asdict() for item in self.explanation.groups],
                "contributions": [item._asdict() for item in self.explanation.contributions],
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
    gaps = [optional_gaps(bundle.sheet, vector) for vector in vectors]
    matrix = readable(bundle.sheet, vectors, gaps)
    outcomes = [outcome_of(bundle.sheet, vector) for vector in vectors]
    scorable = np.array([outcome is Outcome.SCORED for outcome, _ in outcomes], dtype=bool)
    scored = iter(_scored(bundle, matrix[scorable], list(compress(gaps, scorable)), threads))
    return [
        _assessment(bundle, vector, gap, next(scored) if outcome is Outcome.SCORED else _Answer(outcome, shortfalls))
        for vector, gap, (outcome, shortfalls) in zip(vectors, gaps, outcomes, strict=True)
    ]


def probability_of(log_odds: float) -> float:
    """Return the probability of default as it is told, to a millionth.

    Example: `probability_of(0.0)` is 0.5.
    """
    # the logistic function as tanh, which no margin overflows
    return round(0.5 + 0.5 * math.tanh(0.5 * log_odds), _PROBABILITY_DIGITS)


def readable(
    sheet: FeatureSheet, vectors: Sequence[Vector], gaps: Sequence[tuple[TableGap, ...]]
) -> NDArray[np.float64]:
    """Return the values as the model reads them, shape (vectors, features): NaN also where a table is not used.

    Raises:
        VectorError: a vector does not meet the sheet.
    """
    matrix = to_matrix(vectors, sheet)
    for row, several in enumerate(gaps):
        for gap in several:
            matrix[row, sheet.resting_on[gap.table]] = np.nan
    return matrix


def outcome_of(sheet: FeatureSheet, vector: Vector) -> tuple[Outcome, tuple[Shortfall, ...]]:
    """Return the outcome of a vector, and what is missing for a score."""
    gaps = required_gaps(sheet, vector)
    if undelivered := [gap for gap in gaps if gap.data_through is None]:
        return Outcome.INSUFFICIENT_DATA, tuple(Shortfall(gap.table, None, "delivered") for gap in undelivered)
    if gaps:
        needed = f"at most {sheet.max_age_days} days before {vector.requested_on}"
        return Outcome.STALE_DATA, tuple(Shortfall(gap.table, gap.data_through, needed) for gap in gaps)
    short = tuple(
        Shortfall(threshold.feature, found, threshold.least)
        for threshold in sheet.history
        if ((found := vector.values[sheet.place_of[threshold.feature]]) or 0.0) < threshold.least
    )
    if (stopped := _inactivity(sheet, vector)) is not None:
        return Outcome.INACTIVE, (stopped, *short)
    return (Outcome.INSUFFICIENT_HISTORY if short else Outcome.SCORED), short


def _inactivity(sheet: FeatureSheet, vector: Vector) -> Shortfall | None:
    """Return how long ago the last sale was, where that is too long for a seller who sold before; else None."""
    if sheet.activity is None or vector.values[sheet.place_of[sheet.activity.since]] is None:
        return None
    since_last = vector.values[sheet.place_of[sheet.activity.feature]]
    if since_last is not None and since_last <= sheet.activity.most:
        return None
    return Shortfall(sheet.activity.feature, since_last, sheet.activity.most)


@dataclass(frozen=True)
class _Answer:
    """The part of an assessment that depends on the model; without a number where a shortfall stands in the way."""

    outcome: Outcome
    shortfalls: tuple[Shortfall, ...] = ()
    score: int | None = None
    band: str | None = None
    probability_of_default: float | None = None
    explanation: Explanation | None = None


def _assessment(bundle: Bundle, vector: Vector, gaps: tuple[TableGap, ...], answer: _Answer) -> Assessment:
    covered = [day for name in bundle.sheet.required_tables if (day := vector.data_through(name)) is not None]
    return Assessment(
        **vars(answer),
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


def _scored(
    bundle: Bundle, rows: NDArray[np.float64], gaps: Sequence[tuple[TableGap, ...]], threads: int
) -> Iterator[_Answer]:
    """Yield the answer of each row that can be scored."""
    explained = contributions(bundle.model, rows, threads)
    points = to_points(explained, bundle.policy.calibration, bundle.policy.scale, bundle.sheet.scored)
    reasons = principal_reasons(bundle, rows, points, gaps)
    values = rows[:, bundle.sheet.scored].tolist()
    for row, probability in enumerate(map(probability_of, points.log_odds.tolist())):
        earned, limit = points.features[row].tolist(), int(points.scale_limit[row])
        yield _Answer(
            outcome=Outcome.SCORED,
            score=int(points.score[row]),
            band=bundle.policy.bands.of(probability),
            probability_of_default=probability,
            explanation=Explanation(
                base_points=points.base,
                reference_population=bundle.reference.population,
                groups=_groups(bundle, earned, limit),
                contributions=_contributions(bundle.sheet, values[row], earned, limit),
                reasons=reasons[row],
            ),
        )


def _groups(bundle: Bundle, earned: Sequence[int], limit: int) -> tuple[GroupPoints, ...]:
    sums: dict[str, int] = {}
    for entry, points in zip(bundle.sheet.scored_entries, earned, strict=True):
        sums[entry.reason_group] = sums.get(entry.reason_group, 0) + points
    # in the order of the reason catalogue, which names each group of the sheet once
    each = [GroupPoints(it.name, it.label.en, sums[it.name]) for it in bundle.reasons.groups if it.name in sums]
    if limit:
        each.append(GroupPoints(SCALE_LIMIT, _SCALE_LIMIT_LABEL, limit))
    return tuple(each)


def _contributions(
    sheet: FeatureSheet, values: Sequence[float], earned: Sequence[int], limit: int
) -> tuple[Contribution, ...]:
    each = [
        Contribution(
            entry.name,
            entry.label,
            None if math.isnan(value) else value,
            entry.unit,
            entry.typical,
            points,
            entry.reason_group,
        )
        for entry, value, points in zip(sheet.scored_entries, values, earned, strict=True)
    ]
    if limit:
        each.append(Contribution(SCALE_LIMIT, _SCALE_LIMIT_LABEL, None, "points", None, limit, None))
    return tuple(each)
