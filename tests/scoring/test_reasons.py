"""Principal reasons: each is verified with an independent computation of the score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import Assessment, Bundle, Vector, assess, pack
from scoring.assessment import SCALE_LIMIT
from scoring.formatting import format_value
from scoring.reason_catalogue import Reason
from scoring.reasons import MAX_REASONS
from tests.counts import repeat
from tests.scoring import build

COUNT = 8
GROUPS = ("tenure", "returns", "sales", "sales", "buyers", "returns", "tenure", "mix")
TABLES = ("orders", "refunds", "orders", "traffic", "orders", "refunds", "stores", "traffic")


def bundle(seed: int, depth: int = 3, typical: float = 0.5) -> Bundle:
    """Return a random bundle whose features share groups and depend on several tables."""
    recipe = build.Recipe(seed=seed, features=COUNT, depth=depth)
    parts = build.parts(recipe)
    entries = tuple(
        replace(entry, reason_group=group, tables=(table,), typical=round(typical * (index - 3), 2))
        for index, (entry, group, table) in enumerate(zip(parts.sheet.entries, GROUPS, TABLES, strict=True))
    )
    sheet = replace(parts.sheet, entries=entries)
    return Bundle.from_files(pack(replace(parts, sheet=sheet, reasons=build.reason_catalogue(entries))))


def vectors(seed: int, count: int) -> list[Vector]:
    covers = {**build.COVERS, "traffic": build.AS_OF, "stores": build.AS_OF}
    rows = build.rows(build.Recipe(features=COUNT), count, seed)
    return [replace(vector, covers_through=covers) for vector in build.vectors(rows)]


def with_value(values: tuple[float | None, ...], index: int, value: float | None) -> tuple[float | None, ...]:
    return (*values[:index], value, *values[index + 1 :])


def all_reasons(assessments: list[Assessment]) -> list[Reason]:
    return [reason for item in assessments if item.explanation for reason in item.explanation.reasons]


def independent_gain(bundle: Bundle, vector: Vector, index: int) -> int:
    """Return the points that a typical value gains, by LightGBM's margins only, before an end of the scale applies."""
    improved = with_value(vector.values, index, bundle.sheet.entries[index].typical)
    rows = np.array([[np.nan if value is None else value for value in values] for values in (vector.values, improved)])
    margins = bundle.model.booster.predict(rows, raw_score=True, num_threads=1)
    policy = bundle.policy
    log_odds = policy.calibration.intercept + policy.calibration.slope * margins
    before, after = np.floor(np.round(policy.scale.offset - policy.scale.factor * log_odds, 6) + 0.5)
    return int(after - before)


def checked_reasons(bundle: Bundle, vector: Vector, assessment: Assessment) -> Iterator[Reason]:
    """Yield the reasons of an assessment after a check of each against the rules."""
    explanation = assessment.explanation
    assert explanation is not None
    assert len(explanation.reasons) <= MAX_REASONS
    groups = {group.group: group.points for group in explanation.groups}
    entries = {entry.name: (index, entry) for index, entry in enumerate(bundle.sheet.entries)}
    for reason in explanation.reasons:
        index, entry = entries[reason.feature]
        value = vector.values[index]
        assert groups[reason.group] < 0
        assert reason.points < 0
        assert reason.value == value
        if value is None:
            assert reason.side == "missing"
            assert "{" not in reason.statement
        else:
            assert entry.sign * value > entry.sign * reason.typical
            assert reason.side == ("high" if entry.sign > 0 else "low")
            assert format_value(value, entry.unit) in reason.statement
            assert format_value(reason.typical, entry.unit) in reason.statement
        assert reason.typical == entry.typical
        assert independent_gain(bundle, vector, index) == reason.gain >= 2
        assert reason.code == f"{entry.name}_{reason.side}".upper()
        yield reason
    gains = [reason.gain for reason in explanation.reasons]
    assert gains == sorted(gains, reverse=True)
    assert len({reason.group for reason in explanation.reasons}) == len(explanation.reasons)


@pytest.mark.repeated
@settings(max_examples=repeat(10, 300), deadline=None)
@given(st.integers(0, 60), st.integers(0, 2**20), st.integers(1, 4), st.sampled_from([0.0, 1.0]))
def test_every_reason_follows_the_rules(seed: int, sellers: int, depth: int, typical: float) -> None:
    model = bundle(seed, depth, typical)
    inputs = vectors(sellers, 15)
    for vector, assessment in zip(inputs, assess(model, inputs), strict=True):
        list(checked_reasons(model, vector, assessment))


