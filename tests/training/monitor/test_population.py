"""Drift: what is planted is found, what has not moved raises nothing, and intervals hold the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.counts import repeat
from tests.training.monitor.made import Known, reference, scores, small_bundle, watched
from training.monitor.config import DriftLimits, MonitorConfig
from training.monitor.drift import BY_FEATURE, BY_MONTH, drift
from training.monitor.subject import MonitoredModel

pytestmark = pytest.mark.slow

FEATURES = len(small_bundle().sheet.names)
NAMES = small_bundle().sheet.names


def population(rng: np.random.Generator, rows: int, score: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores around 600 moved by so many points, and features of which some are often missing."""
    matrix = rng.normal(size=(rows, FEATURES))
    matrix[:, 7][rng.random(rows) < 0.3] = np.nan
    return np.round(rng.normal(600 + score, 60, rows)), matrix


def given(rng: np.random.Generator, rows: int, score: float = 0.0, **moved: float) -> pd.DataFrame:
    """Scores of as many sellers, lately, some features moved by so much."""
    points, matrix = population(rng, rows, score)
    for name, by in moved.items():
        matrix[:, NAMES.index(name)] += by
    return scores(
        {"seller_id": f"S-{row:05}", "as_of": "2025-12-15", "score": points[row], "values": matrix[row]}
        for row in range(rows)
    )


def moved(seed: int, rows: int = 600, before: int = 800, **changed: float) -> MonitoredModel:
    rng = np.random.default_rng(seed)
    known = Known(reference(*population(rng, before)))
    return watched(given(rng, rows, **changed), references=known)


@pytest.mark.repeated
@pytest.mark.parametrize("seed", range(repeat(2, 6)))
def test_a_population_that_has_not_moved_raises_nothing(seed: int) -> None:
    found = drift(moved(seed))
    assert not found.alarms
    assert found.figures["score_psi_low"] == 0
    assert found.figures["features_surely_moved"] == 0


@pytest.mark.repeated
@pytest.mark.parametrize("seed", range(repeat(1, 3)))
def test_what_was_planted_is_found(seed: int) -> None:
    found = drift(moved(seed, score=-70, **{NAMES[3]: 1.5, NAMES[9]: -1.5}))
    score, features = found.alarms
    assert score.startswith("The score's distribution has moved: PSI ")
    assert "2 features have moved surely beyond 0.25" in features
    assert f"{NAMES[3]} (PSI" in features
    assert f"{NAMES[9]} (PSI" in features
    table = found.tables[BY_FEATURE].set_index("figure")
    assert set(table.index[:3]) == {"score", NAMES[3], NAMES[9]}
    assert table.loc["score", "label"] == "Score"


def test_a_small_move_is_watched_and_wakes_nobody() -> None:
    found = drift(moved(1, rows=2_000, before=2_000, score=22))
    assert 0.1 < found.figures["score_psi"] < 0.25
    assert not found.alarms


def test_an_index_of_few_sellers_may_be_chance_and_wakes_nobody() -> None:
    found = drift(moved(4, rows=70, before=90, score=-30))
    assert found.figures["score_psi"] > 0.25 > found.figures["score_psi_low"]
    assert not [alarm for alarm in found.alarms if "score" in alarm]


def test_the_limit_is_a_setting() -> None:
    made = moved(1, score=40)
    strict = MonitorConfig(drift=DriftLimits(score_psi_most=0.05))
    (alarm,) = drift(replace(made, config=strict)).alarms
    assert "surely above 0.05" in alarm


@pytest.mark.repeated
def test_intervals_hold_the_true_index() -> None:
    """The truth is the index of the two normal populations by the tenths of the first, from many draws."""
    rng = np.random.default_rng(1)
    big = [np.round(rng.normal(middle, 60, repeat(200_000, 1_000_000))) for middle in (600, 560)]
    cuts = np.quantile(big[0], np.arange(1, 10) / 10)
    b, n = (np.bincount(np.searchsorted(cuts, each), minlength=10) / len(each) for each in big)
    truth = float(((n - b) * np.log(n / b)).sum())
    held = 0
    for seed in range(repeat(12, 40)):
        figures = drift(_score_alone(seed)).figures
        held += figures["score_psi_low"] <= truth <= figures["score_psi_high"]
    assert held >= repeat(10, 34), "fewer is beyond what 95% could give"


def _score_alone(seed: int) -> MonitoredModel:
    rng = np.random.default_rng(seed)
    before, _ = population(rng, 700)
    now, _ = population(rng, 500, -40)
    nothing = np.zeros((700, FEATURES))
    rows = ({"seller_id": f"S-{row}", "as_of": "2025-12-15", "score": each} for row, each in enumerate(now))
    other = replace(small_bundle(), sheet=replace(small_bundle().sheet, catalogue="sha256:retired"))
    made = watched(scores(rows), references=Known(reference(before, nothing)))
    return replace(made, model=replace(made.model, bundle=other))


def test_a_catalogue_of_the_past_leaves_the_score_to_compare() -> None:
    found = drift(_score_alone(1))
    assert "score_psi" in found.figures
    assert "largest_feature_psi" not in found.figures
    assert "Features were not compared" in found.summary


def test_who_is_asked_about_daily_counts_once() -> None:
    made = moved(2)
    busy = scores(
        {"seller_id": "S-00000", "as_of": day, "score": 300.0, "values": made.scores["values"][0]}
        for day in pd.date_range("2025-10-10", "2025-12-14")
    )
    both = pd.concat([busy, made.scores], ignore_index=True).sort_values("as_of", ignore_index=True)
    assert drift(replace(made, scores=both)).figures == drift(made).figures


def test_only_the_days_that_are_now_count_and_each_month_is_told() -> None:
    made = moved(2)
    old = given(np.random.default_rng(9), 300, score=-200).assign(as_of=pd.Timestamp("2025-06-15").as_unit("us"))
    old["seller_id"] = "gone-" + old["seller_id"]
    found = drift(replace(made, scores=pd.concat([old, made.scores], ignore_index=True)))
    assert found.figures == drift(made).figures
    months = found.tables[BY_MONTH].set_index("month")
    assert list(months.index) == ["2025-06", "2025-12"]
    assert months.loc["2025-06", "psi_low"] > 1 > months.loc["2025-12", "psi_high"]
    assert months.loc["2025-12", "psi"] == found.figures["score_psi"]


def test_without_a_number_a_seller_is_not_compared() -> None:
    made = moved(3, rows=80)
    unscored = made.scores.assign(outcome="insufficient_history", score=np.nan)
    summary = drift(replace(made, scores=unscored)).summary
    assert "0 sellers got a score as of the last 90 days, and 50 are needed" in summary


def test_too_few_sellers_and_an_unknown_reference_are_said() -> None:
    few = drift(moved(1, rows=49))
    assert few.summary == "Not measured: 49 sellers got a score as of the last 90 days, and 50 are needed."
    unknown = drift(replace(moved(1), references=Known()))
    assert unknown.summary == "Not measured: the training population is not known. Nobody knows it."
    assert not few.figures
    assert not unknown.alarms


def test_a_model_that_saw_every_row_has_its_features_compared_alone() -> None:
    made = moved(1, **{NAMES[3]: 2.0})
    known = Known(replace(made.references.reference, score=None))
    found = drift(replace(made, references=known))
    assert "score_psi" not in found.figures
    assert "The score was not compared" in found.summary
    assert len(found.alarms) == 1
    assert found.tables[BY_MONTH].empty
