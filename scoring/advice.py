"""What would move a seller up a band: changes within reach, each verified by scoring the changed vector.

Only what the feature sheet gives a `reach` is changed: actionable, of one direction, and nothing that comes down to
selling more or to opening a second store. A promise holds if all else stays as it is: it is what the model says of the
changed vector, and no forecast.
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
from scoring.points import to_points
from scoring.vector import Vector, to_matrix
from scoring.ways import Way, ways

MOST_OPTIONS: Final = 3

_SHARES: Final = 20
"""Into so many equal parts the way to the end of a reach is divided."""


class Verdict(StrEnum):
    """What became of a question for advice; all but the first come without options."""

    FOUND = "found"
    REACHED = "reached"
    OUT_OF_REACH = "out_of_reach"
    NOTHING_TO_CHANGE = "nothing_to_change"
    NO_SCORE = "no_score"


@dataclass(frozen=True)
class Change:
    """One feature's value now, and the one to reach; both in `unit`."""

    feature: str
    label: str
    unit: str
    reason_group: str
    value: float
    to: float


@dataclass(frozen=True)
class Option:
    """Changes that together reach the band if all else stays as it is, and what they are worth.

    `effort`, above 0 and at most 1, is how far each goes towards what one in ten sellers of that size reached. `score`,
    the `points` gained and `band` are those of the changed vector, scored as any other.
    """

    changes: tuple[Change, ...]
    effort: float
    score: int
    points: int
    band: str


@dataclass(frozen=True)
class Advice:
    """How one who is in band `now` would reach `band`: at most three options, fewest changes first, then least effort.

    Where there is none, `verdict` says why: `reached`, the seller is there or in a better one; `out_of_reach`, for the
    best of all changes together leads to `farthest` points only; `nothing_to_change`, for the bundle knows nothing that
    sellers of that size changed, or all of it is as good as it gets; `no_score`. `days` is the time that others took.
    """

    verdict: Verdict
    now: str | None
    band: str | None
    options: tuple[Option, ...] = ()
    farthest: int | None = None
    days: int | None = None


_Try = tuple[Way, ...]


@dataclass(frozen=True)
class _Question:
    """Do these ways, gone this far, lead to the band?"""

    bundle: Bundle
    vector: Vector
    row: NDArray[np.float64]
    band: str

    def reached(self, tries: Sequence[_Try], share: float = 1.0) -> list[bool]:
        """Return for each try whether it leads to the band, or a better one."""
        rows = np.repeat(self.row, len(tries), axis=0)
        for changed, gone in zip(rows, tries, strict=True):
            for way in gone:
                changed[way.place] = way.at(share)
        bands, policy = self.bundle.policy.bands, self.bundle.policy
        points = to_points(contributions(self.bundle.model, rows), policy.calibration, policy.scale)
        return [bands.as_good(bands.of(probability_of(each)), self.band) for each in points.log_odds.tolist()]

    def assessed(self, tries: Iterable[tuple[_Try, float]]) -> list[Assessment]:
        """Score the changed vectors as any other."""
        return assess(self.bundle, [_changed(self.vector, gone, share) for gone, share in tries])


def advise(bundle: Bundle, vector: Vector, band: str | None = None) -> Advice:
    """Find the fewest changes that lead to a better band: the next one, unless another is named.

    All sets of changes are tried, so none with fewer exists within the reaches.

    Args:
        bundle: the model in force; its feature sheet says what sellers of each size reached.
        vector: the seller's values.
        band: the letter to reach.

    Example: `advise(bundle, vector).options[0].changes[0]` is
    `Change("return_rate_90d", "Return rate, 90 days", "ratio", "returns", 0.0621, 0.041)`.

    Raises:
        VectorError: the vector does not meet the bundle, or the bundle has no such band.
        ExplanationError: the model's contributions are not finite or do not add up.
    """
    bands = bundle.policy.bands
    if band is not None and band not in bands.names:
        raise VectorError(f"There is no band {band!r}; the bands of the bundle are {', '.join(bands.names)}.")
    now = assess(bundle, [vector])[0]
    if now.outcome is not Outcome.SCORED or now.band is None:
        return Advice(Verdict.NO_SCORE, None, band)
    wanted = band or bands.next_better(now.band)
    if bands.as_good(now.band, wanted):
        return Advice(Verdict.REACHED, now.band, wanted)
    return _answer(_Question(bundle, vector, to_matrix([vector], bundle.sheet), wanted), now)


def _answer(question: _Question, now: Assessment) -> Advice:
    sizes, possible = question.bundle.sheet.sizes, ways(question.bundle.sheet, question.vector)
    if not possible or sizes is None:
        return Advice(Verdict.NOTHING_TO_CHANGE, now.band, question.band)
    tries = [chosen for count in range(len(possible)) for chosen in combinations(possible, count + 1)]
    found = _fewest(tries, question.reached(tries))
    if not found:
        scores = [each.score or 0 for each in question.assessed((gone, 1.0) for gone in tries)]
        return Advice(Verdict.OUT_OF_REACH, now.band, question.band, farthest=max(scores), days=sizes.days)
    lessened = [(gone, _least_share(question, gone)) for gone in found]
    verified = zip(lessened, question.assessed(lessened), strict=True)
    options = [_option(question, now, after, gone, share) for (gone, share), after in verified]
    options.sort(key=lambda option: (len(option.changes), option.effort, -option.points))
    return Advice(Verdict.FOUND, now.band, question.band, tuple(options[:MOST_OPTIONS]), days=sizes.days)


def _fewest(tries: Sequence[_Try], reached: Sequence[bool]) -> list[_Try]:
    """Return the tries that reach the band and hold no smaller one that does; `tries` come smallest first."""
    found: list[_Try] = []
    for gone, good in zip(tries, reached, strict=True):
        if good and not any(set(smaller) <= set(gone) for smaller in found):
            found.append(gone)
    return found


def _least_share(question: _Question, gone: _Try) -> float:
    """Return the least share of these ways that leads to the band; the whole of them is known to."""
    shares = [step / _SHARES for step in range(1, _SHARES + 1)]
    return shares[bisect_left(shares, 1, hi=_SHARES - 1, key=lambda share: question.reached([gone], share)[0])]


def _option(question: _Question, now: Assessment, after: Assessment, gone: _Try, share: float) -> Option:
    reached = after.band is not None and question.bundle.policy.bands.as_good(after.band, question.band)
    if not reached or now.score is None or after.score is None or after.band is None:
        raise ExplanationError("What was to be advised does not lead to its band when it is scored; report this model.")
    changes = tuple(
        Change(way.entry.name, way.entry.label, way.entry.unit, way.entry.reason_group, way.value, way.at(share))
        for way in gone
    )
    return Option(changes, share, after.score, after.score - now.score, after.band)


def _changed(vector: Vector, gone: _Try, share: float) -> Vector:
    values = list(vector.values)
    for way in gone:
        values[way.place] = way.at(share)
    return replace(vector, values=tuple(values))
