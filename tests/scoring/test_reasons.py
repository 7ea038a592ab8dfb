"""Principal reasons, checked from outside: each is scored again by a second way of counting points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import Assessment, Bundle, BundleError, Vector, assess, pack
from scoring.assess import SCALE_LIMIT
from scoring.figures import Language, figure
from scoring.reasons import MOST_REASONS, Reason, Wording
from scoring.sheet import FeatureEntry
from tests.counts import repeat
from tests.scoring import build

COUNT = 8
GROUPS = ("tenure", "returns", "sales", "sales", "buyers", "returns", "tenure", "mix")
TABLES = ("orders", "refunds", "orders", "traffic", "orders", "refunds", "stores", "traffic")

RECIPES = st.tuples(st.integers(0, 60), st.integers(1, 4), st.sampled_from([-0.5, 0.0, 1.0]))


def bundle(seed: int, depth: int = 3, typical: float = 0.5) -> Bundle:
    """Return a random bundle whose features share groups and rest on several tables."""
    recipe = build.Recipe(seed=seed, features=COUNT, depth=depth)
    parts = build.parts(recipe)
    entries = tuple(
        replace(entry, reason_group=group, tables=(table,), typical=round(typical * (place - 3), 2))
        for place, (entry, group, table) in enumerate(zip(parts.sheet.entries, GROUPS, TABLES, strict=True))
    )
    sheet = replace(parts.sheet, entries=entries)
    return Bundle.from_files(pack(replace(parts, sheet=sheet, reasons=build.reason_catalogue(entries))))


def vectors(seed: int, count: int) -> list[Vector]:
    covers = {**build.COVERS, "traffic": build.AS_OF, "stores": build.AS_OF}
    rows = build.rows(build.Recipe(features=COUNT), count, seed)
    return [replace(vector, covers_through=covers) for vector in build.vectors(rows)]


def score_apart(bundle: Bundle, values: tuple[float | None, ...]) -> int:
    """Work out a score before the ends of the scale, from the model's own margin alone."""
    row = np.array([[np.nan if value is None else value for value in values]])
    margin = float(bundle.model.booster.predict(row, raw_score=True)[0])
    policy = bundle.policy
    odds = policy.calibration.intercept + policy.calibration.slope * margin
    points = round(policy.scale.offset - policy.scale.factor * odds, 6)
    return int(np.floor(points + 0.5))


def check(bundle: Bundle, vector: Vector, assessment: Assessment) -> Iterator[Reason]:
    """Yield the reasons of an assessment, each held to the rules by code of the test's own."""
    explanation = assessment.explanation
    assert explanation is not None
    assert len(explanation.reasons) <= MOST_REASONS
    groups = {each.group: each.points for each in explanation.groups}
    entries = {entry.name: (place, entry) for place, entry in enumerate(bundle.sheet.entries)}
    for reason in explanation.reasons:
        place, entry = entries[reason.feature]
        value = vector.values[place]
        assert groups[reason.group] < 0
        assert reason.points < 0
        if reason.side == "missing":
            assert (value, reason.value) == (None, None)
            assert "{" not in reason.statement
        else:
            assert value is not None
            assert reason.value == value
            assert (value > reason.typical) == (entry.sign > 0)
            assert value != reason.typical
            assert reason.side == ("high" if entry.sign > 0 else "low")
            assert figure(value, entry.unit) in reason.statement
            assert figure(reason.typical, entry.unit) in reason.statement
        assert reason.typical == entry.typical
        undone = tuple(entry.typical if n == place else each for n, each in enumerate(vector.values))
        assert score_apart(bundle, undone) - score_apart(bundle, vector.values) == reason.gain >= 2
        assert reason.code == f"{entry.name}_{reason.side}".upper()
        yield reason
    gains = [reason.gain for reason in explanation.reasons]
    assert gains == sorted(gains, reverse=True)
    assert len({reason.group for reason in explanation.reasons}) == len(explanation.reasons)


@pytest.mark.repeated
@settings(max_examples=repeat(10, 300), deadline=None)
@given(
    seed=st.integers(0, 60), sellers=st.integers(0, 2**20), depth=st.integers(1, 4), typical=st.sampled_from([0.0, 1.0])
)
def test_every_reason_is_true_specific_and_verified(seed: int, sellers: int, depth: int, typical: float) -> None:
    model = bundle(seed, depth, typical)
    asked = vectors(sellers, 15)
    for vector, assessment in zip(asked, assess(model, asked), strict=True):
        list(check(model, vector, assessment))


