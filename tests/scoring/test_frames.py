"""Scores and explanations of frames: each number is that of `assess`, and points and SHAP values add up."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from scoring import Assessment, Bundle, Outcome, Vector, VectorError, assess
from scoring.assess import SCALE_LIMIT
from scoring.scale import Scale
from tests.scoring import build

BUNDLE = build.bundle()
NAMES = list(BUNDLE.sheet.names)
DAYS = [build.AS_OF, date(2026, 1, 20), date(2025, 12, 1)]


def rows(count: int = 120) -> NDArray[np.float64]:
    """Rows of which every fifth has too short a history."""
    matrix = build.rows(build.Recipe(), count, seed=5)
    matrix[:, 0] = np.where(np.arange(count) % 5, 100.0 + np.nan_to_num(matrix[:, 0]), 3.0)
    return matrix


def framed(matrix: NDArray[np.float64], days: list[date] | None = None) -> pd.DataFrame:
    sellers = [f"S-{number}" for number in range(len(matrix))]
    index = pd.MultiIndex.from_arrays(
        [sellers, pd.to_datetime([(days or [build.AS_OF])[row % len(days or [0])] for row in range(len(matrix))])],
        names=["seller_id", "as_of"],
    )
    return pd.DataFrame(matrix, columns=NAMES, index=index)


def assessed(bundle: Bundle, frame: pd.DataFrame, covers: dict[str, date]) -> list[Assessment]:
    """What the service answers on the day of each row's midnight."""
    return assess(
        bundle,
        [
            Vector(
                seller,
                day.date(),
                day.date(),
                covers,
                build.CATALOGUE,
                tuple(None if np.isnan(v) else v for v in row),
            )
            for (seller, day), row in zip(frame.index, frame.to_numpy().tolist(), strict=True)
        ],
    )


@pytest.mark.parametrize("narrow", [False, True])
def test_every_row_is_scored_and_explained_as_by_assess(narrow: bool) -> None:
    bundle = build.bundle(its_policy=build.policy(Scale(min=560, max=600))) if narrow else BUNDLE
    frame = framed(rows())
    expected = assessed(bundle, frame, dict.fromkeys(("orders", "refunds"), build.AS_OF))
    scored, explained = bundle.score_frame(frame), bundle.explain_frame(frame)
    assert scored.index.equals(frame.index)
    assert explained.points.index.equals(frame.index)
    assert list(explained.points.columns) == [*NAMES, SCALE_LIMIT]
    limited = 0
    for row, each in enumerate(expected):
        outcome, score, band, probability = scored.iloc[row]
        assert outcome == each.outcome
        if each.explanation is None:
            assert explained.points.iloc[row].isna().all()
            assert pd.isna(score)
            assert pd.isna(band)
            assert pd.isna(probability)
            continue
        assert (score, band, probability) == (each.score, each.band, each.probability_of_default)
        points = explained.points.iloc[row]
        assert explained.base_points == each.explanation.base_points
        assert explained.base_points + points.sum() == each.score
        stated = {item.feature: float(item.points) for item in each.explanation.contributions}
        assert {SCALE_LIMIT: 0.0, **stated} == points.to_dict()
        limited += SCALE_LIMIT in stated
    assert bool(limited) is narrow
    assert set(scored["outcome"]) == {"scored", "insufficient_history"}


def test_coverage_decides_outcomes_as_in_assess() -> None:
    frame = framed(rows(30), DAYS)
    for covers in (
        {"orders": build.AS_OF, "refunds": build.AS_OF},
        {"orders": build.AS_OF},
        {"orders": build.AS_OF, "refunds": date(2026, 1, 15)},
    ):
        expected = assessed(BUNDLE, frame, covers)
        for given in (frame, frame.reset_index()):
            found = BUNDLE.score_frame(given, covers)
            assert found["outcome"].tolist() == [each.outcome for each in expected]
            assert found["score"].fillna(0).tolist() == [float(each.score or 0) for each in expected]
    assert {each.outcome for each in expected} >= {Outcome.SCORED, Outcome.STALE_DATA}
    with pytest.raises(VectorError, match="With covers_through, the frame needs as_of"):
        BUNDLE.score_frame(frame.reset_index(drop=True), {"orders": build.AS_OF})


def test_an_optional_table_that_ended_early_counts_as_missing() -> None:
    entries = tuple(
        replace(entry, tables=("traffic",)) if entry.name == "visits" else entry for entry in BUNDLE.sheet.entries
    )
    bundle = replace(BUNDLE, sheet=replace(BUNDLE.sheet, entries=entries))
    frame = framed(rows(40))
    covers = dict.fromkeys(("orders", "refunds"), build.AS_OF)
    late = {**covers, "traffic": build.AS_OF - timedelta(days=20)}
    without = bundle.score_frame(frame.assign(visits=np.nan), {**covers, "traffic": build.AS_OF})
    assert bundle.score_frame(frame, late).equals(without)
    assert not bundle.score_frame(frame, {**covers, "traffic": build.AS_OF}).equals(without)


# shap sets up its colour maps in an older way of matplotlib when it is imported
@pytest.mark.filterwarnings("ignore:The set_(bad|under|over) function will be deprecated:PendingDeprecationWarning")
def test_shap_values_add_up_to_the_log_odds_of_the_rows_with_a_score() -> None:
    import shap

    frame = framed(rows())
    scored, explained = BUNDLE.score_frame(frame), BUNDLE.explain_frame(frame)
    shown = shap.Explanation(**explained.as_shap())
    with_score = scored["outcome"] == "scored"
    assert explained.is_scored.tolist() == with_score.tolist()
    assert shown.values.shape == (int(with_score.sum()), len(NAMES))
    assert shown.feature_names == NAMES
    np.testing.assert_array_equal(shown.data, frame[with_score].to_numpy())
    log_odds = shown.base_values + shown.values.sum(axis=1)
    probability = scored.loc[with_score, "probability_of_default"].to_numpy(dtype=float)
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), probability, atol=1e-6)


def test_a_mapping_gives_a_mapping_and_other_columns_are_ignored() -> None:
    frame = framed(rows(10))
    columns = {**{name: frame[name].tolist() for name in reversed(NAMES)}, "note": ["x"] * 10}
    found = BUNDLE.score_frame(columns)
    assert isinstance(found, dict)
    np.testing.assert_array_equal(found["score"], BUNDLE.score_frame(frame)["score"].to_numpy())
    empty = BUNDLE.score_frame(frame.iloc[:0])
    assert (len(empty), list(empty.columns)) == (0, ["outcome", "score", "band", "probability_of_default"])
    assert len(BUNDLE.explain_frame(frame.iloc[:0]).points) == 0


def test_nullable_columns_are_numbers_with_gaps() -> None:
    frame = framed(rows(20))
    pd.testing.assert_frame_equal(BUNDLE.score_frame(frame.astype("Float64")), BUNDLE.score_frame(frame))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda frame: frame.drop(columns=["sales", "visits"]), "The frame lacks 2 of 4 features: sales, visits."),
        (lambda frame: frame.assign(sales="many"), "A value of sales is not a number"),
        (lambda frame: frame.assign(sales=np.inf), "10 values of sales are infinite"),
    ],
)
def test_a_frame_that_cannot_be_scored_is_one_sentence(broken: object, words: str) -> None:
    for call in (BUNDLE.score_frame, BUNDLE.explain_frame):
        with pytest.raises(VectorError, match=words):
            call(broken(framed(rows(10))))  # type: ignore[operator]
