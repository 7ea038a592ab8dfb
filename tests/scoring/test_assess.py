"""The one call: outcomes with their order and exact edges, refused vectors, and bytes that do not change."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from scoring import Assessment, Bundle, Outcome, Vector, VectorError, assess
from scoring.assess import SCALE_LIMIT, Shortfall
from scoring.model import Calibration
from scoring.scale import Scale
from scoring.sheet import Activity
from tests.scoring import build

BUNDLE = build.bundle()
GOOD = build.vector((1.0, 0.2, None, -0.4))
MATRIX = build.rows(build.Recipe(), 50, seed=11)


def one(vector: Vector, bundle: Bundle = BUNDLE) -> Assessment:
    return assess(bundle, [vector])[0]


def covered(vector: Vector, **days_before: int) -> Vector:
    """The vector with coverage that ends so many days before the request; a negative number is after it."""
    later = {table: vector.requested_on - timedelta(days=days) for table, days in days_before.items()}
    return replace(vector, covers_through={**vector.covers_through, **later})


def valued(vector: Vector, place: int, value: Any) -> Vector:
    values = list(vector.values)
    values[place] = value
    return replace(vector, values=tuple(values))


def asked_on(vector: Vector, days: int) -> Vector:
    """The vector requested so many days after the midnight of its values."""
    return replace(vector, requested_on=vector.as_of + timedelta(days=days))


def without(vector: Vector, *tables: str) -> Vector:
    return replace(vector, covers_through={k: v for k, v in vector.covers_through.items() if k not in tables})


def test_a_scored_assessment_says_all_of_it() -> None:
    result = one(GOOD)
    assert result.outcome is Outcome.SCORED
    assert result.shortfalls == ()
    assert result.default_definition == "90+ days past due within 12 months"
    assert (result.requested_on, result.as_of, result.data_through) == ("2026-02-01", "2026-01-31", "2026-01-31")
    explanation = result.explanation
    assert explanation is not None
    assert [item.feature for item in explanation.contributions] == list(BUNDLE.sheet.names)
    assert [item.value for item in explanation.contributions] == list(GOOD.values)
    assert [item.typical for item in explanation.contributions] == [0.5] * 4
    assert explanation.reference_population == "400 training rows, 卖家"
    assert result.versions.bundle == BUNDLE.digest
    assert result.versions.scale == {"points": 600.0, "odds": 30.0, "double": 40.0, "min": 300, "max": 900}


def test_score_probability_and_band_are_of_one_margin() -> None:
    vectors = build.vectors(MATRIX)
    matrix = np.array([[np.nan if value is None else value for value in vector.values] for vector in vectors])
    margins = BUNDLE.model.booster.predict(matrix, raw_score=True)
    for result, margin in zip(assess(BUNDLE, vectors), margins, strict=True):
        probability = 1 / (1 + math.exp(0.3 - 0.9 * margin))
        assert result.probability_of_default == round(probability, 6)
        assert result.band == BUNDLE.policy.bands.of(round(probability, 6))
        assert result.score == min(max(math.floor(Scale().points_at(probability) + 0.5), 300), 900)


def test_a_higher_score_never_has_a_higher_probability() -> None:
    results = sorted(assess(BUNDLE, build.vectors(MATRIX)), key=lambda result: result.score or 0)
    probabilities = [result.probability_of_default or 0.0 for result in results]
    assert len(set(probabilities)) > 10
    by_score = {result.score: result.probability_of_default or 0.0 for result in results}
    assert list(by_score.values()) == sorted(by_score.values(), reverse=True)


@pytest.mark.parametrize("ends", [(590, 591), (300, 420), (880, 900)])
def test_the_ends_of_the_scale_are_a_contribution_and_change_no_probability(ends: tuple[int, int]) -> None:
    narrow = build.bundle(its_policy=build.policy(Scale(min=ends[0], max=ends[1])))
    endless = build.bundle(its_policy=build.policy(Scale(min=-10_000, max=10_000)))
    vectors = build.vectors(MATRIX)
    limits = 0
    for result, free in zip(assess(narrow, vectors), assess(endless, vectors), strict=True):
        assert result.score is not None
        assert free.score is not None
        assert result.score == min(max(free.score, ends[0]), ends[1])
        assert result.probability_of_default == free.probability_of_default
        assert result.explanation is not None
        points = [item.points for item in result.explanation.contributions]
        assert result.explanation.base_points + sum(points) == result.score
        last = result.explanation.contributions[-1]
        assert (last.feature == SCALE_LIMIT) == (result.score != free.score)
        if last.feature == SCALE_LIMIT:
            limits += 1
            assert last.points == result.score - free.score
            assert (last.value, last.typical, last.reason_group) == (None, None, None)
    assert limits


@pytest.mark.parametrize(
    ("vector", "outcome", "shortfalls"),
    [
        (GOOD, "scored", []),
        (without(GOOD, "refunds"), "insufficient_data", [("refunds", None, "delivered")]),
        (
            without(GOOD, "refunds", "orders"),
            "insufficient_data",
            [("orders", None, "delivered"), ("refunds", None, "delivered")],
        ),
        (covered(GOOD, orders=7), "scored", []),
        (
            covered(GOOD, orders=8),
            "stale_data",
            [("orders", "2026-01-24", "at most 7 days before 2026-02-01")],
        ),
        (covered(GOOD, orders=-1), "scored", []),
        (covered(GOOD, traffic=400), "scored", []),
        # the age is measured against the request, whatever the midnight of the values
        (asked_on(GOOD, 7), "scored", []),
        (
            asked_on(GOOD, 8),
            "stale_data",
            [
                ("orders", "2026-01-31", "at most 7 days before 2026-02-08"),
                ("refunds", "2026-01-31", "at most 7 days before 2026-02-08"),
            ],
        ),
        (asked_on(covered(GOOD, orders=-60, refunds=-60), 8), "stale_data", None),
        (asked_on(GOOD, -1), "scored", []),
        (valued(GOOD, 0, 90.0), "scored", []),
        (valued(GOOD, 0, math.nextafter(90.0, 0)), "insufficient_history", [("tenure", 89.99999999999999, 90.0)]),
        (valued(GOOD, 0, None), "insufficient_history", [("tenure", None, 90.0)]),
        # what comes first is said: a withheld table before its age, and both before the seller's history
        (
            valued(covered(without(GOOD, "refunds"), orders=99), 0, 1.0),
            "insufficient_data",
            [("refunds", None, "delivered")],
        ),
        (
            valued(covered(GOOD, refunds=9), 0, 1.0),
            "stale_data",
            [("refunds", "2026-01-23", "at most 7 days before 2026-02-01")],
        ),
    ],
)
def test_outcomes_at_their_edges_and_in_their_order(
    vector: Vector, outcome: str, shortfalls: list[tuple[Any, Any, Any]] | None
) -> None:
    result = one(vector)
    assert result.outcome == outcome
    if shortfalls is not None:
        assert [(each.what, each.found, each.needed) for each in result.shortfalls] == shortfalls
    numbers = (result.score, result.band, result.probability_of_default, result.explanation)
    if outcome == "scored":
        assert None not in numbers
    else:
        assert numbers == (None, None, None, None)


ACTIVITY = replace(BUNDLE, sheet=replace(BUNDLE.sheet, activity=Activity("visits", 60.0, since="tenure")))
"""A bundle that takes the fourth feature for the days since the last sale."""


@pytest.mark.parametrize(
    ("since_last", "tenure", "outcome"),
    [
        (60.0, 500.0, "scored"),
        (math.nextafter(60.0, 61), 500.0, "inactive"),
        (274.0, 500.0, "inactive"),
        (None, 500.0, "inactive"),
        # a young seller who stopped has stopped
        (61.0, 70.0, "inactive"),
        (10.0, 70.0, "insufficient_history"),
        # nobody who never sold has stopped
        (None, None, "insufficient_history"),
    ],
)
def test_a_seller_who_stopped_is_inactive_and_not_new(
    since_last: float | None, tenure: float | None, outcome: str
) -> None:
    result = one(valued(valued(GOOD, 3, since_last), 0, tenure), ACTIVITY)
    assert result.outcome == outcome
    if outcome == "inactive":
        short = () if tenure is None or tenure >= 90.0 else (Shortfall("tenure", tenure, 90.0),)
        assert result.shortfalls == (Shortfall("visits", since_last, 60.0), *short)
        assert (result.score, result.band, result.explanation) == (None, None, None)


def test_old_data_come_before_activity_and_history() -> None:
    result = one(asked_on(valued(GOOD, 3, 274.0), 30), ACTIVITY)
    assert result.outcome is Outcome.STALE_DATA


def test_data_through_is_the_oldest_coverage_of_the_tables_that_matter() -> None:
    assert one(covered(GOOD, orders=3, refunds=5, traffic=300)).data_through == "2026-01-27"
    assert one(covered(without(GOOD, "orders"), refunds=2)).data_through == "2026-01-30"
    # values as of a midnight rest on nothing after it
    assert one(covered(GOOD, orders=-9, refunds=-9)).data_through == "2026-01-31"
    assert one(without(GOOD, "orders", "refunds")).data_through is None


@pytest.mark.parametrize(
    ("vector", "sentence"),
    [
        (replace(GOOD, catalogue="sha256:other"), "made by catalogue sha256:other, but the model was trained with"),
        (replace(GOOD, values=GOOD.values[:3]), "has 3 values; the model needs 4"),
        (replace(GOOD, values=(*GOOD.values, 1.0)), "has 5 values; the model needs 4"),
        (replace(GOOD, values=()), "has 0 values"),
        *(
            (valued(GOOD, place, value), f"holds {value!r} for ")
            for place in (0, 3)
            for value in (math.nan, math.inf, -math.inf, True, False, "0.5", "", [], 1j)
        ),
    ],
)
def test_vectors_that_do_not_meet_the_sheet_are_refused(vector: Vector, sentence: str) -> None:
    with pytest.raises(VectorError) as refusal:
        assess(BUNDLE, [GOOD, vector])
    assert sentence in str(refusal.value)
    assert "seller S-1" in str(refusal.value)


def test_an_unscorable_seller_with_a_broken_value_is_still_refused() -> None:
    with pytest.raises(VectorError):
        one(valued(without(GOOD, "orders"), 1, math.nan))


def test_a_whole_number_is_the_same_vector_as_its_double() -> None:
    as_int = one(valued(GOOD, 1, 2))
    assert as_int.score == one(valued(GOOD, 1, 2.0)).score


def test_no_vectors_no_assessments() -> None:
    assert assess(BUNDLE, []) == []


def test_outcomes_in_a_batch_stay_with_their_vectors() -> None:
    short, late, withheld = valued(GOOD, 0, 1.0), covered(GOOD, orders=30), without(GOOD, "orders")
    scored = build.vectors(MATRIX[:4])
    batch = [short, scored[0], late, scored[1], scored[2], withheld, scored[3], short]
    assert [each.canonical_bytes for each in assess(BUNDLE, batch)] == [one(vector).canonical_bytes for vector in batch]


def test_canonical_bytes_are_json_of_the_whole_assessment() -> None:
    result = one(GOOD)
    assert json.loads(result.canonical_bytes) == json.loads(json.dumps(result.to_dict()))
    assert b"\xe5\x8d\x96" in result.canonical_bytes
    assert b"seller_id" not in result.canonical_bytes


def test_bytes_survive_packing_and_a_second_reading_of_the_bundle() -> None:
    vectors = build.vectors(MATRIX)
    again = build.bundle()
    assert again is not BUNDLE
    assert [r.canonical_bytes for r in assess(again, vectors)] == [r.canonical_bytes for r in assess(BUNDLE, vectors)]


def test_extreme_margins_still_have_a_probability() -> None:
    steep = build.bundle(its_policy=build.policy(calibration=Calibration(1_000.0, 0.0)))
    found = {result.probability_of_default for result in assess(steep, build.vectors(MATRIX))}
    assert found <= {0.0, 1.0} | {p for p in found if p is not None and 0 < p < 1}
    assert {0.0, 1.0} <= found
