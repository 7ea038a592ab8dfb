"""`assess`: outcomes with their precedence and exact limits, rejected vectors, and stable bytes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from scoring import Assessment, Bundle, Outcome, Vector, VectorError, assess, serialize_assessment
from scoring.assessment import SCALE_LIMIT
from scoring.model import Calibration
from scoring.outcome import Shortfall
from scoring.scale import Scale
from scoring.sheet import Activity
from tests.scoring import build

BUNDLE = build.bundle()
GOOD = build.vector((1.0, 0.2, None, -0.4))
MATRIX = build.rows(build.Recipe(), 50, seed=11)


def one(vector: Vector, bundle: Bundle = BUNDLE) -> Assessment:
    return assess(bundle, [vector])[0]


def serialized(bundle: Bundle, vectors: list[Vector]) -> list[bytes]:
    return [serialize_assessment(assessment) for assessment in assess(bundle, vectors)]


def covered(vector: Vector, **days_before: int) -> Vector:
    """Return the vector with tables that end this number of days before the request; a negative number is after it."""
    changed = {table: vector.requested_on - timedelta(days=days) for table, days in days_before.items()}
    return replace(vector, covers_through={**vector.covers_through, **changed})


def with_value(vector: Vector, column: int, value: Any) -> Vector:
    values = list(vector.values)
    values[column] = value
    return replace(vector, values=tuple(values))


def requested_after(vector: Vector, days: int) -> Vector:
    return replace(vector, requested_on=vector.as_of + timedelta(days=days))


def without(vector: Vector, *tables: str) -> Vector:
    return replace(vector, covers_through={k: v for k, v in vector.covers_through.items() if k not in tables})


def test_a_scored_assessment_is_complete() -> None:
    result = one(GOOD)
    assert (result.outcome, result.shortfalls) == (Outcome.SCORED, ())
    assert result.default_definition == "90+ days past due within 12 months"
    assert (result.requested_on, result.as_of, result.data_through) == ("2026-02-01", "2026-01-31", "2026-01-31")
    explanation = result.explanation
    assert explanation is not None
    contributions = [(item.feature, item.value, item.typical) for item in explanation.contributions]
    assert contributions == [(name, value, 0.5) for name, value in zip(BUNDLE.sheet.names, GOOD.values, strict=True)]
    assert explanation.reference_population == "400 training rows, 卖家"
    assert result.versions.bundle == BUNDLE.digest
    assert result.versions.scale == {"points": 600.0, "odds": 30.0, "double": 40.0, "min": 300, "max": 900}
    content = serialize_assessment(result)
    assert json.loads(content) == json.loads(json.dumps(result.to_dict()))
    assert "卖".encode() in content
    assert b"seller_id" not in content


def test_score_probability_and_band_follow_from_the_margin() -> None:
    vectors = build.vectors(MATRIX)
    matrix = np.array([[np.nan if value is None else value for value in vector.values] for vector in vectors])
    margins = BUNDLE.model.booster.predict(matrix, raw_score=True)
    for result, margin in zip(assess(BUNDLE, vectors), margins, strict=True):
        probability = 1 / (1 + math.exp(0.3 - 0.9 * margin))
        assert result.probability_of_default == round(probability, 6)
        assert result.band == BUNDLE.policy.bands.of(round(probability, 6))
        assert result.score == min(max(math.floor(Scale().points_at(probability) + 0.5), 300), 900)


@pytest.mark.parametrize("ends", [(590, 591), (300, 420), (880, 900)])
def test_an_end_of_the_scale_is_a_contribution_and_does_not_change_the_probability(ends: tuple[int, int]) -> None:
    narrow = build.bundle(its_policy=build.policy(Scale(min=ends[0], max=ends[1])))
    wide = build.bundle(its_policy=build.policy(Scale(min=-10_000, max=10_000)))
    vectors = build.vectors(MATRIX)
    limits = 0
    for result, unlimited in zip(assess(narrow, vectors), assess(wide, vectors), strict=True):
        assert result.score == min(max(unlimited.score or 0, ends[0]), ends[1])
        assert result.probability_of_default == unlimited.probability_of_default
        assert result.explanation is not None
        points = [item.points for item in result.explanation.contributions]
        assert result.explanation.base_points + sum(points) == result.score
        last = result.explanation.contributions[-1]
        assert (last.feature == SCALE_LIMIT) == (result.score != unlimited.score)
        if last.feature == SCALE_LIMIT:
            limits += 1
            assert last.points == (result.score or 0) - (unlimited.score or 0)
            assert (last.value, last.typical, last.reason_group) == (None, None, None)
    assert limits


MISSING_REFUNDS = ("refunds", None, "delivered")


@pytest.mark.parametrize(
    ("vector", "outcome", "shortfalls"),
    [
        (GOOD, "scored", []),
        (without(GOOD, "refunds"), "insufficient_data", [MISSING_REFUNDS]),
        (without(GOOD, "refunds", "orders"), "insufficient_data", [("orders", None, "delivered"), MISSING_REFUNDS]),
        (covered(GOOD, orders=7), "scored", []),
        (covered(GOOD, orders=8), "stale_data", [("orders", "2026-01-24", "at most 7 days before 2026-02-01")]),
        (covered(GOOD, orders=-1), "scored", []),
        (covered(GOOD, traffic=400), "scored", []),
        # the age is measured against the request and not against the midnight of the values
        (requested_after(GOOD, 7), "scored", []),
        (
            requested_after(GOOD, 8),
            "stale_data",
            [(table, "2026-01-31", "at most 7 days before 2026-02-08") for table in ("orders", "refunds")],
        ),
        (requested_after(covered(GOOD, orders=-60, refunds=-60), 8), "stale_data", None),
        (requested_after(GOOD, -1), "scored", []),
        (with_value(GOOD, 0, 90.0), "scored", []),
        (with_value(GOOD, 0, math.nextafter(90.0, 0)), "insufficient_history", [("tenure", 89.99999999999999, 90.0)]),
        (with_value(GOOD, 0, None), "insufficient_history", [("tenure", None, 90.0)]),
        # precedence: a missing table, then the age of a table, then the seller's history
        (with_value(covered(without(GOOD, "refunds"), orders=99), 0, 1.0), "insufficient_data", [MISSING_REFUNDS]),
        (
            with_value(covered(GOOD, refunds=9), 0, 1.0),
            "stale_data",
            [("refunds", "2026-01-23", "at most 7 days before 2026-02-01")],
        ),
    ],
)
def test_outcomes_at_their_limits_and_by_precedence(
    vector: Vector, outcome: str, shortfalls: list[tuple[Any, Any, Any]] | None
) -> None:
    result = one(vector)
    assert result.outcome == outcome
    if shortfalls is not None:
        assert [(item.what, item.found, item.needed) for item in result.shortfalls] == shortfalls
    numbers = (result.score, result.band, result.probability_of_default, result.explanation)
    if outcome == "scored":
        assert None not in numbers
    else:
        assert numbers == (None, None, None, None)


ACTIVITY = replace(BUNDLE, sheet=replace(BUNDLE.sheet, activity=Activity("visits", 60.0, since="tenure")))
"""A bundle that treats the fourth feature as the days since the last sale."""


@pytest.mark.parametrize(
    ("days_since_sale", "tenure", "outcome"),
    [
        (60.0, 500.0, "scored"),
        (math.nextafter(60.0, 61), 500.0, "inactive"),
        (274.0, 500.0, "inactive"),
        (None, 500.0, "inactive"),
        # inactivity takes precedence over a short history
        (61.0, 70.0, "inactive"),
        (10.0, 70.0, "insufficient_history"),
        # a seller without any sale is not inactive
        (None, None, "insufficient_history"),
    ],
)
def test_a_seller_without_recent_sales_is_inactive(
    days_since_sale: float | None, tenure: float | None, outcome: str
) -> None:
    result = one(with_value(with_value(GOOD, 3, days_since_sale), 0, tenure), ACTIVITY)
    assert result.outcome == outcome
    assert one(requested_after(with_value(GOOD, 3, days_since_sale), 30), ACTIVITY).outcome is Outcome.STALE_DATA
    if outcome == "inactive":
        short = () if tenure is None or tenure >= 90.0 else (Shortfall("tenure", tenure, 90.0),)
        assert result.shortfalls == (Shortfall("visits", days_since_sale, 60.0), *short)
        assert (result.score, result.band, result.explanation) == (None, None, None)


def test_data_through_is_the_earliest_end_of_the_required_tables() -> None:
    assert one(covered(GOOD, orders=3, refunds=5, traffic=300)).data_through == "2026-01-27"
    assert one(covered(without(GOOD, "orders"), refunds=2)).data_through == "2026-01-30"
    # values as of a midnight use no later data
    assert one(covered(GOOD, orders=-9, refunds=-9)).data_through == "2026-01-31"
    assert one(without(GOOD, "orders", "refunds")).data_through is None


@pytest.mark.parametrize(
    ("vector", "sentence"),
    [
        (replace(GOOD, catalogue="sha256:other"), "computed with catalogue sha256:other, but the model was trained"),
        (replace(GOOD, values=GOOD.values[:3]), "has 3 values; the model needs 4"),
        (replace(GOOD, values=(*GOOD.values, 1.0)), "has 5 values; the model needs 4"),
        (replace(GOOD, values=()), "has 0 values"),
        *(
            (with_value(GOOD, column, value), f"has {value!r} for ")
            for column in (0, 3)
            for value in (math.nan, math.inf, -math.inf, True, False, "0.5", "", [], 1j)
        ),
    ],
)
def test_a_vector_that_does_not_fit_the_sheet_is_rejected(vector: Vector, sentence: str) -> None:
    with pytest.raises(VectorError) as error:
        assess(BUNDLE, [GOOD, vector])
    assert sentence in str(error.value)
    assert "seller S-1" in str(error.value)


def test_an_invalid_value_is_rejected_even_without_a_score_and_an_integer_is_allowed() -> None:
    with pytest.raises(VectorError):
        one(with_value(without(GOOD, "orders"), 1, math.nan))
    assert one(with_value(GOOD, 1, 2)).score == one(with_value(GOOD, 1, 2.0)).score


def test_a_batch_equals_single_assessments() -> None:
    new_seller, stale, incomplete = with_value(GOOD, 0, 1.0), covered(GOOD, orders=30), without(GOOD, "orders")
    scored = build.vectors(MATRIX[:4])
    batch = [new_seller, scored[0], stale, scored[1], scored[2], incomplete, scored[3], new_seller]
    assert assess(BUNDLE, batch) == [one(vector) for vector in batch]
    assert serialized(BUNDLE, batch) == [serialize_assessment(one(vector)) for vector in batch]
    assert assess(BUNDLE, []) == []


def test_assessments_are_equal_with_a_bundle_that_is_packed_and_read_again() -> None:
    vectors = build.vectors(MATRIX)
    second = build.bundle()
    assert second is not BUNDLE
    assert serialized(second, vectors) == serialized(BUNDLE, vectors)


def test_extreme_margins_have_a_probability() -> None:
    steep = build.bundle(its_policy=build.policy(calibration=Calibration(1_000.0, 0.0)))
    probabilities = {result.probability_of_default for result in assess(steep, build.vectors(MATRIX))}
    assert all(probability is not None and 0 <= probability <= 1 for probability in probabilities)
    assert {0.0, 1.0} <= probabilities
