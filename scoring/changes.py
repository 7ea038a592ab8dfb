"""Difference between two scores of a seller, split into feature changes and model change; the parts add up exactly.

Two scores differ because feature values changed or because another model was used. To separate the two, the earlier
vector is assessed with the later model; this is the `restated` assessment. The difference between the earlier and the
restated score is due to the model, the difference between the restated and the later score to feature values. If the
feature catalogue changed, the later model cannot read the earlier vector, and the whole difference is due to the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from scoring.assessment import Assessment, Contribution, Explanation
from scoring.errors import VectorError

_NOT_RESTATED = "To compare scores of two models, assess the earlier vector with the later bundle and pass the result."


@dataclass(frozen=True)
class FeatureChange:
    """A feature's earlier and later value and the difference in points; a value is None if it was missing."""

    feature: str
    label: str
    unit: str
    before: float | None
    now: float | None
    points: int


@dataclass(frozen=True)
class Changes:
    """The difference between an earlier and a later score: `before + by_model + sum of points == now`, exactly.

    `features` are those that changed the score, most points first, ties in catalogue order.
    """

    since: str
    before: int
    now: int
    by_model: int
    features: tuple[FeatureChange, ...]


def changes(before: Assessment, now: Assessment, restated: Assessment | None = None) -> Changes | None:
    """Compare two assessments of one seller; return None if either has no score.

    Args:
        before: the earlier assessment.
        now: the later assessment.
        restated: the earlier vector, assessed with the later bundle; not needed if both used the same bundle.

    Example: the score rose from 612 to 625 because the return rate fell. Then `before` is 612, `now` 625, `by_model` 0,
    and `features` has one change of +14 and one of -1 points.

    Raises:
        VectorError: `now` is of an earlier day than `before`; or both used the same catalogue, and `restated` is not
            of the bundle of `now` and the day of `before`.
    """
    if now.as_of < before.as_of:
        raise VectorError(
            f"The first assessment must not be later than the second; found {before.as_of} and {now.as_of}."
        )
    if before.score is None or now.score is None or now.explanation is None:
        return None
    if before.versions.bundle == now.versions.bundle:
        restated = before
    if restated is None and before.versions.catalogue == now.versions.catalogue:
        raise VectorError(_NOT_RESTATED)
    if restated is None or restated.score is None or restated.explanation is None:
        return Changes(before.as_of, before.score, now.score, now.score - before.score, ())
    if (restated.versions, restated.as_of) != (now.versions, before.as_of):
        raise VectorError(_NOT_RESTATED)
    features = tuple(_feature_changes(restated.explanation, now.explanation))
    return Changes(before.as_of, before.score, now.score, restated.score - before.score, features)


def _feature_changes(before: Explanation, now: Explanation) -> list[FeatureChange]:
    # only some assessments have a contribution of the scale limit
    earlier, later = ({item.feature: item for item in explanation.contributions} for explanation in (before, now))
    all_changes = [
        _feature_change(item, earlier.get(name, _without_points(item)), later.get(name, _without_points(item)))
        for name, item in (earlier | later).items()
    ]
    return sorted((change for change in all_changes if change.points), key=lambda change: -abs(change.points))


def _without_points(item: Contribution) -> Contribution:
    return item._replace(value=None, points=0)


def _feature_change(item: Contribution, before: Contribution, now: Contribution) -> FeatureChange:
    points = now.points - before.points
    return FeatureChange(item.feature, item.label, item.unit, before.value, now.value, points)
