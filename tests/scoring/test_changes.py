"""Differences between scores: by feature and by model, with an exact sum, also at an end of the scale."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import Assessment, Bundle, Changes, VectorError, assess, changes
from scoring.assessment import SCALE_LIMIT
from scoring.scale import Scale
from tests.counts import repeat
from tests.scoring import build

ONE = build.bundle()
OTHER = build.bundle(build.Recipe(seed=9))
NARROW = build.bundle(its_policy=build.policy(Scale(min=590, max=600)))
ROWS = build.vectors(build.rows(build.Recipe(), 40, 11))


def scored(bundle: Bundle, row: int) -> Assessment:
    return assess(bundle, [ROWS[row]])[0]


def checked(difference: Changes | None) -> Changes:
    """Return the difference after a check of its sum."""
    assert difference is not None
    points = sum(change.points for change in difference.features)
    assert difference.before + difference.by_model + points == difference.now
    return difference


@pytest.mark.repeated
@settings(max_examples=repeat(20, 600), deadline=None)
@given(before=st.integers(0, 39), now=st.integers(0, 39), bundle=st.sampled_from([ONE, OTHER, NARROW]))
def test_scores_of_one_model_differ_by_features_only(before: int, now: int, bundle: Bundle) -> None:
    difference = checked(changes(scored(bundle, before), scored(bundle, now)))
    assert difference.by_model == 0
    sizes = [abs(change.points) for change in difference.features]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 not in sizes
    for change in difference.features:
        if change.feature != SCALE_LIMIT:
            column = bundle.sheet.names.index(change.feature)
            assert (change.before, change.now) == (ROWS[before].values[column], ROWS[now].values[column])


@pytest.mark.repeated
@settings(max_examples=repeat(20, 600), deadline=None)
@given(before=st.integers(0, 39), now=st.integers(0, 39))
def test_the_effect_of_the_model_is_that_on_the_earlier_vector(before: int, now: int) -> None:
    restated = scored(OTHER, before)
    difference = checked(changes(scored(ONE, before), scored(OTHER, now), restated))
    assert difference.by_model == (restated.score or 0) - (scored(ONE, before).score or 0)
    before_points, now_points = (
        [item.points for item in assessment.explanation.contributions]
        for assessment in (restated, scored(OTHER, now))
        if assessment.explanation
    )
    assert (difference.features == ()) == (before_points == now_points)


def test_an_end_of_the_scale_is_a_change_too() -> None:
    differences = [checked(changes(scored(NARROW, 0), scored(NARROW, row))) for row in range(40)]
    assert any(change.feature == SCALE_LIMIT for difference in differences for change in difference.features)


def test_with_another_catalogue_the_whole_difference_is_due_to_the_model() -> None:
    now = scored(OTHER, 1)
    now = replace(now, versions=replace(now.versions, catalogue="sha256:another"))
    difference = checked(changes(scored(ONE, 0), now))
    assert (difference.features, difference.since) == ((), build.AS_OF.isoformat())
    assert difference.by_model == difference.now - difference.before != 0


def test_the_first_assessment_must_not_be_later() -> None:
    before = replace(scored(ONE, 0), as_of="2026-02-01")
    with pytest.raises(VectorError, match="found 2026-02-01 and 2026-01-31"):
        changes(before, scored(ONE, 1))


def test_without_a_score_there_is_no_difference() -> None:
    new = assess(ONE, [replace(ROWS[0], values=(1.0, *ROWS[0].values[1:]))])[0]
    assert changes(new, scored(ONE, 1)) is None
    assert changes(scored(ONE, 1), new) is None
    # the restated assessment has no score, so the difference cannot be split
    difference = checked(changes(scored(ONE, 0), scored(OTHER, 1), replace(new, versions=scored(OTHER, 1).versions)))
    assert difference.features == ()


def test_a_restatement_with_another_model_or_day_is_rejected() -> None:
    for restated in (scored(NARROW, 0), None, replace(scored(OTHER, 0), as_of="2025-01-01")):
        with pytest.raises(VectorError, match="assess the earlier vector with the later bundle"):
            changes(scored(ONE, 0), scored(OTHER, 1), restated)
