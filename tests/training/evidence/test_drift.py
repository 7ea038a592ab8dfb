"""PSI against arithmetic by hand, in bins that neither spikes nor missing values can hide in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from tests.training.evidence.subjects import subject, with_test
from training.evidence.drift import Sample, edges, measure_drifts, study_drift
from training.evidence.limits import Standing
from training.evidence.study import ReviewedModel
from training.split import Evidence

NAN = float("nan")
READ = sum(feature.scored for feature in CATALOGUE)
"""Features that the model of these tests may read."""


def sample(values: object, sellers: int = 400) -> Sample:
    column = np.asarray(values, dtype=np.float64)
    return Sample(pd.DataFrame({"x": column}), pd.Series([f"S-{row % sellers}" for row in range(len(column))]))


def test_the_index_is_that_of_shares_by_tenth() -> None:
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=4_000), rng.normal(0.4, 1.2, 3_000)
    cuts = np.quantile(before, np.arange(1, 10) / 10)
    b, n = (np.histogram(values, [-np.inf, *cuts, np.inf])[0] / len(values) for values in (before, now))
    found = measure_drifts(sample(before), sample(now))["x"]
    assert found.stability.psi == pytest.approx(((n - b) * np.log(n / b)).sum(), abs=2e-3)
    assert found.stability.low < found.stability.psi < found.stability.high
    assert found.now - found.before == pytest.approx((n - b)[np.abs(n - b).argmax()], abs=2e-3)


def test_missing_values_have_a_bin_of_their_own() -> None:
    before = np.where(np.arange(1_000) % 10 < 2, NAN, np.arange(1_000.0))
    now = np.where(np.arange(1_000) % 10 < 6, NAN, np.arange(1_000.0))
    found = measure_drifts(sample(before), sample(now))["x"]
    assert found.bin == "missing"
    assert (found.before, found.now) == (pytest.approx(0.2), pytest.approx(0.6))
    # within what is known nothing moves: its share halves evenly
    assert found.stability.psi == pytest.approx(0.4 * np.log(3) - 0.4 * np.log(0.5), abs=0.02)


@pytest.mark.parametrize("spike", [0.0, 1.0])
def test_a_spike_at_an_end_hides_nothing(spike: float) -> None:
    """Of values that are nearly all 0 (or 1), the others double: tenths alone would put all in one bin."""
    other = 1.0 - spike
    before, now = (np.where(np.arange(1_000) < some, (spike + other) / 2, spike) for some in (50, 200))
    found = measure_drifts(sample(before), sample(now))["x"]
    expected = 0.15 * np.log(4) - 0.15 * np.log(0.8 / 0.95)
    assert found.stability.psi == pytest.approx(expected, abs=1e-9)
    assert found.bin in {f"{spike:g}", f"below {spike:g}", f"up to {spike:g}", f"above {spike:g}"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, 1e9, NAN]) | st.floats(-5, 5), min_size=1, max_size=60))
def test_the_same_rows_have_not_moved(values: list[float]) -> None:
    found = measure_drifts(sample(values), sample(values))["x"]
    assert found.stability.psi == 0.0
    assert found.before == found.now


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=60))
def test_ends_of_bins_rise_and_hold_every_value_that_fills_two_tenths(values: list[float]) -> None:
    ends = edges(np.array(values))
    assert (np.diff(ends) > 0).all()
    tenths = np.quantile(values, np.arange(1, 10) / 10)
    for value in tenths[1:][tenths[1:] == tenths[:-1]]:
        inside = np.searchsorted(ends, np.array([np.nextafter(value, -np.inf), value, np.nextafter(value, np.inf)]))
        assert len(set(inside)) == 3


def test_a_value_that_fills_tenths_has_a_bin_between_the_number_below_and_itself() -> None:
    ends = edges(np.array([0.0] * 10 + list(range(1, 11))))
    assert ends == pytest.approx([0, 0, 0.5, 2.4, 4.3, 6.2, 8.1])
    assert ends[0] < ends[1] == 0.0


def test_a_column_that_was_never_known_and_now_is() -> None:
    found = measure_drifts(sample(np.full(500, NAN)), sample(np.arange(500.0)))["x"]
    assert found.stability.psi > 5
    assert found.bin in {"any value", "missing"}


def test_what_moved_farthest_comes_first_and_samples_may_differ_in_size() -> None:
    rng = np.random.default_rng(2)
    columns = {"still": rng.normal(size=900), "moved": rng.normal(size=900)}
    before = Sample(pd.DataFrame(columns), pd.Series([f"S-{row}" for row in range(900)]))
    after = pd.DataFrame({"moved": rng.normal(2, 1, 400), "still": rng.normal(size=400)})
    found = measure_drifts(before, Sample(after, pd.Series([f"T-{row}" for row in range(400)])))
    assert list(found) == ["moved", "still"]
    assert found["still"].stability.psi < 0.1
    assert found["moved"].stability.psi > 1


def test_rows_of_few_sellers_make_a_wider_interval() -> None:
    rng = np.random.default_rng(3)
    level = rng.normal(size=60)
    before, now = (np.repeat(level, 20) + rng.normal(0, 0.01, 1_200) + shift for shift in (0.0, 0.5))
    alone = [f"S-{row}" for row in range(1_200)]
    alike = [f"S-{row // 20}" for row in range(1_200)]
    widths = []
    for sellers in (alone, alike):
        samples = (Sample(pd.DataFrame({"x": values}), pd.Series(sellers)) for values in (before, now))
        stability = measure_drifts(*samples)["x"].stability
        widths.append(stability.high - stability.low)
    assert widths[1] > 1.5 * widths[0]


def test_few_sellers_give_no_interval() -> None:
    found = measure_drifts(sample(np.arange(100.0), sellers=3), sample(np.arange(100.0), sellers=3))["x"]
    assert found.stability.low is None


def test_the_study_compares_the_score_and_every_scored_feature() -> None:
    finding = study_drift(subject())
    table = finding.tables["PSI by feature"]
    assert set(table["figure"]) == {"score", *(entry.name for entry in subject().bundle.sheet.scored_entries)}
    assert finding.figures["score_psi"] == table.set_index("figure").loc["score", "psi"] < 0.25
    assert finding.figures["score_psi_low"] <= finding.figures["score_psi"] <= finding.figures["score_psi_high"]
    assert finding.figures["features_to_act_on"] == (table["verdict"] == "act").sum()
    assert finding.alarms == ()


def test_a_feature_that_moved_is_found() -> None:
    found = subject()
    moved = found.test.features["return_rate_90d"] + 3.0
    finding = study_drift(with_test(found, return_rate_90d=moved))
    assert finding.tables["PSI by feature"]["figure"].iloc[0] == "return_rate_90d"
    assert finding.figures["features_to_act_on"] == 1.0
    (alarm,) = finding.alarms
    beyond = f"The PSI of 1 of {READ} features is above the limit of 0.25 with its whole 95% interval: "
    assert alarm.startswith(f"{beyond}return_rate_90d ")


def test_a_score_that_moved_raises_an_alarm() -> None:
    found = subject()
    finding = study_drift(replace(found, score=np.full(len(found.score), found.score.min())))
    (alarm,) = finding.alarms
    assert alarm.startswith("The PSI of the score is ")
    assert "above the limit of 0.25" in alarm


def test_training_rows_have_the_scores_of_models_that_did_not_see_them() -> None:
    """The model's scores of its own training rows are more extreme, which would look like drift."""
    found = subject()
    stretched = replace(found, train_score=found.train_score + np.where(found.train.rows["bad"], -60, 60))
    assert study_drift(stretched).figures["score_psi"] > 3 * study_drift(found).figures["score_psi"]