def test_reasons_of_every_kind_are_given() -> None:
    model, asked = bundle(3), vectors(9, 200)
    given_ = [reason for pair in zip(asked, assess(model, asked), strict=True) for reason in check(model, *pair)]
    assert {reason.side for reason in given_} == {"high", "low", "missing"}
    assert len({reason.code for reason in given_}) > 8


def test_no_costlier_feature_of_the_group_would_have_passed() -> None:
    model, asked = bundle(3, 4, -0.5), vectors(9, 600)
    seen = 0
    for vector, assessment in zip(asked, assess(model, asked), strict=True):
        explanation = assessment.explanation
        assert explanation is not None
        costs = {each.feature: each.points for each in explanation.contributions}
        for reason in explanation.reasons:
            for place, entry in enumerate(model.sheet.entries):
                if entry.reason_group != reason.group or costs[entry.name] >= reason.points:
                    continue
                seen += 1
                value = vector.values[place]
                undone = tuple(entry.typical if n == place else each for n, each in enumerate(vector.values))
                gain = score_apart(model, undone) - score_apart(model, vector.values)
                on_good_side = value is not None and not entry.is_risky(value)
                alike = value is not None and figure(value, entry.unit) == figure(entry.typical, entry.unit)
                assert on_good_side or alike or gain < 2
    assert seen


def test_groups_and_contributions_sum_to_the_score() -> None:
    model, asked = bundle(4), vectors(2, 200)
    for assessment in assess(model, asked):
        explanation = assessment.explanation
        assert explanation is not None
        base = explanation.base_points
        assert base + sum(each.points for each in explanation.groups) == assessment.score
        assert base + sum(each.points for each in explanation.contributions) == assessment.score
        for group in explanation.groups:
            members = [each for each in explanation.contributions if (each.reason_group or SCALE_LIMIT) == group.group]
            assert sum(each.points for each in members) == group.points
        order = [each.group for each in explanation.groups if each.group != SCALE_LIMIT]
        assert order == [each.name for each in model.reasons.groups]


def _old_traffic(vector: Vector, days: int) -> Vector:
    covers = dict(vector.covers_through)
    covers["traffic"] = vector.requested_on.fromordinal(vector.requested_on.toordinal() - days)
    return replace(vector, covers_through=covers)


@pytest.mark.parametrize("days", [1, 2, 8])
def test_a_table_that_ends_before_the_vector_is_missing_and_said_so(days: int) -> None:
    """The vectors are asked for one day after the data end, so that a table one day old is whole."""
    model, asked = bundle(3, 3, -0.5), [_old_traffic(vector, days) for vector in vectors(9, 200)]
    found = [each for each in assess(model, asked) if each.explanation]
    assert len(found) == len(asked)
    gaps = {gap for each in found for gap in each.table_gaps}
    if days == 1:
        assert not gaps
        return
    end = "2026-01-30" if days == 2 else "2026-01-24"
    assert {(gap.table, gap.data_through) for gap in gaps} == {("traffic", end)}
    reasons = [reason for each in found if each.explanation for reason in each.explanation.reasons]
    stated = [reason for reason in reasons if reason.table]
    assert stated
    assert all(reason.statement.startswith(f"The data of traffic end on {end}") for reason in stated)
    for each in found:
        assert each.explanation is not None
        assert sum(reason.table == "traffic" for reason in each.explanation.reasons) <= 1
        values = {item.feature: item.value for item in each.explanation.contributions}
        assert values["visits"] is None
        assert values["mix"] is None


def test_a_table_that_was_not_delivered_is_said_so() -> None:
    model = bundle(3, 3, -0.5)
    asked = [replace(vector, covers_through=build.COVERS) for vector in vectors(9, 200)]
    reasons = [reason for each in assess(model, asked) if each.explanation for reason in each.explanation.reasons]
    assert any(reason.statement.startswith("The data of traffic were not delivered") for reason in reasons)
    assert all(reason.data_through is None for reason in reasons)


def test_withholding_an_optional_table_is_never_a_bundle_error_and_says_which() -> None:
    vector = replace(vectors(1, 1)[0], covers_through=build.COVERS)
    gaps = assess(bundle(3), [vector])[0].table_gaps
    assert [(gap.table, gap.data_through) for gap in gaps] == [("stores", None), ("traffic", None)]


