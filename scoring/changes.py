"""Why a score is not what it was: the difference in points by feature and by model, adding up exactly.

Two scores of one seller differ because his figures moved, or because another model judges them. To tell them apart the
earlier vector is scored by the later model: `restated`. From `restated` to the later score only figures moved, from the
earlier score to `restated` only the model did. Where the catalogue changed, the earlier vector means nothing to the
later model, and all of the difference is the model's.
"""

from __future__ import annotations

from dataclasses import dataclass

from scoring.assess import Assessment, Contribution, Explanation
from scoring.errors import VectorError


@dataclass(frozen=True)
class FeatureChange:
    """A feature's values before and now, and what the move is worth; None where it was missing, or is."""

    feature: str
    label: str
    unit: str
    before: float | None
    now: float | None
    points: int


@dataclass(frozen=True)
class Changes:
    """From one score to a later one: `before + by_model + sum of points == now`, exactly.

    `features` holds those that moved the score, most points first, ties in catalogue order.
    """

    since: str
    before: int
    now: int
    by_model: int
    features: tuple[FeatureChange, ...]


def changes(before: Assessment, now: Assessment, restated: Assessment | None = None) -> Changes | None:
    """Compare two assessments of one seller; None where one of them has no number.

    Args:
        before: the earlier one.
        now: the later one.
        restated: the earlier vector, assessed by the later bundle; not needed where both are of one bundle.

    Example: a score went from 612 to 625 as the return rate fell: `before` 612, `now` 625, `by_model` 0, and
    `features` are one of +14 and one of -1.

    Raises:
        VectorError: `now` is of an earlier day than `before`; or, where both are of one catalogue, `restated` is not
            of the bundle of `now` and the day of `before`.
    """
    if now.as_of < before.as_of:
        raise VectorError(f"Changes lead from an earlier score to a later one; found {before.as_of} and {now.as_of}.")
    if before.score is None or now.score is None or now.explanation is None:
        return None
    if before.versions.bundle == now.versions.bundle:
        restated = before
    if restated is None and before.versions.catalogue == now.versions.catalogue:
        raise VectorError("To compare scores of two models, the earlier vector must be assessed by the later bundle.")
    if restated is None or restated.score is None or restated.explanation is None:
        return Changes(before.as_of, before.score, now.score, now.score - before.score, ())
    if (restated.versions, restated.as_of) != (now.versions, before.as_of):
        raise VectorError("To compare scores of two models, the earlier vector must be assessed by the later bundle.")
    moved = tuple(_moved(restated.explanation, now.explanation))
    return Changes(before.as_of, before.score, now.score, restated.score - before.score, moved)


def _moved(before: Explanation, now: Explanation) -> list[FeatureChange]:
    # an end of the scale is a contribution that only some have
    earlier, later = ({item.feature: item for item in each.contributions} for each in (before, now))
    found = [
        _change(about, earlier.get(name, _gone(about)), later.get(name, _gone(about)))
        for name, about in (earlier | later).items()
    ]
    return sorted((each for each in found if each.points), key=lambda each: -abs(each.points))


def _gone(about: Contribution) -> Contribution:
    return about._replace(value=None, points=0)


def _change(about: Contribution, before: Contribution, now: Contribution) -> FeatureChange:
    points = now.points - before.points
    return FeatureChange(about.feature, about.label, about.unit, before.value, now.value, points)