def test_without_later_rows_nothing_is_studied() -> None:
    found = subject()
    finding = study_drift(replace(found, test=found.train, score=found.train_score, evidence=Evidence.OUT_OF_FOLD))
    assert finding.summary.startswith("Not studied")
    assert finding.figures == {}


def first(rows: int) -> ReviewedModel:
    """The subject judged on its first rows only."""
    found = subject()
    few = found.test.select(found.test.rows.index.to_series() < rows)
    return replace(found, test=few, score=found.score[:rows], probability=found.probability[:rows])


def test_what_may_be_chance_raises_no_alarm() -> None:
    finding = study_drift(first(41))
    assert finding.figures["score_psi_low"] <= 0.25 < finding.figures["score_psi"]
    score = finding.checks[0]
    assert (score.figure, score.standing) == ("PSI of the score", Standing.UNCERTAIN)
    assert score.note.endswith("its 95% interval reaches the limit: 41 test loans are too few to decide.")
    assert not [alarm for alarm in finding.alarms if "score" in alarm]


def test_features_beyond_the_limit_by_chance_are_named_with_the_reason_for_no_alarm() -> None:
    few = first(41)
    finding = study_drift(with_test(few, return_rate_90d=few.test.features["return_rate_90d"] + 3.0))
    (check,) = (check for check in finding.checks if check.standing is Standing.UNCERTAIN and "feature" in check.figure)
    table = finding.tables["PSI by feature"].set_index("figure").drop(index="score")
    (alarm,) = finding.alarms
    assert alarm.startswith(f"The PSI of 1 of {READ} features ")
    beyond = (table["verdict"] == "act").sum() - 1
    assert check.found == f"{beyond} of {READ} features above"
    assert "41 test loans are too few to decide" in check.note


def test_too_few_sellers_tell_nothing() -> None:
    finding = study_drift(first(5))
    assert "too few sellers" in finding.summary
    assert finding.figures == {}
