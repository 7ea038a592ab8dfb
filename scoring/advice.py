"""What would move a seller up a band: changes within reach, each verified by scoring the changed vector.

Only what the feature sheet gives a `reach` is moved: actionable, of one direction, and nothing that fake orders or a
second store would buy. Features of one reason group move together, as one action: who has fewer returns in 90 days has
fewer in a year. What is not moved stays as it is; and since every feature that is moved has a sign, others of its kind
that follow it in life can only help: a promise is a least one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.assess import Assessment, Outcome, assess, probability_of
from scoring.bundle import Bundle
from scoring.errors import ExplanationError, VectorError
from scoring.explain import contributions
from scoring.levers import Lever, Way, levers
from scoring.points import to_points
from scoring.vector import Vector, to_matrix

MOST_OPTIONS: Final = 3
MOST_ACTIONS: Final = 4
"""Of more at once the fewest are no longer looked for: nobody works on five things in a quarter."""

_SHARES: Final = 20
"""Into so many equal parts the way to the end of a reach is divided."""


class Verdict(StrEnum):
    """What became of a question for advice; all but the first come without options."""

    FOUND = "found"
    REACHED = "reached"
    OUT_OF_REACH = "out_of_reach"
    NOTHING_TO_MOVE = "nothing_to_move"
    NO_SCORE = "no_score"


@dataclass(frozen=True)
class Change:
    """One feature's value now, and the one to reach; both in `unit`."""

    feature: str
    label: str
    unit: str
    value: float
    to: float


@dataclass(frozen=True)
class Action:
    """Changes of one reason group: one thing to work on, however many figures tell of it."""

    reason_group: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Option:
    """Actions that together reach the band, and what they are worth.

    `effort`, above 0 and at most 1, is how far they go towards what one in ten sellers of that size reached. `score`,
    the `points` gained and `band` are those of the changed vector, scored as any other.
    """

    actions: tuple[Action, ...]
    effort: float
    score: int
    points: int
    band: str


@dataclass(frozen=True)
class Advice:
    """How to reach `band`: at most three options, fewest actions first, then least effort.

    Where there is none, `verdict` says why: `reached`, the seller is there; `out_of_reach`, for all moves together lead
    to `farthest` points only; `nothing_to_move`, for the bundle knows nothing that sellers of that size moved, or this
    one is at its end; `no_score`. `days` is the time in which others went so far.
    """

    verdict: Verdict
    band: str | None
    options: tuple[Option, ...] = ()
    farthest: int | None = None
    days: int | None = None


@dataclass(frozen=True)
class _Question:
    """Do these ways, gone this far, lead to the band?"""

    bundle: Bundle
    vector: Vector
    row: NDArray[np.float64]
    band: str

    def log_odds(self, tries: Sequence[Iterable[Way]], share: float = 1.0) -> NDArray[np.float64]:
        """Return the log-odds of default after each try."""
        rows = np.repeat(self.row, len(tries), axis=0)
        for changed, ways in zip(rows, tries, strict=True):
            for way in ways:
                changed[way.place] = way.at(share)
        policy = self.bundle.policy
        return to_points(contributions(self.bundle.model, rows), policy.calibration, policy.scale).log_odds

    def reached(self, tries: Sequence[Iterable[Way]], share: float = 1.0) -> list[bool]:
        """Return for each try whether it leads to the band, or a better one."""
        bands = self.bundle.policy.bands
        found = map(probability_of, self.log_odds(tries, share).tolist())
        return [bands.as_good(bands.of(each), self.band) for each in found]

    def assessed(self, tries: Sequence[tuple[Iterable[Way], float]]) -> list[Assessment]:
        """Score the changed vectors as any other."""
        return assess(self.bundle, [_changed(self.vector, ways, share) for ways, share in tries])


