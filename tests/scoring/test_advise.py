"""Advice: every option reaches its band, no smaller set of changes does, and only feasible changes are advised."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import AdviceVerdict, Bundle, ExplanationError, Vector, VectorError, advise, assess
from scoring.advice import Change, OpenReasonCause, Option, Relation
from scoring.advise import MAX_OPTIONS
from tests.counts import repeat
from tests.scoring import monotone

BUNDLE = monotone.bundle()
SELLERS = monotone.vectors(5, 120)
BANDS = "ABCDE"


def with_values(vector: Vector, changed: dict[int, float]) -> Vector:
    return replace(vector, values=tuple(changed.get(column, value) for column, value in enumerate(vector.values)))


def changed_vector(vector: Vector, option: Option) -> Vector:
    changed = {monotone.NAMES.index(change.feature): change for change in option.changes}
    assert all(vector.values[column] == change.value for column, change in changed.items())
    return with_values(vector, {column: change.to for column, change in changed.items()})


def ends(vector: Vector) -> dict[int, float]:
    """Return the rounded end of the reach of each column that can improve, computed independently."""
    result = {}
    size = 0 if (vector.values[6] or 0.0) <= monotone.SMALL else 1
    for column, (name, sign, digits) in enumerate(zip(monotone.NAMES, monotone.SIGNS, monotone.DIGITS, strict=True)):
        reach, value = monotone.REACHES.get(name, (None, None))[size], vector.values[column]
        if reach is None or value is None:
            continue
        target = value - sign * reach.move
        # at most the best value of one in ten, and never worse than now
        end = min(value, max(target, reach.best)) if sign > 0 else max(value, min(target, reach.best))
        steps = round(end * 10**digits, 6)
        rounded = round((np.ceil(steps) if sign > 0 else np.floor(steps)) / 10**digits, digits)
        if sign * rounded < sign * value:
            result[column] = float(rounded)
    return result


def minimal_sets(bundle: Bundle, vector: Vector, band: str) -> list[set[int]]:
    """Return the minimal sets of columns that reach the band at the ends of their reaches, by trying all sets."""
    end, minimal = ends(vector), list[set[int]]()
    for count in range(1, len(end) + 1):
        for chosen in map(set, combinations(end, count)):
            reached = (assess(bundle, [with_values(vector, {p: end[p] for p in chosen})])[0].band or "F") <= band
            if reached and not any(smaller < chosen for smaller in minimal):
                minimal.append(chosen)
    return minimal


@pytest.mark.repeated
@settings(max_examples=repeat(4, 250), deadline=None)
@given(seed=st.integers(0, 50), seller=st.integers(0, 2**20), depth=st.integers(1, 4))
def test_options_reach_their_band_with_the_fewest_changes(seed: int, seller: int, depth: int) -> None:
    bundle = monotone.bundle(seed, depth)
    for vector in monotone.vectors(seller, 12):
        now, advice = assess(bundle, [vector])[0], advise(bundle, vector)
        assert advice.now == now.band
        if advice.verdict is AdviceVerdict.REACHED:
            assert now.band == advice.band == "A"
            continue
        assert advice.band == BANDS[BANDS.index(now.band or "") - 1]
        sets = minimal_sets(bundle, vector, advice.band)
        assert (advice.verdict is AdviceVerdict.FOUND) == bool(sets)
        assert len(advice.options) == min(len(sets), MAX_OPTIONS)
        sizes = sorted(map(len, sets))[: len(advice.options)]
        assert [len(option.changes) for option in advice.options] == sizes
        for option in advice.options:
            assert {monotone.NAMES.index(change.feature) for change in option.changes} in sets
            after = assess(bundle, [changed_vector(vector, option)])[0]
            assert (after.score, after.band) == (option.score, option.band)
            assert option.band <= advice.band
            assert option.points == option.score - (now.score or 0)


@pytest.mark.repeated
@settings(max_examples=repeat(4, 250), deadline=None)
@given(seed=st.integers(0, 50), seller=st.integers(0, 2**20))
def test_a_change_is_an_improvement_within_reach_and_as_small_as_possible(seed: int, seller: int) -> None:
    bundle = monotone.bundle(seed)
    for vector in monotone.vectors(seller, 12):
        advice, end = advise(bundle, vector), ends(vector)
        for option in advice.options:
            steps = round(option.effort * 20)
            assert 1 <= steps <= 20
            assert option.effort == steps / 20
            for share, reached in ((steps, True), (steps - 1, False)):
                values = {p: value_after(vector, p, end[p], share / 20) for p in map(column_of, option.changes)}
                band = assess(bundle, [with_values(vector, values)])[0].band or "F"
                assert (band <= (advice.band or "")) == (reached and share > 0)
                if reached:
                    assert [values[column_of(change)] for change in option.changes] == [c.to for c in option.changes]
            for change in option.changes:
                sign = monotone.SIGNS[column_of(change)]
                assert sign * end[column_of(change)] <= sign * change.to < sign * change.value


def column_of(change: Change) -> int:
    return monotone.NAMES.index(change.feature)


def value_after(vector: Vector, column: int, end: float, share: float) -> float:
    """Return a value after a share of the change, rounded towards the end and not beyond it."""
    value, sign, scale = vector.values[column] or 0.0, monotone.SIGNS[column], 10 ** monotone.DIGITS[column]
    steps = round((value + share * (end - value)) * scale, 6)
    target = round((np.floor(steps) if sign > 0 else np.ceil(steps)) / scale, monotone.DIGITS[column])
    return value if share == 0 else float(max(target, end) if sign > 0 else min(target, end))


def all_options(bundle: Bundle = BUNDLE) -> Iterator[tuple[Vector, Option]]:
    for vector in SELLERS:
        for option in advise(bundle, vector).options:
            yield vector, option


def test_options_are_sorted_by_number_of_changes_then_effort_then_points_and_fit_the_size() -> None:
    several = [advise(BUNDLE, vector).options for vector in SELLERS]
    assert sum(len(options) > 1 for options in several) > 10
    for options in several:
        ranks = [(len(option.changes), option.effort, -option.points) for option in options]
        assert ranks == sorted(ranks)
    assert {1, 2} <= {len(option.changes) for options in several for option in options}
    # reaches depend on the size of the seller
    features = {True: set[str](), False: set[str]()}
    for vector, option in all_options():
        features[(vector.values[6] or 0.0) <= monotone.SMALL] |= {change.feature for change in option.changes}
    assert ("mix" in features[False], "mix" in features[True]) == (True, False)


def test_a_band_out_of_reach_is_reported_with_the_farthest_score() -> None:
    sellers = [vector for vector in SELLERS if advise(BUNDLE, vector).verdict is AdviceVerdict.OUT_OF_REACH]
    assert len(sellers) > 3
    for vector in sellers:
        advice, now = advise(BUNDLE, vector), assess(BUNDLE, [vector])[0]
        assert (advice.options, advice.days) == ((), 90)
        assert advice.farthest == assess(BUNDLE, [with_values(vector, ends(vector))])[0].score
        assert (advice.farthest or 0) - (now.score or 0) >= 2


def test_steps_are_all_single_changes_that_raise_the_score() -> None:
    relations = set()
    for vector in SELLERS:
        advice, now = advise(BUNDLE, vector), assess(BUNDLE, [vector])[0]
        if advice.verdict in {AdviceVerdict.REACHED, AdviceVerdict.NO_SCORE}:
            assert not advice.steps
            continue
        assert now.explanation
        reasons = {reason.group: reason for reason in now.explanation.reasons}
        points = {item.feature: item.points for item in now.explanation.contributions}
        points |= {group.group: group.points for group in now.explanation.groups}
        gains = {}
        for column, end in ends(vector).items():
            gain = (assess(BUNDLE, [with_values(vector, {column: end})])[0].score or 0) - (now.score or 0)
            gains |= {monotone.NAMES[column]: gain} if gain >= 2 else {}
        assert {step.change.feature: step.points for step in advice.steps} == gains
        assert [step.points for step in advice.steps] == sorted(gains.values(), reverse=True)
        for step in advice.steps:
            relations.add(step.relation)
            entry = BUNDLE.sheet.entries[BUNDLE.sheet.index_of[step.change.feature]]
            reason = reasons.get(entry.reason_group)
            assert step.reason == (reason.code if reason else None)
            if reason is None:
                costs = points[entry.name] < 0 and points[entry.reason_group] < 0
                risky = Relation.LESSER_COST if costs else Relation.NO_COST
                assert step.relation is (risky if entry.is_risky(step.change.value) else Relation.BETTER_THAN_TYPICAL)
        # every reason is addressed by a step, or listed with the cause
        codes = [item.reason.code for item in advice.open_reasons] + [step.reason for step in advice.steps]
        assert {reason.code for reason in reasons.values()} == {code for code in codes if code}
        assert all(item.reason.gain >= 2 for item in advice.open_reasons)
    # this model has too few reason groups for a feature that costs points but is not a principal reason
    assert relations == set(Relation) - {Relation.LESSER_COST}


def test_the_cause_at_the_lower_end_of_the_scale_is_below_scale() -> None:
    scores = [score for vector in SELLERS if (score := assess(BUNDLE, [vector])[0].score)]
    low = replace(BUNDLE.policy.scale, min=round(float(np.quantile(scores, 0.3))))
    limited = replace(BUNDLE, policy=replace(BUNDLE.policy, scale=low))
    causes: dict[bool, set[OpenReasonCause]] = {True: set(), False: set()}
    for vector in SELLERS:
        at_the_end = assess(limited, [vector])[0].score == low.min
        causes[at_the_end] |= {item.why for item in advise(limited, vector).open_reasons}
    assert OpenReasonCause.BELOW_SCALE in causes[True]
    assert OpenReasonCause.RARELY_IMPROVED not in causes[True]
    assert OpenReasonCause.BELOW_SCALE not in causes[False]


def test_advice_for_a_requested_band() -> None:
    in_band_c = [vector for vector in SELLERS if assess(BUNDLE, [vector])[0].band == "C"]
    with_options = [(vector, advice) for vector in in_band_c if (advice := advise(BUNDLE, vector, "A")).options]
    assert with_options
    for vector, advice in with_options:
        assert advice.band == "A"
        assert {assess(BUNDLE, [changed_vector(vector, option)])[0].band for option in advice.options} == {"A"}
        reached = advise(BUNDLE, vector, "D")
        assert (reached.verdict, reached.now, reached.band) == (AdviceVerdict.REACHED, "C", "D")
    with pytest.raises(VectorError, match="Unknown band 'F'; the bands of the bundle are A, B, C, D, E"):
        advise(BUNDLE, SELLERS[0], "F")


def test_no_advice_without_a_score_a_reach_a_known_size_or_the_table() -> None:
    vector, entries = next(vector for vector, _ in all_options()), BUNDLE.sheet.entries
    for tenure in (None, 5.0):
        without_score = replace(vector, values=(tenure, *vector.values[1:]))
        assert advise(BUNDLE, without_score).verdict is AdviceVerdict.NO_SCORE
    unknown_size = replace(vector, values=(*vector.values[:6], None))
    assert advise(BUNDLE, unknown_size).verdict is AdviceVerdict.NO_STEP
    no_reaches = replace(BUNDLE.sheet, sizes=None, entries=tuple(replace(entry, reach=()) for entry in entries))
    assert advise(replace(BUNDLE, sheet=no_reaches), vector).verdict is AdviceVerdict.NO_STEP
    not_used = replace(BUNDLE.sheet, entries=tuple(replace(entry, tables=("traffic",)) for entry in entries))
    advice = advise(replace(BUNDLE, sheet=not_used), vector)
    assert (advice.options, advice.steps) == ((), ())


def test_advice_for_a_value_too_large_to_round() -> None:
    vector = with_values(SELLERS[0], {1: 1e306})
    assert assess(BUNDLE, [vector])[0].score is not None
    assert advise(BUNDLE, vector).verdict in AdviceVerdict
    with pytest.raises(VectorError, match="allowed is a finite number"):
        advise(BUNDLE, with_values(SELLERS[0], {1: 10**400}))


def test_an_option_that_fails_its_verification_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = next(vector for vector, _ in all_options())
    monkeypatch.setattr(importlib.import_module("scoring.advise"), "_least_share", lambda *_: 0.0)
    with pytest.raises(ExplanationError, match="does not reach its band"):
        advise(BUNDLE, vector)
