"""Scores and explanations of frames: all numbers equal those of `assess`, and points and SHAP values add up."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import cycle

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from scoring import Assessment, Bundle, Outcome, Vector, VectorError, assess
from scoring.assessment import SCALE_LIMIT
from scoring.scale import Scale
from tests.scoring import build

BUNDLE = build.bundle()
NAMES = list(BUNDLE.sheet.names)
DAYS = [build.AS_OF, date(2026, 1, 20), date(2025, 12, 1)]


def rows(count: int = 120) -> NDArray[np.float64]:
    """Return rows; every fifth has too short a history."""
    matrix = build.rows(build.Recipe(), count, seed=5)
    matrix[:, 0] = np.where(np.arange(count) % 5, 100.0 + np.nan_to_num(matrix[:, 0]), 3.0)
    return matrix


def to_frame(matrix: NDArray[np.float64], days: list[date] | None = None) -> pd.DataFrame:
    sellers = [f"S-{number}" for number in range(len(matrix))]
    dates = [day for day, _ in zip(cycle(days or [build.AS_OF]), sellers, strict=False)]
    index = pd.MultiIndex.from_arrays([sellers, pd.to_datetime(dates)], names=["seller_id", "as_of"])
    return pd.DataFrame(matrix, columns=NAMES, index=index)


def assess_frame(bundle: Bundle, frame: pd.DataFrame, covers: dict[str, date]) -> list[Assessment]:
    """Return the assessments of single vectors, requested on the day of each row's `as_of`."""
    vectors = []
    for (seller, day), row in zip(frame.index, frame.to_numpy().tolist(), strict=True):
        values = tuple(None if np.isnan(value) else value for value in row)
        vectors.append(Vector(seller, day.date(), day.date(), covers, build.CATALOGUE, values))
    return assess(bundle, vectors)


@pytest.mark.parametrize("narrow", [False, True])
def test_every_row_equals_its_assessment(narrow: bool) -> None:
    bundle = build.bundle(its_policy=build.policy(Scale(min=560, max=600))) if narrow else BUNDLE
    frame = to_frame(rows())
    expected = assess_frame(bundle, frame, dict.fromkeys(("orders", "refunds"), build.AS_OF))
    scored, explained = bundle.score_frame(frame), bundle.explain_frame(frame)
    assert scored.index.equals(frame.index)
    assert explained.points.index.equals(frame.index)
    assert list(explained.points.columns) == [*NAMES, SCALE_LIMIT]
    limited = 0
    for row, assessment in enumerate(expected):
        outcome, score, band, probability = scored.iloc[row]
        assert outcome == assessment.outcome
        if assessment.explanation is None:
            assert explained.points.iloc[row].isna().all()
            assert pd.isna(score)
            assert pd.isna(band)
            assert pd.isna(probability)
            continue
        assert (score, band, probability) == (assessment.score, assessment.band, assessment.probability_of_default)
        points = explained.points.iloc[row]
        assert explained.base_points == assessment.explanation.base_points
        assert explained.base_points + points.sum() == assessment.score
        contributions = {item.feature: float(item.points) for item in assessment.explanation.contributions}
        assert {SCALE_LIMIT: 0.0, **contributions} == points.to_dict()
        limited += SCALE_LIMIT in contributions
    assert bool(limited) is narrow
    assert set(scored["outcome"]) == {"scored", "insufficient_history"}


def test_coverage_decides_outcomes_as_in_assess() -> None:
    frame = to_frame(rows(30), DAYS)
    for covers in (
        {"orders": build.AS_OF, "refunds": build.AS_OF},
        {"orders": build.AS_OF},
        {"orders": build.AS_OF, "refunds": date(2026, 1, 15)},
    ):
        expected = assess_frame(BUNDLE, frame, covers)
        for variant in (frame, frame.reset_index()):
            scored = BUNDLE.score_frame(variant, covers)
            assert scored["outcome"].tolist() == [assessment.outcome for assessment in expected]
            assert scored["score"].fillna(0).tolist() == [float(assessment.score or 0) for assessment in expected]
    assert {assessment.outcome for assessment in expected} >= {Outcome.SCORED, Outcome.STALE_DATA}
    with pytest.raises(VectorError, match="With covers_through, the frame needs as_of"):
        BUNDLE.score_frame(frame.reset_index(drop=True), {"orders": build.AS_OF})


def test_an_optional_table_that_ended_early_counts_as_missing() -> None:
    entries = tuple(
        replace(entry, tables=("traffic",)) if entry.name == "visits" else entry for entry in BUNDLE.sheet.entries
    )
    bundle = replace(BUNDLE, sheet=replace(BUNDLE.sheet, entries=entries))
    frame = to_frame(rows(40))
    covers = dict.fromkeys(("orders", "refunds"), build.AS_OF)
    too_old = {**covers, "traffic": build.AS_OF - timedelta(days=20)}
    without = bundle.score_frame(frame.assign(visits=np.nan), {**covers, "traffic": build.AS_OF})
    assert bundle.score_frame(frame, too_old).equals(without)
    assert not bundle.score_frame(frame, {**covers, "traffic": build.AS_OF}).equals(without)


# on import, shap uses a deprecated way of matplotlib to set up its colour maps
@pytest.mark.filterwarnings("ignore:The set_(bad|under|over) function will be deprecated:PendingDeprecationWarning")
def test_shap_values_add_up_to_the_log_odds_of_the_rows_with_a_score() -> None:
    import shap

    frame = to_frame(rows())
    scored, explained = BUNDLE.score_frame(frame), BUNDLE.explain_frame(frame)
    explanation = shap.Explanation(**explained.as_shap())
    with_score = scored["outcome"] == "scored"
    assert explained.is_scored.tolist() == with_score.tolist()
    assert explanation.values.shape == (int(with_score.sum()), len(NAMES))
    assert explanation.feature_names == NAMES
    np.testing.assert_array_equal(explanation.data, frame[with_score].to_numpy())
    log_odds = explanation.base_values + explanation.values.sum(axis=1)
    probability = scored.loc[with_score, "probability_of_default"].to_numpy(dtype=float)
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), probability, atol=1e-6)


def test_mappings_nullable_columns_other_columns_and_empty_frames_are_accepted() -> None:
    frame = to_frame(rows(10))
    columns = {**{name: frame[name].tolist() for name in reversed(NAMES)}, "note": ["x"] * 10}
    scored = BUNDLE.score_frame(columns)
    assert isinstance(scored, dict)
    pd.testing.assert_frame_equal(BUNDLE.score_frame(frame.astype("Float64")), BUNDLE.score_frame(frame))
    np.testing.assert_array_equal(scored["score"], BUNDLE.score_frame(frame)["score"].to_numpy())
    empty = BUNDLE.score_frame(frame.iloc[:0])
    assert (len(empty), list(empty.columns)) == (0, ["outcome", "score", "band", "probability_of_default"])
    assert len(BUNDLE.explain_frame(frame.iloc[:0]).points) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns=["sales", "visits"]), "The frame lacks 2 of 4 features: sales, visits."),
        (lambda frame: frame.assign(sales="many"), "A value of sales is not a number"),
        (lambda frame: frame.assign(sales=np.inf), "10 values of sales are infinite"),
    ],
)
def test_an_invalid_frame_is_rejected(change: object, message: str) -> None:
    for call in (BUNDLE.score_frame, BUNDLE.explain_frame):
        with pytest.raises(VectorError, match=message):
            call(change(to_frame(rows(10))))  # type: ignore[operator]
