"""PSI against arithmetic by hand, in bins that neither spikes nor missing values can hide in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from tests.training.evidence.subjects import first_rows, subject, with_test
from training.evidence.drift import Drift, Sample, edges, measure_drifts, study_drift
from training.evidence.limits import Standing
from training.evidence.study import ReviewedModel
from training.split import Evidence

NAN = float("nan")
READ = sum(feature.scored for feature in CATALOGUE)
"""Features that the model of these tests may read."""


def sample(*columns: object, sellers: int = 400) -> Sample:
    frame = pd.DataFrame(dict(enumerate(columns)), dtype="float64")
    return Sample(frame, pd.Series([f"S-{row % sellers}" for row in range(len(frame))]))


def drift_of(before: object, now: object, sellers: int = 400) -> Drift:
    return measure_drifts(sample(before, sellers=sellers), sample(now, sellers=sellers))[0]


def test_the_index_is_that_of_shares_by_tenth() -> None:
    rng = np.random.default_rng(1)
    before, now = rng.normal(size=4_000), rng.normal(0.4, 1.2, 3_000)
    cuts = np.quantile(before, np.arange(1, 10) / 10)
    b, n = (np.histogram(values, [-np.inf, *cuts, np.inf])[0] / len(values) for values in (before, now))
    found = drift_of(before, now)
    assert found.stability.psi == pytest.approx(((n - b) * np.log(n / b)).sum(), abs=2e-3)
    assert found.stability.low < found.stability.psi < found.stability.high
    assert found.now - found.before == pytest.approx((n - b)[np.abs(n - b).argmax()], abs=2e-3)


def test_missing_values_have_a_bin_of_their_own() -> None:
    row = np.arange(1_000.0)
    found = drift_of(np.where(row % 10 < 2, NAN, row), np.where(row % 10 < 6, NAN, row))
    assert (found.bin, found.before, found.now) == ("missing", pytest.approx(0.2), pytest.approx(0.6))
    # within what is known nothing moves: its share halves evenly
    assert found.stability.psi == pytest.approx(0.4 * np.log(3) - 0.4 * np.log(0.5), abs=0.02)
    appeared = drift_of(np.full(500, NAN), np.arange(500.0))
    assert appeared.stability.psi > 5
    assert appeared.bin in {"any value", "missing"}


@pytest.mark.parametrize("spike", [0.0, 1.0])
def test_a_spike_at_an_end_hides_nothing(spike: float) -> None:
    """Of values that are nearly all 0 (or 1), the others double: tenths alone would put all in one bin."""
    found = drift_of(*(np.where(np.arange(1_000) < some, 0.5, spike) for some in (50, 200)))
    expected = 0.15 * np.log(4) - 0.15 * np.log(0.8 / 0.95)
    assert found.stability.psi == pytest.approx(expected, abs=1e-9)
    assert found.bin in {f"{spike:g}", f"below {spike:g}", f"up to {spike:g}", f"above {spike:g}"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, 1e9, NAN]) | st.floats(-5, 5), min_size=1, max_size=60))
def test_the_same_rows_have_not_moved(values: list[float]) -> None:
    found = drift_of(values, values)
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


def test_what_moved_farthest_comes_first_and_samples_may_differ_in_size() -> None:
    rng = np.random.default_rng(2)
    before = sample(rng.normal(size=900), rng.normal(size=900))
    still, moved = 0, 1
    found = measure_drifts(before, sample(rng.normal(size=400), rng.normal(2, 1, 400)))
    assert list(found) == [moved, still]
    assert found[still].stability.psi < 0.1
    assert found[moved].stability.psi > 1


def test_rows_of_few_sellers_make_a_wider_interval_or_none() -> None:
    rng = np.random.default_rng(3)
    level = np.tile(rng.normal(size=60), 20)
    before, now = (level + rng.normal(0, 0.01, 1_200) + shift for shift in (0.0, 0.5))
    alone, alike, few = (drift_of(before, now, sellers).stability for sellers in (1_200, 60, 3))
    assert alike.high - alike.low > 1.5 * (alone.high - alone.low)
    assert few.low is None


def test_the_study_compares_the_score_and_every_scored_feature() -> None:
    finding = study_drift(subject())
    table = finding.tables["PSI by feature"]
    assert set(table["figure"]) == {"score", *(entry.name for entry in subject().bundle.sheet.scored_entries)}
    assert finding.figures["score_psi"] == table.set_index("figure").loc["score", "psi"] < 0.25
    assert finding.figures["score_psi_low"] <= finding.figures["score_psi"] <= finding.figures["score_psi_high"]
    assert finding.figures["features_to_act_on"] == (table["verdict"] == "act").sum()
    assert finding.alarms == ()


def returns_moved(model: ReviewedModel) -> ReviewedModel:
    return with_test(model, return_rate_90d=model.test.features["return_rate_90d"] + 3.0)


def test_a_feature_that_moved_is_found() -> None:
    finding = study_drift(returns_moved(subject()))
    assert finding.tables["PSI by feature"]["figure"].iloc[0] == "return_rate_90d"
    assert finding.figures["features_to_act_on"] == 1.0
    (alarm,) = finding.alarms
    assert alarm.startswith(
        f"The PSI of 1 of {READ} features is above the limit of 0.25 with its whole 95% interval: return_rate_90d "
    )


def test_a_score_that_moved_raises_an_alarm() -> None:
    model = subject()
    (alarm,) = study_drift(replace(model, score=np.full(len(model.score), model.score.min()))).alarms
    assert alarm.startswith("The PSI of the score is ")
    assert "above the limit of 0.25" in alarm


def test_training_rows_have_the_scores_of_models_that_did_not_see_them() -> None:
    """The model's scores of its own training rows are more extreme, which would look like drift."""
    model = subject()
    stretched = replace(model, train_score=model.train_score + np.where(model.train.rows["bad"], -60, 60))
    assert study_drift(stretched).figures["score_psi"] > 3 * study_drift(model).figures["score_psi"]


def test_without_later_rows_or_enough_sellers_nothing_is_studied() -> None:
    model = subject()
    same = replace(model, test=model.train, score=model.train_score, evidence=Evidence.OUT_OF_FOLD)
    for poor, words in ((same, "Not studied"), (first_rows(model, 5), "too few sellers")):
        finding = study_drift(poor)
        assert words in finding.summary
        assert finding.figures == {}


def test_what_may_be_chance_raises_no_alarm() -> None:
    finding = study_drift(first_rows(subject(), 41))
    assert finding.figures["score_psi_low"] <= 0.25 < finding.figures["score_psi"]
    score = finding.checks[0]
    assert (score.figure, score.standing) == ("PSI of the score", Standing.UNCERTAIN)
    assert score.note.endswith("its 95% interval reaches the limit: 41 test loans are too few to decide.")
    assert not [alarm for alarm in finding.alarms if "score" in alarm]


def test_features_beyond_the_limit_by_chance_are_named_with_the_reason_for_no_alarm() -> None:
    finding = study_drift(returns_moved(first_rows(subject(), 41)))
    (check,) = (check for check in finding.checks if check.standing is Standing.UNCERTAIN and "feature" in check.figure)
    verdicts = finding.tables["PSI by feature"].set_index("figure")["verdict"].drop("score")
    (alarm,) = finding.alarms
    assert alarm.startswith(f"The PSI of 1 of {READ} features ")
    assert check.found == f"{(verdicts == 'act').sum() - 1} of {READ} features above"
    assert "41 test loans are too few to decide" in check.note
