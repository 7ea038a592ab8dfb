"""Search for advice: feasible changes that raise a seller's score, each verified by scoring the changed vector.

Advice changes only features with a `reach` in the feature sheet: those that the seller can act on, and none that means
selling more, buying less or opening another store. The score of the changed vector holds if everything else stays the
same; it is not a forecast. Each step states the principal reason that it addresses, or why no reason names
its feature. Each principal reason without a step is listed with the cause.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scoring.advice import Advice, AdviceVerdict, Change, OpenReason, OpenReasonCause, Option, Relation, Step
from scoring.assess import assess
from scoring.assessment import Assessment
from scoring.bundle import Bundle
from scoring.errors import ExplanationError, VectorError
from scoring.explain import contributions
from scoring.feasible_changes import FeasibleChange, feasible_changes
from scoring.freshness import UnusedTables, optional_gaps, usable_values
from scoring.points import to_points
from scoring.policy import to_probability
from scoring.reason_catalogue import Reason
from scoring.reasons import MIN_GAIN
from scoring.vector import Vector

MAX_OPTIONS: Final = 3

_SHARES: Final = 20
"""Number of equal parts of a change that are tried to find the least effort."""


_ChangeSet = tuple[FeasibleChange, ...]


@dataclass(frozen=True)
class _Search:
    """A seller's values and score, and the band to reach."""

    bundle: Bundle
    vector: Vector
    row: NDArray[np.float64]
    score: int
    band: str

    def reaches_band(self, change_sets: Sequence[_ChangeSet], share: float = 1.0) -> list[bool]:
        """Return for each set whether it reaches the band or a better one and gains at least two points."""
        rows = np.repeat(self.row, len(change_sets), axis=0)
        for row, change_set in zip(rows, change_sets, strict=True):
            for change in change_set:
                row[change.column] = change.at(share)
        bands, policy = self.bundle.policy.bands, self.bundle.policy
        points = to_points(contributions(self.bundle.model, rows), policy.calibration, policy.scale)
        gains_enough = (points.score - self.score >= MIN_GAIN).tolist()
        probabilities = map(to_probability, points.log_odds.tolist())
        return [
            enough and bands.as_good(bands.of(probability), self.band)
            for enough, probability in zip(gains_enough, probabilities, strict=True)
        ]

    def assess_changed(self, change_sets: Iterable[tuple[_ChangeSet, float]]) -> list[Assessment]:
        """Assess the vector after a share of each set of changes."""
        return assess(self.bundle, [_changed_vector(self.vector, changes, share) for changes, share in change_sets])


def advise(bundle: Bundle, vector: Vector, band: str | None = None) -> Advice:
    """Find changes that raise the score, and the fewest changes that reach a better band.

    All combinations of feasible changes are tried, so no smaller set reaches the band.

    Args:
        bundle: the model in use; its feature sheet has the observed improvements of sellers by size.
        vector: the seller's values.
        band: the letter of the band to reach; by default the next better band.

    Example: `advise(bundle, vector).options[0].changes[0]` is
    `Change("return_rate_90d", "Return rate, 90 settled days", "ratio", "returns", 0.0621, 0.041)`.

    Raises:
        VectorError: the vector does not fit the bundle, or the bundle has no such band.
        ExplanationError: the model's contributions are not finite or do not add up.
    """
    bands = bundle.policy.bands
    if band is not None and band not in bands.names:
        raise VectorError(f"Unknown band {band!r}; the bands of the bundle are {', '.join(bands.names)}.")
    now = assess(bundle, [vector])[0]
    if now.explanation is None or now.band is None or now.score is None:
        return Advice(AdviceVerdict.NO_SCORE, None, band)
    target = band or bands.next_better(now.band)
    if bands.as_good(now.band, target):
        return Advice(AdviceVerdict.REACHED, now.band, target)
    row = usable_values(bundle.sheet, [vector], UnusedTables.of_rows([optional_gaps(bundle.sheet, vector)]))
    return _advice(_Search(bundle, vector, row, now.score, target), now, now.explanation.reasons)


def _advice(search: _Search, now: Assessment, reasons: Sequence[Reason]) -> Advice:
    bundle = search.bundle
    feasible = feasible_changes(bundle.sheet, search.row[0])
    steps = tuple(_steps(search, now, reasons, feasible))
    advice = Advice(
        AdviceVerdict.NO_STEP,
        now.band,
        search.band,
        steps=steps,
        open_reasons=tuple(_open_reasons(bundle, now, reasons, steps)),
        days=bundle.sheet.sizes.days if bundle.sheet.sizes else None,
    )
    farthest = search.assess_changed([(feasible, 1.0)])[0].score
    if now.score is None or farthest is None or farthest - now.score < MIN_GAIN:
        return advice
    options = tuple(_options(search, now, feasible))
    verdict = AdviceVerdict.FOUND if options else AdviceVerdict.OUT_OF_REACH
    return replace(advice, verdict=verdict, options=options, farthest=farthest)


