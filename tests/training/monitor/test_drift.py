"""Drift: planted changes raise alarms, unchanged populations and older sellers do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.counts import repeat
from tests.training.monitor.builders import FixedReference, monitored_model, reference, scores, sellers, small_bundle
from training.config import DriftThresholds, MonitorConfig
from training.monitor.drift import AGES, BY_FEATURE, BY_MONTH, drift
from training.monitor.subject import MonitoredModel

pytestmark = pytest.mark.slow

NAMES = small_bundle().sheet.names


def population(rng: np.random.Generator, rows: int, score: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores around 600, shifted by some points, and features, one of them often missing."""
    matrix = rng.normal(size=(rows, len(NAMES)))
    matrix[:, 7][rng.random(rows) < 0.3] = np.nan
    return np.round(rng.normal(600 + score, 60, rows)), matrix


def recent_scores(points: np.ndarray, matrix: np.ndarray, day: str = "2025-12-15") -> pd.DataFrame:
    return scores({"seller_id": sellers(len(points)), "as_of": day, "score": points, "values": list(matrix)})


def drifted_model(seed: int, rows: int = 600, before: int = 800, score: float = 0.0, **moved: float) -> MonitoredModel:
    """Return a model with recent scores of some sellers; their score and some features are shifted."""
    rng = np.random.default_rng(seed)
    references = FixedReference(reference(*population(rng, before)))
    points, matrix = population(rng, rows, score)
    for name, by in moved.items():
        matrix[:, NAMES.index(name)] += by
    return monitored_model(recent_scores(points, matrix), references=references)


@pytest.mark.repeated
@pytest.mark.parametrize("seed", range(repeat(2, 6)))
def test_an_unchanged_population_raises_no_alarm(seed: int) -> None:
    finding = drift(drifted_model(seed))
    assert not finding.alarms
    assert finding.figures["score_psi_low"] == 0
    assert finding.figures["features_surely_moved"] == 0


@pytest.mark.repeated
@pytest.mark.parametrize("seed", range(repeat(1, 3)))
def test_planted_drift_raises_alarms(seed: int) -> None:
    finding = drift(drifted_model(seed, score=-70, **{NAMES[3]: 1.5, NAMES[9]: -1.5}))
    score, features = finding.alarms
    assert score.startswith("The score has drifted: PSI ")
    assert "2 features have drifted: " in features
    assert all(f"{name} (PSI" in features for name in (NAMES[3], NAMES[9]))
    table = finding.tables[BY_FEATURE].set_index("figure")
    assert set(table.index[:3]) == {"score", NAMES[3], NAMES[9]}
    assert table.loc["score", "label"] == "Score"


def test_a_small_drift_or_one_of_few_sellers_raises_no_alarm() -> None:
    small = drift(drifted_model(1, rows=2_000, before=2_000, score=22))
    assert 0.1 < small.figures["score_psi"] < 0.25
    assert not small.alarms
    few = drift(drifted_model(4, rows=70, before=90, score=-30))
    assert few.figures["score_psi"] > 0.25 > few.figures["score_psi_low"]
    assert not [alarm for alarm in few.alarms if "score" in alarm]


def test_the_threshold_is_a_setting() -> None:
    strict = MonitorConfig(drift=DriftThresholds(score_psi_most=0.05))
    (alarm,) = drift(replace(drifted_model(1, score=40), config=strict)).alarms
    assert "Threshold: at most 0.05." in alarm


@pytest.mark.repeated
def test_intervals_contain_the_true_psi() -> None:
    """The true PSI is that of two normal populations by the tenths of the first, from large samples."""
    rng = np.random.default_rng(1)
    big = [np.round(rng.normal(middle, 60, repeat(200_000, 1_000_000))) for middle in (600, 560)]
    cuts = np.quantile(big[0], np.arange(1, 10) / 10)
    b, n = (np.bincount(np.searchsorted(cuts, each), minlength=10) / len(each) for each in big)
    truth = float(((n - b) * np.log(n / b)).sum())
    held = 0
    for seed in range(repeat(12, 40)):
        figures = drift(_of_another_catalogue(seed)).figures
        held += figures["score_psi_low"] <= truth <= figures["score_psi_high"]
    assert held >= repeat(10, 34), "fewer is beyond what 95% could give"


def _of_another_catalogue(seed: int) -> MonitoredModel:
    other = replace(small_bundle(), sheet=replace(small_bundle().sheet, catalogue="sha256:retired"))
    model = drifted_model(seed, rows=500, before=700, score=-40)
    # only features that are not stored depend on the catalogue
    return replace(model, model=replace(model.model, bundle=other), scores=model.scores.assign(values=None))