def test_reasons_of_every_side_occur() -> None:
    model, inputs = bundle(3), vectors(9, 200)
    pairs = zip(inputs, assess(model, inputs), strict=True)
    reasons = [reason for pair in pairs for reason in checked_reasons(model, *pair)]
    assert {reason.side for reason in reasons} == {"high", "low", "missing"}
    assert len({reason.code for reason in reasons}) > 8


def test_the_reason_is_the_costliest_feature_of_its_group_that_qualifies() -> None:
    model, inputs = bundle(3, 4, -0.5), vectors(9, 600)
    compared = 0
    for vector, assessment in zip(inputs, assess(model, inputs), strict=True):
        explanation = assessment.explanation
        assert explanation is not None
        costs = {item.feature: item.points for item in explanation.contributions}
        for reason in explanation.reasons:
            for index, entry in enumerate(model.sheet.entries):
                if entry.reason_group != reason.group or costs[entry.name] >= reason.points:
                    continue
                compared += 1
                value = vector.values[index]
                is_good = value is not None and not entry.is_risky(value)
                typical = format_value(entry.typical, entry.unit)
                looks_typical = value is not None and format_value(value, entry.unit) == typical
                assert is_good or looks_typical or independent_gain(model, vector, index) < 2
    assert compared


def test_groups_and_contributions_sum_to_the_score() -> None:
    model, inputs = bundle(4), vectors(2, 200)
    for assessment in assess(model, inputs):
        explanation = assessment.explanation
        assert explanation is not None
        base = explanation.base_points
        assert base + sum(group.points for group in explanation.groups) == assessment.score
        assert base + sum(item.points for item in explanation.contributions) == assessment.score
        for group in explanation.groups:
            members = [item for item in explanation.contributions if (item.reason_group or SCALE_LIMIT) == group.group]
            assert sum(item.points for item in members) == group.points
        order = [group.group for group in explanation.groups if group.group != SCALE_LIMIT]
        assert order == [group.name for group in model.reasons.groups]


@pytest.mark.parametrize("days", [1, 2, 8])
def test_a_table_that_ends_before_the_vector_is_a_gap_and_a_reason(days: int) -> None:
    """The request is one day after the vector's date, so a table that is one day old is complete."""
    covers = {**vectors(9, 1)[0].covers_through, "traffic": build.REQUESTED_ON - timedelta(days=days)}
    model, inputs = bundle(3, 3, -0.5), [replace(vector, covers_through=covers) for vector in vectors(9, 200)]
    assessments = [assessment for assessment in assess(model, inputs) if assessment.explanation]
    assert len(assessments) == len(inputs)
    gaps = {gap for assessment in assessments for gap in assessment.table_gaps}
    if days == 1:
        assert not gaps
        return
    end = "2026-01-30" if days == 2 else "2026-01-24"
    assert {(gap.table, gap.data_through) for gap in gaps} == {("traffic", end)}
    table_reasons = [reason for reason in all_reasons(assessments) if reason.table]
    assert table_reasons
    assert all(reason.statement.startswith(f"The data of traffic end on {end}") for reason in table_reasons)
    for assessment in assessments:
        assert assessment.explanation is not None
        assert sum(reason.table == "traffic" for reason in assessment.explanation.reasons) <= 1
        values = {item.feature: item.value for item in assessment.explanation.contributions}
        assert values["visits"] is None
        assert values["mix"] is None


def test_a_table_that_was_not_delivered_is_a_gap_and_a_reason() -> None:
    model = bundle(3, 3, -0.5)
    assessments = assess(model, [replace(vector, covers_through=build.COVERS) for vector in vectors(9, 200)])
    gaps = [(gap.table, gap.data_through) for gap in assessments[0].table_gaps]
    assert gaps == [("stores", None), ("traffic", None)]
    reasons = all_reasons(assessments)
    assert any(reason.statement.startswith("The data of traffic were not delivered") for reason in reasons)
    assert all(reason.data_through is None for reason in reasons)


def test_a_value_that_looks_typical_when_formatted_is_no_reason() -> None:
    model = bundle(3)
    index, entry = model.sheet.index_of["refunds"], model.sheet.entries[1]
    assert entry.typical is not None
    almost_typical = entry.typical + 1e-6
    inputs = [replace(vector, values=with_value(vector.values, index, almost_typical)) for vector in vectors(9, 100)]
    assert "refunds" not in {reason.feature for reason in all_reasons(assess(model, inputs))}
