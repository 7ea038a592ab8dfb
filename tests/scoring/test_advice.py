"""Advice: every option does what it says, none with fewer changes exists, and nothing else is ever advised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scoring.advice
from scoring import Bundle, BundleError, ExplanationError, Vector, VectorError, Verdict, advise, assess
from scoring.advice import MOST_OPTIONS, Change, Option, Relation, Unanswered
from scoring.sheet import MOST_REACHES, FeatureEntry, HistoryThreshold, Reach, Sizes
from tests.counts import repeat
from tests.scoring import monotone

BUNDLE = monotone.bundle()
SELLERS = monotone.vectors(5, 120)
BANDS = "ABCDE"

Values = list[float | None]


def with_values(vector: Vector, changed: dict[int, float]) -> Vector:
    return replace(vector, values=tuple(changed.get(place, value) for place, value in enumerate(vector.values)))


def moved(vector: Vector, option: Option) -> Vector:
    changed = {monotone.NAMES.index(change.feature): change for change in option.changes}
    assert all(vector.values[place] == change.value for place, change in changed.items())
    return with_values(vector, {place: change.to for place, change in changed.items()})


def ends(vector: Vector) -> dict[int, float]:
    """Return by place the best value within reach, as it is told, of what can be bettered; worked out apart."""
    found = {}
    size = 0 if (vector.values[6] or 0.0) <= monotone.SMALL else 1
    for place, (name, sign, digits) in enumerate(zip(monotone.NAMES, monotone.SIGNS, monotone.DIGITS, strict=True)):
        reach, value = monotone.REACHES.get(name, (None, None))[size], vector.values[place]
        if reach is None or value is None:
            continue
        aim = value - sign * reach.move
        # the best that one in ten has, unless the seller is better already
        end = min(value, max(aim, reach.best)) if sign > 0 else max(value, min(aim, reach.best))
        steps = round(end * 10**digits, 6)
        told = round((np.ceil(steps) if sign > 0 else np.floor(steps)) / 10**digits, digits)
        if sign * told < sign * value:
            found[place] = float(told)
    return found


def reaching(bundle: Bundle, vector: Vector, band: str) -> list[set[int]]:
    """Return the smallest sets of places that lead to the band at the end of their reach, by trying all."""
    end, found = ends(vector), list[set[int]]()
    for count in range(1, len(end) + 1):
        for chosen in map(set, combinations(end, count)):
            reached = (assess(bundle, [with_values(vector, {p: end[p] for p in chosen})])[0].band or "F") <= band
            if reached and not any(smaller < chosen for smaller in found):
                found.append(chosen)
    return found


@pytest.mark.repeated
@settings(max_examples=repeat(4, 250), deadline=None)
@given(seed=st.integers(0, 50), seller=st.integers(0, 2**20), depth=st.integers(1, 4))
def test_options_do_what_they_say_and_none_has_fewer_changes(seed: int, seller: int, depth: int) -> None:
    bundle = monotone.bundle(seed, depth)
    for vector in monotone.vectors(seller, 12):
        now, advice = assess(bundle, [vector])[0], advise(bundle, vector)
        assert advice.now == now.band
        if advice.verdict is Verdict.REACHED:
            assert now.band == advice.band == "A"
            continue
        assert advice.band == BANDS[BANDS.index(now.band or "") - 1]
        sets = reaching(bundle, vector, advice.band)
        assert (advice.verdict is Verdict.FOUND) == bool(sets)
        assert len(advice.options) == min(len(sets), MOST_OPTIONS)
        sizes = sorted(map(len, sets))[: len(advice.options)]
        assert [len(option.changes) for option in advice.options] == sizes
        for option in advice.options:
            assert {monotone.NAMES.index(change.feature) for change in option.changes} in sets
            after = assess(bundle, [moved(vector, option)])[0]
            assert (after.score, after.band) == (option.score, option.band)
            assert option.band <= advice.band
            assert option.points == option.score - (now.score or 0)


@pytest.mark.repeated
@settings(max_examples=repeat(4, 250), deadline=None)
@given(seed=st.integers(0, 50), seller=st.integers(0, 2**20))
def test_a_change_is_for_the_better_within_reach_and_as_small_as_it_may_be(seed: int, seller: int) -> None:
    bundle = monotone.bundle(seed)
    for vector in monotone.vectors(seller, 12):
        advice, end = advise(bundle, vector), ends(vector)
        for option in advice.options:
            steps = round(option.effort * 20)
            assert 1 <= steps <= 20
            assert option.effort == steps / 20
            for share, reached in ((steps, True), (steps - 1, False)):
                gone = {p: told(vector, p, end[p], share / 20) for p in map(place_of, option.changes)}
                band = assess(bundle, [with_values(vector, gone)])[0].band or "F"
                assert (band <= (advice.band or "")) == (reached and share > 0)
                if reached:
                    assert [gone[place_of(change)] for change in option.changes] == [c.to for c in option.changes]
            for change in option.changes:
                sign = monotone.SIGNS[place_of(change)]
                assert sign * end[place_of(change)] <= sign * change.to < sign * change.value


def place_of(change: Change) -> int:
    return monotone.NAMES.index(change.feature)


def told(vector: Vector, place: int, end: float, share: float) -> float:
    """Return a value after a share of the way, rounded for the better and not beyond the end."""
    value, sign, scale = vector.values[place] or 0.0, monotone.SIGNS[place], 10 ** monotone.DIGITS[place]
    steps = round((value + share * (end - value)) * scale, 6)
    aim = round((np.floor(steps) if sign > 0 else np.ceil(steps)) / scale, monotone.DIGITS[place])
    return value if share == 0 else float(max(aim, end) if sign > 0 else min(aim, end))


def _found(bundle: Bundle = BUNDLE) -> Iterator[tuple[Vector, Option]]:
    for vector in SELLERS:
        for option in advise(bundle, vector).options:
            yield vector, option


def test_options_come_with_the_fewest_changes_first_then_the_least_effort_then_the_most_points() -> None:
    several = [advise(BUNDLE, vector).options for vector in SELLERS]
    assert sum(len(options) > 1 for options in several) > 10
    for options in several:
        ranks = [(len(option.changes), option.effort, -option.points) for option in options]
        assert ranks == sorted(ranks)
    counts = {len(option.changes) for options in several for option in options}
    assert {1, 2} <= counts


def test_what_is_out_of_reach_is_said_with_how_far_one_comes() -> None:
    out = [vector for vector in SELLERS if advise(BUNDLE, vector).verdict is Verdict.OUT_OF_REACH]
    assert len(out) > 3
    for vector in out:
        advice, now = advise(BUNDLE, vector), assess(BUNDLE, [vector])[0]
        assert (advice.options, advice.days) == ((), 90)
        assert advice.farthest == assess(BUNDLE, [with_values(vector, ends(vector))])[0].score
        assert (advice.farthest or 0) - (now.score or 0) >= 2


def test_each_step_raises_the_score_by_its_points_and_none_that_does_is_left_out() -> None:
    relations = set()
    for vector in SELLERS:
        advice, now = advise(BUNDLE, vector), assess(BUNDLE, [vector])[0]
        if advice.verdict in {Verdict.REACHED, Verdict.NO_SCORE}:
            assert not advice.steps
            continue
        assert now.explanation
        codes = {reason.group: reason for reason in now.explanation.reasons}
        points = {each.feature: each.points for each in now.explanation.contributions}
        points |= {each.group: each.points for each in now.explanation.groups}
        gains = {}
        for place, end in ends(vector).items():
            gain = (assess(BUNDLE, [with_values(vector, {place: end})])[0].score or 0) - (now.score or 0)
            gains |= {monotone.NAMES[place]: gain} if gain >= 2 else {}
        assert {step.change.feature: step.points for step in advice.steps} == gains
        assert [step.points for step in advice.steps] == sorted(gains.values(), reverse=True)
        for step in advice.steps:
            relations.add(step.relation)
            entry = BUNDLE.sheet.entries[BUNDLE.sheet.place_of[step.change.feature]]
            answered = codes.get(entry.reason_group)
            assert step.reason == (answered.code if answered else None)
            if answered is None:
                costs = points[entry.name] < 0 and points[entry.reason_group] < 0
                risky = Relation.LESSER_COST if costs else Relation.NO_COST
                assert step.relation is (risky if entry.is_risky(step.change.value) else Relation.BETTER_THAN_TYPICAL)
        # every reason is answered by a step, or listed with why not
        listed = [each.reason.code for each in advice.open_reasons] + [step.reason for step in advice.steps]
        assert {reason.code for reason in codes.values()} == {code for code in listed if code}
        assert all(each.reason.gain >= 2 for each in advice.open_reasons)
    # this model has too few reason groups for a cost that is no principal reason
    assert relations == set(Relation) - {Relation.LESSER_COST}


def test_at_the_lowest_point_of_the_scale_no_step_is_called_rare() -> None:
    scores = [score for vector in SELLERS if (score := assess(BUNDLE, [vector])[0].score)]
    low = replace(BUNDLE.policy.scale, min=round(float(np.quantile(scores, 0.3))))
    cut = replace(BUNDLE, policy=replace(BUNDLE.policy, scale=low))
    why: dict[bool, set[Unanswered]] = {True: set(), False: set()}
    for vector in SELLERS:
        at_the_end = assess(cut, [vector])[0].score == low.min
        why[at_the_end] |= {each.why for each in advise(cut, vector).open_reasons}
    assert Unanswered.BELOW_SCALE in why[True]
    assert Unanswered.RARELY_IMPROVED not in why[True]
    assert Unanswered.BELOW_SCALE not in why[False]


def test_data_that_are_too_old_are_never_advised_on() -> None:
    old = replace(BUNDLE.sheet, entries=tuple(replace(each, tables=("traffic",)) for each in BUNDLE.sheet.entries))
    late = replace(BUNDLE, sheet=old)
    for vector in SELLERS[:20]:
        advice = advise(late, vector)
        assert (advice.options, advice.steps) == ((), ())


def test_a_named_band_is_aimed_at_and_an_unknown_one_refused() -> None:
    far = [(vector, advise(BUNDLE, vector, "A")) for vector in SELLERS if assess(BUNDLE, [vector])[0].band == "C"]
    found = [(vector, advice) for vector, advice in far if advice.options]
    assert found
    for vector, advice in found:
        assert advice.band == "A"
        assert {assess(BUNDLE, [moved(vector, option)])[0].band for option in advice.options} == {"A"}
        reached = advise(BUNDLE, vector, "D")
        assert (reached.verdict, reached.now, reached.band) == (Verdict.REACHED, "C", "D")
    with pytest.raises(VectorError, match="no band 'F'; the bands of the bundle are A, B, C, D, E"):
        advise(BUNDLE, SELLERS[0], "F")


def test_small_sellers_are_told_what_small_sellers_reached() -> None:
    features = {True: set[str](), False: set[str]()}
    for vector, option in _found():
        small = (vector.values[6] or 0.0) <= monotone.SMALL
        features[small] |= {change.feature for change in option.changes}
    assert "mix" in features[False]
    assert "mix" not in features[True]


@pytest.mark.parametrize("values", [(None,), (5.0,)])
def test_without_a_score_there_is_no_advice(values: tuple[float | None, ...]) -> None:
    vector = replace(SELLERS[0], values=(*values, *SELLERS[0].values[1:]))
    assert advise(BUNDLE, vector).verdict is Verdict.NO_SCORE


def test_where_nothing_is_known_of_what_sellers_reached_nothing_is_advised() -> None:
    vector = next(vector for vector, _ in _found())
    unknown = replace(vector, values=(*vector.values[:6], None))
    assert advise(BUNDLE, unknown).verdict is Verdict.NO_STEP
    old = replace(BUNDLE.sheet, sizes=None, entries=tuple(replace(entry, reach=()) for entry in BUNDLE.sheet.entries))
    assert advise(replace(BUNDLE, sheet=old), vector).verdict is Verdict.NO_STEP


def test_advice_is_a_pure_function() -> None:
    for vector in SELLERS[:20]:
        assert advise(BUNDLE, vector) == advise(monotone.bundle(), vector)


def test_a_value_beyond_all_rounding_is_scored_and_advised_on() -> None:
    vector = with_values(SELLERS[0], {1: 1e306})
    assert assess(BUNDLE, [vector])[0].score is not None
    assert advise(BUNDLE, vector).verdict in Verdict
    with pytest.raises(VectorError, match="allowed is a finite number"):
        advise(BUNDLE, with_values(SELLERS[0], {1: 10**400}))


def test_an_option_that_does_not_hold_when_it_is_scored_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = next(vector for vector, _ in _found())
    monkeypatch.setattr(scoring.advice, "_least_share", lambda *_: 0.0)
    with pytest.raises(ExplanationError, match="does not lead to its band"):
        advise(BUNDLE, vector)


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
    "unfit", [{"actionable": False}, {"structural": True}, {"scored": False}], ids=["fixed", "structural", "unscored"]
)
def test_a_feature_that_may_not_be_advised_has_no_reach(unfit: dict[str, bool | int]) -> None:
    known = {"actionable": True, "structural": False, "sign": 1, **unfit}
    with pytest.raises(BundleError, match="moving it would be advised"):
        FeatureEntry("a", "A", "ratio", reason_group="g", typical=None, reach=(Reach(0.0, 1.0),), **known)  # type: ignore[arg-type]


def _entries(count: int, groups: int) -> tuple[FeatureEntry, ...]:
    made = [
        FeatureEntry(f"f{n}", "F", "ratio", 1, True, False, f"g{n % groups}", None, reach=(Reach(0.0, 1.0),))
        for n in range(count)
    ]
    return tuple(made)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Reach(float("nan"), 1.0), "finite best value and a finite move above 0"),
        (lambda: Reach(0.0, 0.0), "finite best value and a finite move above 0"),
        (lambda: Sizes("sales", (2.0, 2.0)), "must be finite and rise"),
        (lambda: Sizes("sales", (float("inf"),)), "must be finite and rise"),
        (lambda: Sizes("sales", (1.0,), 0), "whole days, at least one"),
        (lambda: Sizes("sales", (1.0,), float("inf")), "whole days, at least one"),  # type: ignore[arg-type]
        (lambda: replace(BUNDLE.sheet, sizes=Sizes("unheard", (1.0,))), "unheard, which the feature sheet lacks"),
        (lambda: replace(BUNDLE.sheet, sizes=Sizes("sales", (1.0, 2.0))), "a reach for 2 sizes; the feature sheet has"),
        (lambda: replace(BUNDLE.sheet, sizes=None), "a reach for 2 sizes; the feature sheet has 0"),
        (lambda: replace(BUNDLE.sheet, history=(HistoryThreshold("stars", 1.0),)), "history cannot be moved"),
        (
            lambda: replace(BUNDLE.sheet, history=(), entries=_entries(2, 1), sizes=Sizes("f0", ())),
            "each of another reason group; found 2 of 1 groups",
        ),
        (
            lambda: replace(BUNDLE.sheet, history=(), entries=_entries(11, 11), sizes=Sizes("f0", ())),
            f"At most {MOST_REACHES} features may have a reach",
        ),
    ],
)
def test_a_sheet_that_could_not_advise_is_refused(wrong: object, sentence: str) -> None:
    assert callable(wrong)
    with pytest.raises(BundleError, match=sentence):
        wrong()