def test_statements_are_told_to_each_reader_in_each_language() -> None:
    model, asked = bundle(3), vectors(9, 60)
    reasons = [reason for each in assess(model, asked) if each.explanation for reason in each.explanation.reasons]
    reason = next(each for each in reasons if each.side == "high")
    assert reason.statement == model.reasons.statement(reason, "bank")
    assert model.reasons.statement(reason, "letter").endswith("(letter)")
    assert model.reasons.statement(reason, "seller", Language.CHINESE).startswith(f"{reason.label}：")


def test_a_value_that_reads_like_the_typical_one_is_no_reason() -> None:
    model = bundle(3)
    place, entry = model.sheet.place_of["refunds"], model.sheet.entries[1]
    assert entry.typical is not None
    barely = [
        replace(
            vector, values=tuple(entry.typical + 1e-6 if n == place else each for n, each in enumerate(vector.values))
        )
        for vector in vectors(9, 100)
    ]
    named = {r.feature for each in assess(model, barely) if each.explanation for r in each.explanation.reasons}
    assert "refunds" not in named


@pytest.mark.parametrize("lacking", ["entry", "group", "table", "value"])
def test_a_catalogue_that_leaves_a_scored_feature_without_words_is_refused(lacking: str) -> None:
    parts = build.parts()
    entries = tuple(replace(entry, tables=("traffic",)) for entry in parts.sheet.entries)
    sheet, catalogue = replace(parts.sheet, entries=entries), build.reason_catalogue(entries)
    first = catalogue.entries[0]
    unspecific = replace(first, side=replace(first.side, letter=first.missing.letter))
    wrong = {
        "entry": replace(catalogue, entries=catalogue.entries[1:]),
        "group": replace(catalogue, groups=catalogue.groups[1:]),
        "table": replace(catalogue, tables={}),
        "value": replace(catalogue, entries=(unspecific, *catalogue.entries[1:])),
    }[lacking]
    with pytest.raises(BundleError, match=r"reason catalogue needs each|must be a text with"):
        pack(replace(parts, sheet=sheet, reasons=wrong))


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", None, 7, "{typical}", "{value} {typical} {foo}", "{value} {typical} {}", "{value} {typical} {0}"),
        *("{value} {typical} {", "{value} {typical} }", "{value.__class__} {typical}", "{value[0]} {typical}"),
        *("{value:d} {typical}", "{value!r} {typical}", "{value} {typical:>999999}"),
    ],
)
def test_a_text_with_other_placeholders_than_it_needs_is_refused(text: Any) -> None:
    parts = build.parts()
    catalogue = parts.reasons
    first, wording = catalogue.entries[0], Wording(text, text)
    side = replace(first, side=replace(first.side, bank=wording))
    missing = replace(first, missing=replace(first.missing, seller=wording))
    for wrong in (
        replace(catalogue, entries=(side, *catalogue.entries[1:])),
        replace(catalogue, entries=(missing, *catalogue.entries[1:])),
        replace(catalogue, not_delivered=replace(catalogue.not_delivered, letter=wording)),
        replace(catalogue, too_old=replace(catalogue.too_old, bank=wording)),
    ):
        with pytest.raises(BundleError, match="nothing else in braces"):
            pack(replace(parts, reasons=wrong))


@pytest.mark.parametrize("days", ["7", None, True, 7.0, -1, 32, 10**6])
def test_an_age_limit_that_limits_nothing_is_refused(days: Any) -> None:
    with pytest.raises(BundleError, match="max_age_days is"):
        replace(build.parts().sheet, max_age_days=days)


def test_a_model_that_reads_a_feature_that_is_not_scored_is_refused() -> None:
    parts = build.parts()
    entries = tuple(replace(each, scored=each.name != "visits") for each in parts.sheet.entries)
    with pytest.raises(BundleError, match="reads visits, which the feature sheet says is not scored"):
        pack(replace(parts, sheet=replace(parts.sheet, entries=entries)))


def test_a_feature_without_a_direction_cannot_be_scored() -> None:
    with pytest.raises(BundleError, match="scored without a sign"):
        FeatureEntry("a", "A", "ratio", 0, actionable=False, structural=False, reason_group="a", typical=0.5)
