"""Advice to a seller, as data types: options, steps, and principal reasons without a step.

`scoring.advise` finds the advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scoring.reason_catalogue import Reason


class AdviceVerdict(StrEnum):
    """The result of the search for advice.

    `FOUND`: feasible changes reach the band. `OUT_OF_REACH`: they raise the score but do not reach the band. `NO_STEP`:
    no feasible change raises the score. `REACHED`: the seller is already in the band or a better one. `NO_SCORE`: the
    seller has no score.
    """

    FOUND = "found"
    OUT_OF_REACH = "out_of_reach"
    NO_STEP = "no_step"
    REACHED = "reached"
    NO_SCORE = "no_score"


class Relation(StrEnum):
    """How a step relates to the principal reasons: it addresses one, or why no reason names the feature.

    `LESSER_COST`: the feature costs points and is not among the principal reasons. `NO_COST`: it costs no points now.
    `BETTER_THAN_TYPICAL`: its value is already better than typical.
    """

    PRINCIPAL_REASON = "principal_reason"
    LESSER_COST = "lesser_cost"
    NO_COST = "no_cost"
    BETTER_THAN_TYPICAL = "better_than_typical"


class OpenReasonCause(StrEnum):
    """Why no step addresses a principal reason.

    `CHANGES_SLOWLY`: the feature depends on months of trading. `RARELY_IMPROVED`: the improvement that sellers of this
    size make in the time raises the score too little. `BELOW_SCALE`: the score is at the lower end of the scale, and no
    single step raises it. `NEEDS_TABLE`: a table that the feature is computed from was not delivered or is too old.
    `NOT_COMPUTED`: the feature cannot be computed from the delivered data, such as a trend of a new seller.
    """

    CHANGES_SLOWLY = "changes_slowly"
    RARELY_IMPROVED = "rarely_improved"
    BELOW_SCALE = "below_scale"
    NEEDS_TABLE = "needs_table"
    NOT_COMPUTED = "not_computed"


@dataclass(frozen=True)
class Change:
    """One feature's current value and its target, both in `unit`."""

    feature: str
    label: str
    unit: str
    reason_group: str
    value: float
    to: float


@dataclass(frozen=True)
class Option:
    """Changes that together reach the band if everything else stays the same, and their effect.

    `effort`, above 0 and at most 1, is the share of each change, where 1 is what one in ten sellers of this size
    achieved. `score`, the `points` gained and `band` are those of the changed vector.
    """

    changes: tuple[Change, ...]
    effort: float
    score: int
    points: int
    band: str


@dataclass(frozen=True)
class Step:
    """A single change: the points that it gains, and how it relates to the principal reasons.

    `reason` is the code of the principal reason of the same group; None if no reason has this group,
    see `relation`.
    """

    change: Change
    score: int
    points: int
    relation: Relation
    reason: str | None


@dataclass(frozen=True)
class OpenReason:
    """A principal reason that no step addresses, and the cause; its gain is that of the typical value, over time."""

    reason: Reason
    why: OpenReasonCause


@dataclass(frozen=True)
class Advice:
    """Changes that raise the score of a seller in band `now`, and whether they reach `band`.

    Attributes:
        verdict: the result of the search.
        now: the seller's band; None without a score.
        band: the band to reach; None if the seller has no score and no band was requested.
        options: sets of changes that reach the band: at most three, fewest changes first, then least effort.
        steps: every single change that raises the score, most points first.
        open_reasons: principal reasons that no step addresses.
        farthest: the score with all feasible changes together; None if they gain less than two points.
        days: the time that other sellers took for such changes.
    """

    verdict: AdviceVerdict
    now: str | None
    band: str | None
    options: tuple[Option, ...] = ()
    steps: tuple[Step, ...] = ()
    open_reasons: tuple[OpenReason, ...] = ()
    farthest: int | None = None
    days: int | None = None
