"""Why a score is not what it was: by feature and by model, adding up exactly, also across the end of the scale."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import Assessment, Bundle, Changes, VectorError, assess, changes
from scoring.assess import SCALE_LIMIT
from scoring.scale import Scale
from tests.counts import repeat
from tests.scoring import build

ONE = build.bundle()
OTHER = build.bundle(build.Recipe(seed=9))
NARROW = build.bundle(its_policy=build.policy(Scale(min=590, max=600)))
ROWS = build.vectors(build.rows(build.Recipe(), 40, 11))


def scored(bundle: Bundle, place: int) -> Assessment:
    return assess(bundle, [ROWS[place]])[0]


def adding_up(found: Changes | None) -> Changes:
    assert found is not None
    assert found.before + found.by_model + sum(each.points for each in found.features) == found.now
    return found


@pytest.mark.repeated
@settings(max_examples=repeat(20, 600), deadline=None)
@given(before=st.integers(0, 39), now=st.integers(0, 39), bundle=st.sampled_from([ONE, OTHER, NARROW]))
def test_between_scores_of_one_model_all_is_by_feature(before: int, now: int, bundle: Bundle) -> None:
    found = adding_up(changes(scored(bundle, before), scored(bundle, now)))
    assert found.by_model == 0
    sizes = [abs(each.points) for each in found.features]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 not in sizes
    for each in found.features:
        if each.feature != SCALE_LIMIT:
            place = bundle.sheet.names.index(each.feature)
            assert (each.before, each.now) == (ROWS[before].values[place], ROWS[now].values[place])


@pytest.mark.repeated
@settings(max_examples=repeat(20, 600), deadline=None)
@given(before=st.integers(0, 39), now=st.integers(0, 39))
def test_another_model_is_told_apart_by_scoring_the_earlier_vector_with_it(before: int, now: int) -> None:
    restated = scored(OTHER, before)
    found = adding_up(changes(scored(ONE, before), scored(OTHER, now), restated))
    assert found.by_model == (restated.score or 0) - (scored(ONE, before).score or 0)
    assert (found.features == ()) == (
        restated.explanation is not None
        and [item.points for item in restated.explanation.contributions]
        == [item.points for item in (scored(OTHER, now).explanation or restated.explanation).contributions]
    )


def test_an_end_of_the_scale_is_a_change_too() -> None:
    found = [adding_up(changes(scored(NARROW, 0), scored(NARROW, place))) for place in range(40)]
    assert any(each.feature == SCALE_LIMIT for change in found for each in change.features)


def test_where_the_earlier_vector_means_nothing_to_the_later_model_all_is_the_models() -> None:
    now = scored(OTHER, 1)
    now = replace(now, versions=replace(now.versions, catalogue="sha256:another"))
    found = adding_up(changes(scored(ONE, 0), now))
    assert (found.features, found.since) == ((), build.AS_OF.isoformat())
    assert found.by_model == found.now - found.before != 0


def test_a_difference_leads_from_an_earlier_day_to_a_later_one() -> None:
    before = replace(scored(ONE, 0), as_of="2026-02-01")
    with pytest.raises(VectorError, match="found 2026-02-01 and 2026-01-31"):
        changes(before, scored(ONE, 1))


def test_without_a_number_there_is_no_difference() -> None:
    new = assess(ONE, [replace(ROWS[0], values=(1.0, *ROWS[0].values[1:]))])[0]
    assert changes(new, scored(ONE, 1)) is None
    assert changes(scored(ONE, 1), new) is None
    # the later model would not score the earlier vector: then nothing can be told apart
    found = adding_up(changes(scored(ONE, 0), scored(OTHER, 1), replace(new, versions=scored(OTHER, 1).versions)))
    assert found.features == ()


def test_a_restatement_of_another_model_or_day_is_refused() -> None:
    with pytest.raises(VectorError, match="assessed by the later bundle"):
        changes(scored(ONE, 0), scored(OTHER, 1), scored(NARROW, 0))
    with pytest.raises(VectorError, match="assessed by the later bundle"):
        changes(scored(ONE, 0), scored(OTHER, 1))
    with pytest.raises(VectorError, match="assessed by the later bundle"):
        changes(scored(ONE, 0), scored(OTHER, 1), replace(scored(OTHER, 0), as_of="2025-01-01"))
