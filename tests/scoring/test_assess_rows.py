"""Assessments as columns: every number and every reason equals that of single assessments, to the byte."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring import Assessment, Bundle, Outcome, Vector, VectorError, assess, pack, serialize_assessment
from scoring.assess_rows import AssessedRows, assess_rows
from scoring.explain import margin_changes
from scoring.reason_catalogue import code_of
from scoring.sheet import Activity
from tests.counts import repeat
from tests.scoring import build
from tests.scoring.test_reasons import COUNT, bundle, vectors

COVERS = vectors(9, 1)[0].covers_through


def with_activity(model_bundle: Bundle) -> Bundle:
    """Return the bundle with a rule for inactive sellers, so that every outcome but missing data can occur."""
    parts = build.parts(build.Recipe(features=COUNT))
    sheet = replace(model_bundle.sheet, activity=Activity("visits", 1.0, "buyers"))
    reference = replace(parts.reference, explained_by=model_bundle.reference.explained_by)
    return Bundle.from_files(
        pack(
            replace(
                parts,
                model_text=model_bundle.model.text,
                sheet=sheet,
                reasons=model_bundle.reasons,
                reference=reference,
            )
        )
    )


def matrix_of(sellers: list[Vector]) -> NDArray[np.float64]:
    return np.array([[np.nan if value is None else value for value in seller.values] for seller in sellers])


def numbers(model: Bundle, rows: AssessedRows) -> list[tuple[object, ...]]:
    """Return outcome, numbers and codes of reasons of each seller, read from the columns."""
    scored, found, entries = rows.scored, rows.scored.reasons, model.sheet.scored_entries
    codes: dict[int, list[tuple[str, int]]] = {}
    for row, column, gain in zip(found.row.tolist(), found.column.tolist(), found.gain.tolist(), strict=True):
        is_missing = np.isnan(scored.rows[row, model.sheet.scored[column]])
        code = code_of(entries[column].name, "missing" if is_missing else entries[column].side)
        codes.setdefault(row, []).append((code, gain))
    results: list[tuple[object, ...]] = []
    row = 0
    for outcome in rows.outcomes.tolist():
        if outcome != "scored":
            results.append((outcome,))
            continue
        band = model.policy.bands.names[scored.bands[row]]
        points = (*scored.points.features[row].tolist(), int(scored.points.scale_limit[row]))
        score = int(scored.points.score[row])
        results.append((outcome, score, band, scored.probabilities[row], points, tuple(codes.get(row, []))))
        row += 1
    return results


def expected(assessment: Assessment) -> tuple[object, ...]:
    explanation = assessment.explanation
    if explanation is None:
        return (str(assessment.outcome),)
    points = {item.feature: item.points for item in explanation.contributions}
    limit = points.pop("scale_limit", 0)
    reasons = tuple((reason.code, reason.gain) for reason in explanation.reasons)
    return (
        str(assessment.outcome),
        assessment.score,
        assessment.band,
        assessment.probability_of_default,
        (*points.values(), limit),
        reasons,
    )


@pytest.mark.repeated
@settings(max_examples=repeat(10, 200), deadline=None)
@given(
    st.integers(0, 60),
    st.integers(0, 2**20),
    st.integers(1, 4),
    st.sampled_from(["traffic", "stores", "orders", "refunds", None]),
    st.sampled_from([0, 1, 5, 9]),
)
def test_columns_equal_single_assessments(seed: int, sellers: int, depth: int, table: str | None, age: int) -> None:
    model = with_activity(bundle(seed, depth))
    covers = dict(COVERS)
    if table is not None:
        covers[table] = build.REQUESTED_ON - timedelta(days=age)
    each = [replace(seller, covers_through=covers) for seller in vectors(sellers, 40)]
    # some have too short a history
    each = [
        replace(seller, values=(3.0, *seller.values[1:])) if at % 7 == 0 else seller for at, seller in enumerate(each)
    ]
    rows = assess_rows(model, each[0], matrix_of(each))
    assert numbers(model, rows) == [expected(assessment) for assessment in assess(model, each)]


def test_a_seller_has_the_same_bytes_alone_and_in_a_batch() -> None:
    model, sellers = bundle(3), vectors(9, 300)
    together = list(map(serialize_assessment, assess(model, sellers)))
    assert together == [serialize_assessment(assess(model, [seller])[0]) for seller in sellers]


def test_every_outcome_of_a_row_occurs() -> None:
    model = with_activity(bundle(3))
    values = matrix_of(vectors(9, 300))
    values[::3, 0] = 3.0
    rows = assess_rows(model, vectors(9, 1)[0], values)
    assert set(rows.outcomes) == {"inactive", "insufficient_history", "scored"}
    nothing = replace(vectors(9, 1)[0], covers_through={})
    assert set(assess_rows(model, nothing, matrix_of(vectors(9, 3))).outcomes) == {Outcome.INSUFFICIENT_DATA.value}


@pytest.mark.parametrize("explained_by", ["tables", "pred_contrib"])
def test_changes_of_the_margin_equal_those_of_lightgbm(explained_by: str) -> None:
    parts = build.parts(build.Recipe(features=COUNT, depth=4, trees=30))
    model = Bundle.from_files(
        pack(replace(parts, reference=replace(parts.reference, explained_by=explained_by)))  # type: ignore[arg-type]
    ).model
    rng = np.random.default_rng(4)
    rows, values = build.rows(build.Recipe(features=COUNT), 700, 6), build.rows(build.Recipe(features=COUNT), 1, 8)[0]
    chosen = rng.random(rows.shape) < 0.3
    changes = margin_changes(model, rows, values, chosen)
    assert len(changes) == chosen.sum() > 0
    row, feature = np.nonzero(chosen)
    changed = rows[row]
    changed[np.arange(len(row)), feature] = values[feature]
    before, after = (np.asarray(model.booster.predict(each, raw_score=True)) for each in (rows, changed))
    assert np.abs(changes - (after - before[row])).max() < 1e-12
    alone = [margin_changes(model, rows[[at]], values, chosen[[at]]) for at in range(0, 700, 13)]
    assert np.concatenate(alone).tolist() == changes[np.isin(row, np.arange(0, 700, 13))].tolist()
    assert margin_changes(model, rows, values, np.zeros_like(chosen)).tolist() == []


def test_rows_that_do_not_fit_are_refused() -> None:
    model, seller = bundle(3), vectors(9, 1)[0]
    values = matrix_of([seller])
    with pytest.raises(VectorError, match="computed with catalogue sha256:0"):
        assess_rows(model, replace(seller, catalogue="sha256:0"), values)
    with pytest.raises(VectorError, match=r"have the shape \(1, 7\); the model needs \(sellers, 8\)"):
        assess_rows(model, seller, values[:, 1:])
    with pytest.raises(VectorError, match="1 values are infinite"):
        assess_rows(model, seller, np.where(np.arange(COUNT) == 1, np.inf, 1.0)[None])


def test_no_rows_give_no_results() -> None:
    rows = assess_rows(bundle(3), vectors(9, 1)[0], np.empty((0, COUNT)))
    assert (len(rows.outcomes), len(rows.scored.points.score), len(rows.scored.reasons.row)) == (0, 0, 0)
