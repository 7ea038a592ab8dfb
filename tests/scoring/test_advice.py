"""Advice: every option does what it says, none with fewer actions exists, and nothing else is ever advised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import Bundle, BundleError, Vector, VectorError, Verdict, advise, assess
from scoring.advice import MOST_OPTIONS, Option
from scoring.sheet import FeatureEntry, HistoryThreshold, Reach, Sizes
from tests.scoring import monotone

BUNDLE = monotone.bundle()
SELLERS = monotone.vectors(5, 120)
BANDS = "ABCDE"


def moved(vector: Vector, option: Option) -> Vector:
    values = list(vector.values)
    for action in option.actions:
        for change in action.changes:
            place = monotone.NAMES.index(change.feature)
            assert values[place] == change.value
            values[place] = change.to
    return replace(vector, values=tuple(values))


def farthest(vector: Vector, groups: tuple[str, ...]) -> Vector:
    """Return the vector with all features of some groups at the end of their reach, worked out apart."""
    values = list(vector.values)
    size = 0 if (values[6] or 0.0) <= monotone.SMALL else 1
    for place, (name, group, sign) in enumerate(zip(monotone.NAMES, monotone.GROUPS, monotone.SIGNS, strict=True)):
        reach, value = monotone.REACHES.get(name, (None, None))[size], values[place]
        if group not in groups or reach is None or value is None:
            continue
        aim = value - sign * reach.move
        # the best that one in ten has, unless the seller is better already
        values[place] = min(value, max(aim, reach.best)) if sign > 0 else max(value, min(aim, reach.best))
    return replace(vector, values=tuple(values))


def fewest(bundle: Bundle, vector: Vector, band: str) -> int | None:
    """Return the least number of groups that lead to the band at the end of their reach, by trying all sets."""
    groups = ("returns", "reputation", "customers")
    for count in range(4):
        for chosen in combinations(groups, count):
            if (assess(bundle, [farthest(vector, chosen)])[0].band or "F") <= band:
                return count
    return None


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 50), seller=st.integers(0, 2**20), depth=st.integers(1, 4))
def test_options_do_what_they_say_and_none_has_fewer_actions(seed: int, seller: int, depth: int) -> None:
    bundle = monotone.bundle(seed, depth)
    for vector in monotone.vectors(seller, 12):
        now = assess(bundle, [vector])[0]
        advice = advise(bundle, vector)
        assert advice.band is not None
        least = fewest(bundle, vector, advice.band)
        if advice.verdict is Verdict.REACHED:
            assert now.band == advice.band == "A"
            continue
        assert advice.band == BANDS[BANDS.index(now.band or "") - 1]
        # an end that is told rounded may just miss the band that the end itself reaches
        if advice.verdict is Verdict.FOUND:
            assert least is not None
            assert len(advice.options[0].actions) >= least
            assert 1 <= len(advice.options) <= MOST_OPTIONS
        for option in advice.options:
            after = assess(bundle, [moved(vector, option)])[0]
            assert (after.score, after.band) == (option.score, option.band)
            assert (after.band or "F") <= advice.band
            assert option.points == option.score - (now.score or 0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 50), seller=st.integers(0, 2**20))
def test_every_change_is_needed_within_reach_and_for_the_better(seed: int, seller: int) -> None:
    bundle = monotone.bundle(seed)
    for vector in monotone.vectors(seller, 12):
        advice = advise(bundle, vector)
        bound = farthest(vector, ("returns", "reputation", "customers"))
        for option in advice.options:
            changes = [change for action in option.actions for change in action.changes]
            for change in changes:
                place = monotone.NAMES.index(change.feature)
                sign, end = monotone.SIGNS[place], bound.values[place]
                assert change.feature in monotone.REACHES
                assert end is not None
                assert sign * end <= sign * change.to < sign * change.value
                assert change.to == round(change.to, 3)
            for change in changes:
                others = [
                    replace(action, changes=tuple(each for each in action.changes if each != change))
                    for action in option.actions
                ]
                without = moved(vector, replace(option, actions=tuple(others)))
                assert (assess(bundle, [without])[0].band or "F") > (advice.band or "")


def _found(bundle: Bundle = BUNDLE) -> Iterator[tuple[Vector, Option]]:
    for vector in SELLERS:
        for option in advise(bundle, vector).options:
            yield vector, option


def test_options_come_with_the_fewest_actions_first_and_then_the_least_effort() -> None:
    several = [advise(BUNDLE, vector).options for vector in SELLERS]
    assert sum(len(options) > 1 for options in several) > 10
    for options in several:
        ranks = [(len(option.actions), option.effort) for option in options]
        assert ranks == sorted(ranks)
        groups = [{action.reason_group for action in option.actions} for option in options]
        assert not any(one < other for one in groups for other in groups)


def test_what_is_out_of_reach_is_said_with_how_far_one_comes() -> None:
    out = [vector for vector in SELLERS if advise(BUNDLE, vector).verdict is Verdict.OUT_OF_REACH]
    assert len(out) > 3
    for vector in out:
        advice = advise(BUNDLE, vector)
        now = assess(BUNDLE, [vector])[0]
        assert (advice.options, advice.days) == ((), 90)
        assert (now.score or 0) <= (advice.farthest or 0)
        limit = next(band.up_to for band in BUNDLE.policy.bands.items if band.name == advice.band)
        assert (advice.farthest or 0) <= BUNDLE.policy.scale.points_at(limit)


def test_a_named_band_is_aimed_at_and_an_unknown_one_refused() -> None:
    far = [(vector, advise(BUNDLE, vector, "A")) for vector in SELLERS if assess(BUNDLE, [vector])[0].band == "C"]
    found = [(vector, advice) for vector, advice in far if advice.options]
    assert found
    for vector, advice in found:
        assert advice.band == "A"
        assert {assess(BUNDLE, [moved(vector, option)])[0].band for option in advice.options} == {"A"}
        assert advise(BUNDLE, vector, "D").verdict is Verdict.REACHED
    with pytest.raises(VectorError, match="no band 'F'; the bands of the bundle are A, B, C, D, E"):
        advise(BUNDLE, SELLERS[0], "F")


def test_small_sellers_are_told_what_small_sellers_reached() -> None:
    features = {True: set[str](), False: set[str]()}
    for vector, option in _found():
        small = (vector.values[6] or 0.0) <= monotone.SMALL
        features[small] |= {change.feature for action in option.actions for change in action.changes}
    assert "mix" in features[False]
    assert "mix" not in features[True]


@pytest.mark.parametrize("values", [(None,), (5.0,)])
def test_without_a_score_there_is_no_advice(values: tuple[float | None, ...]) -> None:
    vector = replace(SELLERS[0], values=(*values, *SELLERS[0].values[1:]))
    assert advise(BUNDLE, vector).verdict is Verdict.NO_SCORE


def test_where_nothing_is_known_of_what_sellers_reached_nothing_is_advised() -> None:
    vector = next(vector for vector, _ in _found())
    unknown = replace(vector, values=(*vector.values[:6], None))
    assert advise(BUNDLE, unknown).verdict is Verdict.NOTHING_TO_MOVE
    old = replace(BUNDLE.sheet, sizes=None, entries=tuple(replace(entry, reach=()) for entry in BUNDLE.sheet.entries))
    assert advise(replace(BUNDLE, sheet=old), vector).verdict is Verdict.NOTHING_TO_MOVE


def test_advice_is_a_pure_function() -> None:
    for vector in SELLERS[:20]:
        assert advise(BUNDLE, vector) == advise(monotone.bundle(), vector)


@pytest.mark.parametrize(
    ("sign", "value", "expected"),
    [(1, 0.08, 0.05), (1, 0.04, 0.02), (1, 0.01, 0.01), (-1, 0.0, 0.02), (-1, 0.03, 0.03)],
)
def test_a_reach_ends_at_the_best_or_after_the_largest_move(sign: int, value: float, expected: float) -> None:
    assert Reach(best=0.02, move=0.03).of(value, sign) == pytest.approx(expected)


@pytest.mark.parametrize(("sales", "size"), [(-5.0, 0), (20.0, 0), (20.1, 1), (90.0, 1), (1e9, 2)])
def test_a_value_at_a_limit_is_of_the_smaller_size(sales: float, size: int) -> None:
    assert Sizes("sales", (20.0, 90.0)).of(sales) == size


@pytest.mark.parametrize(
    "unfit", [{"actionable": False}, {"structural": True}, {"sign": 0}], ids=["fixed", "structural", "free"]
)
def test_a_feature_that_may_not_be_advised_has_no_reach(unfit: dict[str, bool | int]) -> None:
    known = {"actionable": True, "structural": False, "sign": 1, **unfit}
    with pytest.raises(BundleError, match="moving it would be advised"):
        FeatureEntry("a", "A", "ratio", reason_group="g", typical=None, reach=(Reach(0.0, 1.0),), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Reach(float("nan"), 1.0), "finite best value and a finite move above 0"),
        (lambda: Reach(0.0, 0.0), "finite best value and a finite move above 0"),
        (lambda: Sizes("sales", (2.0, 2.0)), "must be finite and rise"),
        (lambda: Sizes("sales", (float("inf"),)), "must be finite and rise"),
        (lambda: Sizes("sales", (1.0,), 0), "at least one day"),
        (lambda: replace(BUNDLE.sheet, sizes=Sizes("unheard", (1.0,))), "unheard, which the feature sheet lacks"),
        (lambda: replace(BUNDLE.sheet, sizes=Sizes("sales", (1.0, 2.0))), "a reach for 2 sizes; the feature sheet has"),
        (lambda: replace(BUNDLE.sheet, sizes=None), "a reach for 2 sizes; the feature sheet has 0"),
        (lambda: replace(BUNDLE.sheet, history=(HistoryThreshold("stars", 1.0),)), "history cannot be moved"),
    ],
)
def test_a_sheet_that_could_not_advise_is_refused(wrong: object, sentence: str) -> None:
    assert callable(wrong)
    with pytest.raises(BundleError, match=sentence):
        wrong()