def _options(search: _Search, now: Assessment, feasible: Sequence[FeasibleChange]) -> list[Option]:
    """Return the sets of changes that reach the band, fewest changes first, then least effort, then most points."""
    change_sets = [chosen for count in range(len(feasible)) for chosen in combinations(feasible, count + 1)]
    minimal = _minimal_sets(change_sets, search.reaches_band(change_sets))
    with_shares = [(change_set, _least_share(search, change_set)) for change_set in minimal]
    verified = zip(with_shares, search.assess_changed(with_shares), strict=True)
    options = [_option(search, now, after, change_set, share) for (change_set, share), after in verified]
    options.sort(key=lambda option: (len(option.changes), option.effort, -option.points))
    return options[:MAX_OPTIONS]


def _steps(
    search: _Search, now: Assessment, reasons: Sequence[Reason], feasible: Sequence[FeasibleChange]
) -> Iterator[Step]:
    """Yield each single change that raises the score, most points first."""
    code_of_group = {reason.group: reason.code for reason in reasons}
    points = {item.feature: item.points for item in now.explanation.contributions} if now.explanation else {}
    points |= {group.group: group.points for group in now.explanation.groups} if now.explanation else {}
    steps = []
    for change, after in zip(feasible, search.assess_changed(((change,), 1.0) for change in feasible), strict=True):
        if now.score is None or after.score is None or after.score - now.score < MIN_GAIN:
            continue
        code = code_of_group.get(change.entry.reason_group)
        relation = Relation.PRINCIPAL_REASON if code else _relation(change, points)
        steps.append(Step(_to_change(change, 1.0), after.score, after.score - now.score, relation, code))
    yield from sorted(steps, key=lambda step: -step.points)


def _relation(change: FeasibleChange, points: Mapping[str, int]) -> Relation:
    """Return why no principal reason names a feature; `points` are those of features and groups."""
    if not change.entry.is_risky(change.value):
        return Relation.BETTER_THAN_TYPICAL
    costs = points.get(change.entry.name, 0) < 0 and points.get(change.entry.reason_group, 0) < 0
    return Relation.LESSER_COST if costs else Relation.NO_COST


def _open_reasons(
    bundle: Bundle, now: Assessment, reasons: Sequence[Reason], steps: Sequence[Step]
) -> Iterator[OpenReason]:
    addressed = {step.reason for step in steps}
    groups_with_reach = {entry.reason_group for entry in bundle.sheet.entries if entry.reach}
    at_minimum = now.score == bundle.policy.scale.min
    too_small = OpenReasonCause.BELOW_SCALE if at_minimum else OpenReasonCause.RARELY_IMPROVED
    for reason in reasons:
        if reason.code in addressed:
            continue
        if reason.side == "missing":
            cause = OpenReasonCause.NEEDS_TABLE if reason.table else OpenReasonCause.NOT_COMPUTED
        else:
            cause = too_small if reason.group in groups_with_reach else OpenReasonCause.CHANGES_SLOWLY
        yield OpenReason(reason, cause)


def _minimal_sets(change_sets: Sequence[_ChangeSet], reaches_band: Sequence[bool]) -> list[_ChangeSet]:
    """Return the sets that reach the band and contain no smaller one that does; the smallest sets come first."""
    minimal: list[_ChangeSet] = []
    for change_set, reaches in zip(change_sets, reaches_band, strict=True):
        if reaches and not any(set(smaller) <= set(change_set) for smaller in minimal):
            minimal.append(change_set)
    return minimal


def _least_share(search: _Search, change_set: _ChangeSet) -> float:
    """Return the smallest share of these changes that reaches the band; the whole changes do."""
    shares = [step / _SHARES for step in range(1, _SHARES + 1)]
    return shares[bisect_left(shares, 1, hi=_SHARES - 1, key=lambda share: search.reaches_band([change_set], share)[0])]


def _option(search: _Search, now: Assessment, after: Assessment, change_set: _ChangeSet, share: float) -> Option:
    reaches = after.band is not None and search.bundle.policy.bands.as_good(after.band, search.band)
    if not reaches or now.score is None or after.score is None or after.band is None:
        raise ExplanationError("An option does not reach its band when it is scored; report this model.")
    changes = tuple(_to_change(change, share) for change in change_set)
    return Option(changes, share, after.score, after.score - now.score, after.band)


def _to_change(change: FeasibleChange, share: float) -> Change:
    entry = change.entry
    return Change(entry.name, entry.label, entry.unit, entry.reason_group, change.value, change.at(share))


def _changed_vector(vector: Vector, change_set: _ChangeSet, share: float) -> Vector:
    values = list(vector.values)
    for change in change_set:
        values[change.column] = change.at(share)
    return replace(vector, values=tuple(values))
