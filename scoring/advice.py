"""Advice: changes within a seller's reach that raise the score, each verified by scoring the changed vector.

Only what the feature sheet gives a `reach` is changed: actionable, and nothing that comes down to selling more, buying
less or opening a second store. A promise holds if all else stays as it is: it is what the model says of the changed
vector, and no forecast. Each step names the principal reason that it answers, or says why it is none; each reason that
no step answers is listed with why.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.assess import Assessment, assess, probability_of, readable
from scoring.bundle import Bundle
from scoring.errors import ExplanationError, VectorError
from scoring.explain import contributions
from scoring.freshness import optional_gaps
from scoring.points import to_points
from scoring.reasons import LEAST_GAIN, Reason
from scoring.vector import Vector
from scoring.ways import Way, ways

MOST_OPTIONS: Final = 3

_SHARES: Final = 20
"""Into so many equal parts the way to the end of a reach is divided."""


class Verdict(StrEnum):
    """The kind of an answer.

    `FOUND`: the band is within reach. `OUT_OF_REACH`: it is not, but changes within reach raise the score.
    `NO_STEP`: nothing within reach raises the score. `REACHED`: the seller is in the band, or a better one.
    `NO_SCORE`: there is no score to raise.
    """

    FOUND = "found"
    OUT_OF_REACH = "out_of_reach"
    NO_STEP = "no_step"
    REACHED = "reached"
    NO_SCORE = "no_score"


class Relation(StrEnum):
    """How a step relates to the principal reasons: it answers one, or why none names it.

    `LESSER_COST`: the figure costs points and is not among the principal reasons. `NO_COST`: it costs none today.
    `BETTER_THAN_TYPICAL`: it is better than typical already.
    """

    PRINCIPAL_REASON = "principal_reason"
    LESSER_COST = "lesser_cost"
    NO_COST = "no_cost"
    BETTER_THAN_TYPICAL = "better_than_typical"


class Unanswered(StrEnum):
    """Why no step answers a principal reason.

    `CHANGES_SLOWLY`: it follows from months of trading. `RARELY_IMPROVED`: what sellers of that size reach in the time
    raises the score too little. `BELOW_SCALE`: the score is at the lower end of the scale, and no single step lifts it.
    `NEEDS_TABLE`: a table that the figure rests on was not delivered or is too old.
    `NOT_COMPUTED`: the figure cannot be computed from what was delivered, such as a trend of a young seller.
    """

    CHANGES_SLOWLY = "changes_slowly"
    RARELY_IMPROVED = "rarely_improved"
    BELOW_SCALE = "below_scale"
    NEEDS_TABLE = "needs_table"
    NOT_COMPUTED = "not_computed"


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
class Step:
    """One change alone: the points that it gains, and how it relates to the principal reasons.

    `reason` is the code of the reason of the same group that it answers; None where `relation` says why there is none.
    """

    change: Change
    score: int
    points: int
    relation: Relation
    reason: str | None


@dataclass(frozen=True)
class OpenReason:
    """A principal reason that no step answers, and why; its gain is what the typical value would add in time."""

    reason: Reason
    why: Unanswered


@dataclass(frozen=True)
class Advice:
    """What would raise the score of a seller in band `now`, and whether that leads to `band`.

    Attributes:
        verdict: the kind of the answer.
        now: the seller's band; None without a score.
        band: the band to reach; None without a score and a wish.
        options: sets of changes that lead to the band: at most three, fewest changes first, then least effort.
        steps: every single change that raises the score, most points first.
        open_reasons: principal reasons that no step answers.
        farthest: the score with all changes within reach together; None where they raise it by less than two points.
        days: the time that other sellers took for such changes.
    """

    verdict: Verdict
    now: str | None
    band: str | None
    options: tuple[Option, ...] = ()
    steps: tuple[Step, ...] = ()
    open_reasons: tuple[OpenReason, ...] = ()
    farthest: int | None = None
    days: int | None = None


_Try = tuple[Way, ...]


@dataclass(frozen=True)
class _Question:
    """A seller's values and score, and the band to reach."""

    bundle: Bundle
    vector: Vector
    row: NDArray[np.float64]
    score: int
    band: str

    def reached(self, tries: Sequence[_Try], share: float = 1.0) -> list[bool]:
        """Return for each try whether it leads to the band or a better one, by at least two points."""
        rows = np.repeat(self.row, len(tries), axis=0)
        for changed, gone in zip(rows, tries, strict=True):
            for way in gone:
                changed[way.place] = way.at(share)
        bands, policy = self.bundle.policy.bands, self.bundle.policy
        points = to_points(contributions(self.bundle.model, rows), policy.calibration, policy.scale)
        enough = (points.score - self.score >= LEAST_GAIN).tolist()
        chances = map(probability_of, points.log_odds.tolist())
        return [more and bands.as_good(bands.of(each), self.band) for more, each in zip(enough, chances, strict=True)]

    def assessed(self, tries: Iterable[tuple[_Try, float]]) -> list[Assessment]:
        """Score the changed vectors as any other."""
        return assess(self.bundle, [_changed(self.vector, gone, share) for gone, share in tries])


