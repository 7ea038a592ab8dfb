"""Serialization with cached texts equals the canonical JSON of the plain values, to the byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.assessment import Assessment, Contribution, Explanation, GroupPoints, Versions
from scoring.canonical import canonical_json
from scoring.freshness import TableGap
from scoring.outcome import Outcome, Shortfall
from scoring.reason_catalogue import Reason
from scoring.serialization import serialize_assessment
from tests.counts import repeat

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | FINITE | st.integers()
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
# few values, so that a wrong cache key would return the text of another feature
FEW = st.sampled_from(["a", "b", '"', "退款"])
CONTRIBUTIONS = st.builds(
    Contribution, FEW, FEW, VALUES, FEW, st.sampled_from([None, 0.0, -0.0, 1, 1.0]), st.integers(), st.none() | FEW
)
REASONS = st.builds(
    Reason,
    code=TEXT,
    group=FEW,
    feature=FEW,
    label=TEXT,
    side=st.sampled_from(["high", "low", "missing"]),
    value=VALUES,
    typical=FINITE,
    unit=FEW,
    table=st.none() | FEW,
    data_through=st.none() | TEXT,
    points=st.integers(),
    gain=st.integers(),
    statement=TEXT,
)
EXPLANATIONS = st.builds(
    Explanation,
    st.integers(),
    TEXT,
    st.lists(st.builds(GroupPoints, FEW, FEW, st.integers()), max_size=3).map(tuple),
    st.lists(CONTRIBUTIONS, max_size=6).map(tuple),
    st.lists(REASONS, max_size=2).map(tuple),
)
ASSESSMENTS = st.builds(
    Assessment,
    outcome=st.sampled_from(Outcome),
    score=st.none() | st.integers(),
    band=st.none() | TEXT,
    probability_of_default=st.none() | FINITE,
    default_definition=TEXT,
    requested_on=TEXT,
    as_of=TEXT,
    data_through=st.none() | TEXT,
    explanation=st.none() | EXPLANATIONS,
    shortfalls=st.lists(
        st.builds(Shortfall, TEXT, VALUES | TEXT, VALUES.filter(lambda x: x is not None)), max_size=2
    ).map(tuple),
    table_gaps=st.lists(st.builds(TableGap, FEW, st.none() | TEXT), max_size=2).map(tuple),
    versions=st.builds(Versions, TEXT, TEXT, TEXT, TEXT, st.dictionaries(TEXT, FINITE, max_size=2)),
)


@pytest.mark.repeated
@settings(max_examples=repeat(30, 1_000))
@given(ASSESSMENTS)
def test_it_equals_the_canonical_json_of_the_plain_values(assessment: Assessment) -> None:
    assert serialize_assessment(assessment) == canonical_json(assessment.to_dict())


@pytest.mark.parametrize("field", ["value", "typical"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_rejected(field: str, number: float) -> None:
    numbers: dict[str, Any] = {"value": 0.5, "typical": 0.5, field: number}
    contribution = Contribution("a", "A", numbers["value"], "ratio", numbers["typical"], 1, None)
    explanation = Explanation(600, "all", (), (contribution,), ())
    versions = Versions("", "", "", "", {})
    assessment = Assessment(Outcome.SCORED, 601, "A", 0.1, "", "", "", None, explanation, (), (), versions)
    with pytest.raises(ValueError, match="not JSON compliant"):
        serialize_assessment(assessment)
