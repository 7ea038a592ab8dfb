"""The assessment of a seller: outcome, score, explanation and versions, as data types."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NamedTuple

from scoring.freshness import TableGap
from scoring.outcome import Outcome, Shortfall
from scoring.reason_catalogue import Reason

SCALE_LIMIT: Final = "scale_limit"
"""Name of the contribution, and of the group, of the points cut off at an end of the scale."""


class GroupPoints(NamedTuple):
    """The points of a reason group: the sum of its features' points."""

    group: str
    label: str
    points: int


class Contribution(NamedTuple):
    """The points of one scored feature. `typical` is the reference population's median, in the unit of `value`.

    It is a tuple because a score has a hundred of them, and creating a frozen dataclass takes three times as long.
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
    """Why the score has its value: `base_points` plus the points of all groups, or of all contributions, is the score.

    If the score is cut off at an end of the scale, the last group and the last contribution are named `scale_limit`.
    """

    base_points: int
    reference_population: str
    groups: tuple[GroupPoints, ...]
    contributions: tuple[Contribution, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Versions:
    """The model, bundle, catalogue, reasons and scale of an assessment; `scale` has all parameters of the scale."""

    model: str
    bundle: str
    catalogue: str
    reasons: str
    scale: dict[str, float | int]


@dataclass(frozen=True)
class Assessment:
    """The result for one vector: a pure function of the vector, the date of the request and the bundle.

    Unless `outcome` is `scored`, there is no score, and `shortfalls` has the reasons. `table_gaps` are the optional
    tables that were not used; features computed from them count as missing.
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
        """Return plain values with the field names of the API."""
        plain = asdict(replace(self, explanation=None))
        if self.explanation is not None:
            plain["explanation"] = {
                **asdict(replace(self.explanation, groups=(), contributions=())),
                "groups": [group._asdict() for group in self.explanation.groups],
                "contributions": [contribution._asdict() for contribution in self.explanation.contributions],
            }
        return plain