def test_with_another_catalogue_only_the_score_is_compared() -> None:
    finding = drift(_of_another_catalogue(1))
    assert "score_psi" in finding.figures
    assert "largest_feature_psi" not in finding.figures
    assert "Features were not compared" in finding.summary


def test_a_seller_with_daily_requests_counts_once() -> None:
    model = drifted_model(2)
    days = pd.date_range("2025-10-10", "2025-12-14")
    values = [model.scores["values"][0]] * len(days)
    busy = scores({"seller_id": "S-00000", "as_of": days, "score": 300.0, "values": values})
    both = pd.concat([busy, model.scores], ignore_index=True)
    assert drift(replace(model, scores=both)).figures == drift(model).figures


def test_only_the_analysis_period_counts_and_each_month_has_a_row() -> None:
    model = drifted_model(2)
    old = recent_scores(*population(np.random.default_rng(9), 300, -200), day="2025-06-15")
    old["seller_id"] = "gone-" + old["seller_id"]
    finding = drift(replace(model, scores=pd.concat([old, model.scores], ignore_index=True)))
    assert finding.figures == drift(model).figures
    months = finding.tables[BY_MONTH].set_index("month")
    assert list(months.index) == ["2025-06", "2025-12"]
    assert months.loc["2025-06", "psi_low"] > 1 > months.loc["2025-12", "psi_high"]
    assert months.loc["2025-12", "psi"] == finding.figures["score_psi"]


def test_too_few_sellers_with_a_score_and_an_unknown_reference_are_reported() -> None:
    few, model = drift(drifted_model(1, rows=49)), drifted_model(3, rows=80)
    unscored = model.scores.assign(outcome="insufficient_history", score=np.nan)
    assert few.summary == "Not measured: 49 sellers got a score in the last 90 days; 50 are needed."
    assert drift(replace(model, scores=unscored)).summary == few.summary.replace("49", "0")
    unknown = drift(replace(model, references=FixedReference()))
    assert unknown.summary == "Not measured: the training population is not known. It is unknown."
    assert not few.figures
    assert not unknown.alarms


def test_a_model_trained_on_all_rows_has_only_its_features_compared() -> None:
    model = drifted_model(1, **{NAMES[3]: 2.0})
    references = FixedReference(replace(model.references.reference, score=None))
    finding = drift(replace(model, references=references))
    assert "score_psi" not in finding.figures
    assert "The score was not compared" in finding.summary
    assert len(finding.alarms) == 1
    assert finding.tables[BY_MONTH].empty


OLDER = dict.fromkeys(AGES, 365.0)


def aged_model(by: dict[str, float], share_missing: float = 0.0) -> MonitoredModel:
    """Return a model with sellers 200 to 1,000 days old at training; features of recent sellers differ by so much."""
    rng = np.random.default_rng(5)
    before, now = rng.normal(size=(900, len(NAMES))), rng.normal(size=(700, len(NAMES)))
    for name in AGES:
        place = NAMES.index(name)
        before[:, place], now[:, place] = (rng.uniform(200, 1000, len(rows)) for rows in (before, now))
        now[rng.random(len(now)) < share_missing, place] = np.nan
    for name, more in by.items():
        now[:, NAMES.index(name)] += more
    references = FixedReference(reference(np.full(900, 600.0), before))
    return monitored_model(recent_scores(np.full(700, 600.0), now), references=references)


def test_older_sellers_are_listed_without_an_alarm() -> None:
    assert {"days_on_platform", "days_since_first_order", "oldest_store_days"} == AGES
    finding = drift(aged_model(OLDER))
    assert not finding.alarms
    assert (finding.figures["features_surely_moved"], finding.figures["features_only_older"]) == (0, 3)
    table = finding.tables[BY_FEATURE].set_index("figure").loc[sorted(AGES)]
    assert (table["psi_low"] > 0.25).all(), "their PSI is listed"
    assert set(table["explained"]) == {"sellers got older"}
    assert f"{', '.join(sorted(AGES))} exceed the threshold only because" in finding.summary


@pytest.mark.parametrize("name", sorted(AGES))
def test_younger_sellers_raise_an_alarm(name: str) -> None:
    finding = drift(aged_model({name: -365.0}))
    (alarm,) = finding.alarms
    assert f"1 feature has drifted: {name} (PSI" in alarm
    assert finding.figures["features_only_older"] == 0
    assert "got older" not in finding.summary


def test_missing_ages_and_another_drift_raise_an_alarm_when_sellers_get_older() -> None:
    assert "3 features have drifted: " in drift(aged_model({}, share_missing=0.6)).alarms[0]
    other = next(name for name in NAMES if name not in AGES)
    (alarm,) = drift(aged_model(OLDER | {other: 2.0})).alarms
    assert f"1 feature has drifted: {other} (PSI" in alarm