def advise(bundle: Bundle, vector: Vector, band: str | None = None) -> Advice:
    """Find the fewest changes that lead to a better band: the next one, unless another is named.

    Args:
        bundle: the model in force; its feature sheet says what sellers of each size reached.
        vector: the seller's values.
        band: the letter to reach.

    Example: `advise(bundle, vector).options[0].actions[0].changes[0]` is
    `Change("return_rate_90d", "Return rate, 90 days", "ratio", 0.0621, 0.041)`.

    Raises:
        VectorError: the vector does not meet the bundle, or the bundle has no such band.
        ExplanationError: the model's contributions are not finite or do not add up.
    """
    bands = bundle.policy.bands
    if band is not None and band not in bands.names:
        raise VectorError(f"There is no band {band!r}; the bands of the bundle are {', '.join(bands.names)}.")
    now = assess(bundle, [vector])[0]
    if now.outcome is not Outcome.SCORED or now.band is None:
        return Advice(Verdict.NO_SCORE, band)
    wanted = band or bands.next_better(now.band)
    if bands.as_good(now.band, wanted):
        return Advice(Verdict.REACHED, wanted)
    question = _Question(bundle, vector, to_matrix([vector], bundle.sheet), wanted)
    return _answer(question, now, levers(bundle.sheet, vector))


def _answer(question: _Question, now: Assessment, movable: Sequence[Lever]) -> Advice:
    band, sizes = question.band, question.bundle.sheet.sizes
    if not movable or sizes is None:
        return Advice(Verdict.NOTHING_TO_MOVE, band)
    everything = _ways(movable, range(len(movable)))
    if not question.reached([everything])[0]:
        farthest = question.assessed([(everything, 1.0)])[0].score
        return Advice(Verdict.OUT_OF_REACH, band, farthest=farthest, days=sizes.days)
    found = [_lessened(question, ways) for ways in _fewest(question, movable)]
    verified = zip(found, question.assessed(found), strict=True)
    options = [_option(now, after, ways, share) for (ways, share), after in verified]
    options.sort(key=lambda option: (len(option.actions), option.effort, -option.points))
    return Advice(Verdict.FOUND, band, tuple(options[:MOST_OPTIONS]), days=sizes.days)


def _ways(movable: Sequence[Lever], chosen: Iterable[int]) -> list[Way]:
    return [way for place in sorted(chosen) for way in movable[place]]


def _fewest(question: _Question, movable: Sequence[Lever]) -> list[list[Way]]:
    """Return the ways of the smallest sets of levers that reach the band; none of them holds another."""
    found: list[frozenset[int]] = []
    for count in range(1, min(MOST_ACTIONS, len(movable)) + 1):
        tries = [
            chosen
            for chosen in map(frozenset, combinations(range(len(movable)), count))
            if not any(smaller <= chosen for smaller in found)
        ]
        reached = question.reached([_ways(movable, chosen) for chosen in tries])
        found += [chosen for chosen, good in zip(tries, reached, strict=True) if good]
        if len(found) >= MOST_OPTIONS:
            break
    return [_ways(movable, chosen) for chosen in found or [frozenset(range(len(movable)))]]


def _lessened(question: _Question, ways: list[Way]) -> tuple[list[Way], float]:
    """Leave out what is not needed, that which gives least first; then go no farther than it takes."""
    alone = question.log_odds([[way] for way in ways])
    needed = ways
    for place in np.argsort(-alone, kind="stable"):
        others = [way for way in needed if way is not ways[place]]
        if others and question.reached([others])[0]:
            needed = others
    shares = [step / _SHARES for step in range(1, _SHARES + 1)]
    # the whole way is known to lead there
    first = bisect_left(shares, 1, hi=_SHARES - 1, key=lambda share: question.reached([needed], share)[0])
    return needed, shares[first]


def _option(now: Assessment, after: Assessment, ways: Iterable[Way], share: float) -> Option:
    if now.score is None or after.score is None or after.band is None:
        raise ExplanationError("Advice led to a vector that has no score, so there is none to give.")
    changes: dict[str, list[Change]] = {}
    for way in ways:
        entry = way.entry
        change = Change(entry.name, entry.label, entry.unit, way.value, way.at(share))
        changes.setdefault(entry.reason_group, []).append(change)
    actions = tuple(Action(group, tuple(each)) for group, each in changes.items())
    return Option(actions, share, after.score, after.score - now.score, after.band)


def _changed(vector: Vector, ways: Iterable[Way], share: float) -> Vector:
    values = list(vector.values)
    for way in ways:
        values[way.place] = way.at(share)
    return replace(vector, values=tuple(values))