def advise(bundle: Bundle, vector: Vector, band: str | None = None) -> Advice:
    """Find what raises the score, and the fewest changes that lead to a better band: the next, unless another is named.

    All sets of changes are tried, so none with fewer exists within the reaches.

    Args:
        bundle: the model in force; its feature sheet says what sellers of each size reached.
        vector: the seller's values.
        band: the letter to reach.

    Example: `advise(bundle, vector).options[0].changes[0]` is
    `Change("return_rate_90d", "Return rate, 90 settled days", "ratio", "returns", 0.0621, 0.041)`.

    Raises:
        VectorError: the vector does not meet the bundle, or the bundle has no such band.
        ExplanationError: the model's contributions are not finite or do not add up.
    """
    bands = bundle.policy.bands
    if band is not None and band not in bands.names:
        raise VectorError(f"There is no band {band!r}; the bands of the bundle are {', '.join(bands.names)}.")
    now = assess(bundle, [vector])[0]
    if now.explanation is None or now.band is None or now.score is None:
        return Advice(Verdict.NO_SCORE, None, band)
    wanted = band or bands.next_better(now.band)
    if bands.as_good(now.band, wanted):
        return Advice(Verdict.REACHED, now.band, wanted)
    row = readable(bundle.sheet, [vector], [optional_gaps(bundle.sheet, vector)])
    return _answer(_Question(bundle, vector, row, now.score, wanted), now, now.explanation.reasons)


def _answer(question: _Question, now: Assessment, reasons: Sequence[Reason]) -> Advice:
    bundle = question.bundle
    possible = ways(bundle.sheet, question.row[0])
    steps = tuple(_steps(question, now, reasons, possible))
    found = Advice(
        Verdict.NO_STEP,
        now.band,
        question.band,
        steps=steps,
        open_reasons=tuple(_open(bundle, now, reasons, steps)),
        days=bundle.sheet.sizes.days if bundle.sheet.sizes else None,
    )
    farthest = question.assessed([(possible, 1.0)])[0].score
    if now.score is None or farthest is None or farthest - now.score < LEAST_GAIN:
        return found
    options = tuple(_options(question, now, possible))
    verdict = Verdict.FOUND if options else Verdict.OUT_OF_REACH
    return replace(found, verdict=verdict, options=options, farthest=farthest)


def _options(question: _Question, now: Assessment, possible: Sequence[Way]) -> list[Option]:
    """Return the sets of changes that lead to the band, fewest changes first, then least effort, then most points."""
    tries = [chosen for count in range(len(possible)) for chosen in combinations(possible, count + 1)]
    lessened = [(gone, _least_share(question, gone)) for gone in _fewest(tries, question.reached(tries))]
    verified = zip(lessened, question.assessed(lessened), strict=True)
    options = [_option(question, now, after, gone, share) for (gone, share), after in verified]
    options.sort(key=lambda option: (len(option.changes), option.effort, -option.points))
    return options[:MOST_OPTIONS]


def _steps(question: _Question, now: Assessment, reasons: Sequence[Reason], possible: Sequence[Way]) -> Iterator[Step]:
    """Yield each way alone that raises the score, most points first."""
    code_of = {reason.group: reason.code for reason in reasons}
    costs = {each.feature: each.points for each in now.explanation.contributions} if now.explanation else {}
    costs |= {each.group: each.points for each in now.explanation.groups} if now.explanation else {}
    found = []
    for way, after in zip(possible, question.assessed(((way,), 1.0) for way in possible), strict=True):
        if now.score is None or after.score is None or after.score - now.score < LEAST_GAIN:
            continue
        code = code_of.get(way.entry.reason_group)
        relation = Relation.PRINCIPAL_REASON if code else _relation(way, costs)
        found.append(Step(_change(way, 1.0), after.score, after.score - now.score, relation, code))
    yield from sorted(found, key=lambda step: -step.points)


def _relation(way: Way, points: Mapping[str, int]) -> Relation:
    """Return why no principal reason names a figure; `points` are those of features and groups."""
    if not way.entry.is_risky(way.value):
        return Relation.BETTER_THAN_TYPICAL
    costs = points.get(way.entry.name, 0) < 0 and points.get(way.entry.reason_group, 0) < 0
    return Relation.LESSER_COST if costs else Relation.NO_COST


def _open(bundle: Bundle, now: Assessment, reasons: Sequence[Reason], steps: Sequence[Step]) -> Iterator[OpenReason]:
    answered = {step.reason for step in steps}
    advised = {entry.reason_group for entry in bundle.sheet.entries if entry.reach}
    too_little = Unanswered.BELOW_SCALE if now.score == bundle.policy.scale.min else Unanswered.RARELY_IMPROVED
    for reason in reasons:
        if reason.code in answered:
            continue
        if reason.side == "missing":
            why = Unanswered.NEEDS_TABLE if reason.table else Unanswered.NOT_COMPUTED
        else:
            why = too_little if reason.group in advised else Unanswered.CHANGES_SLOWLY
        yield OpenReason(reason, why)


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
    changes = tuple(_change(way, share) for way in gone)
    return Option(changes, share, after.score, after.score - now.score, after.band)


def _change(way: Way, share: float) -> Change:
    entry = way.entry
    return Change(entry.name, entry.label, entry.unit, entry.reason_group, way.value, way.at(share))


def _changed(vector: Vector, gone: _Try, share: float) -> Vector:
    values = list(vector.values)
    for way in gone:
        values[way.place] = way.at(share)
    return replace(vector, values=tuple(values))
