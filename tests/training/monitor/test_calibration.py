"""Observed over expected: intervals that hold the truth, alarms where it is off, and none where it is not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from tests.counts import repeat
from tests.training.monitor.made import judged, loans, scores, small_bundle, watched
from training.evidence.statistics import recalibration
from training.monitor.calibration import BY_BAND, BY_BOTH, BY_VINTAGE, Part, calibration
from training.monitor.performance import vintages
from training.monitor.subject import MonitoredModel

pytestmark = pytest.mark.slow

SEEDS = range(repeat(1, 5))


def shifted(made: MonitoredModel, **parts: object) -> MonitoredModel:
    """The same scores with other outcomes."""
    return watched(made.scores, made.outcomes.loans.assign(**parts))


def test_the_ratio_is_observed_over_expected_with_the_interval_of_wilson() -> None:
    found = Part("x", 100, 4, 0.02).ratio()
    centre, half = (0.04 + 1.96**2 / 200) / (1 + 1.96**2 / 100), 1.96 * math.sqrt(0.04 * 0.96 / 100 + 1.96**2 / 40_000)
    half /= 1 + 1.96**2 / 100
    assert (found.value, found.low, found.high) == pytest.approx(
        (2, (centre - half) / 0.02, (centre + half) / 0.02), rel=1e-3
    )
    wider = Part("x", 100, 4, 0.02).ratio(0.05 / 12)
    assert wider.low < found.low < found.high < wider.high
    assert Part("x", 50, 0, 0.02).ratio().low == 0


@pytest.mark.repeated
@pytest.mark.parametrize("wrong", [1.0, 1.6])
def test_nineteen_intervals_of_twenty_hold_the_true_ratio(wrong: float) -> None:
    rng = np.random.default_rng(1)
    held, times = 0, repeat(100, 400)
    for _ in range(times):
        p = 1 / (1 + np.exp(-rng.normal(-2.6, 0.9, 400)))
        bad = int((rng.random(400) < np.minimum(p * wrong, 1)).sum())
        ratio = Part("x", 400, bad, float(p.mean())).ratio()
        held += ratio.low <= np.minimum(p * wrong, 1).sum() / p.sum() <= ratio.high
    assert held / times >= 0.93


@pytest.mark.repeated
def test_intervals_of_slope_and_intercept_hold_the_truth() -> None:
    held = {"slope": 0, "intercept": 0}
    for seed in range(repeat(5, 16)):
        figures = calibration(judged(np.random.default_rng(seed), 700, months=1)).figures
        for name, truth in (("slope", 1.0), ("intercept", 0.0)):
            held[name] += figures[f"{name}_low"] <= truth <= figures[f"{name}_high"]
    assert min(held.values()) >= repeat(4, 13), "fewer is beyond what 95% could give"


@pytest.mark.repeated
def test_where_probabilities_are_right_nothing_is_raised() -> None:
    raised = [calibration(judged(np.random.default_rng(seed), 1_500)).alarms for seed in SEEDS]
    assert raised == [()] * len(SEEDS)


@pytest.mark.repeated
def test_a_level_that_is_off_is_raised_and_says_how() -> None:
    for seed in range(repeat(1, 3)):
        lenient = calibration(judged(np.random.default_rng(seed), 1_500, wrong=1.8, months=2)).alarms
        assert any(alarm.startswith("The level of probabilities is wrong: 1.") for alarm in lenient)
    strict = calibration(judged(np.random.default_rng(1), 2_500, wrong=0.5, months=2)).alarms
    assert any(alarm.startswith("The level of probabilities is wrong: 0.") for alarm in strict)


def test_one_bad_vintage_is_named_and_the_others_are_not() -> None:
    made = judged(np.random.default_rng(3), 3_000)
    rows = made.outcomes.loans
    hit = (rows["day"] >= "2024-05-01") & (rows["day"] < "2024-06-01")
    alarms = calibration(shifted(made, bad=rows["bad"] | (hit & (rows.index % 4 == 0)))).alarms
    (named,) = [alarm for alarm in alarms if "vintages" in alarm]
    assert "in 1 of 12 vintages (intervals widened for so many): 2024-05 " in named


def test_a_vintage_is_named_from_the_widened_interval_on_and_not_before() -> None:
    def beyond(bads: int) -> list[str]:
        given = scores(
            {"seller_id": f"S-{month}-{row}", "as_of": f"2024-{month:02}-01", "probability_of_default": 0.1}
            for month in range(1, 7)
            for row in range(100)
        )
        known = loans(
            (f"S-{month}-{row}", f"2024-{month:02}-02", True, row < (bads if month == 5 else 10))
            for month in range(1, 7)
            for row in range(100)
        )
        return [alarm for alarm in calibration(watched(given, known)).alarms if "vintages" in alarm]

    first = next(bads for bads in range(10, 60) if Part("x", 100, bads, 0.1).ratio(0.05 / 6).low > 1.25)
    assert Part("x", 100, first - 1, 0.1).ratio().low > 1.25, "alone it would have been named before"
    assert beyond(first - 1) == []
    assert len(beyond(first)) == 1


def test_a_slope_of_few_loans_may_be_chance_and_raises_nothing() -> None:
    made = judged(np.random.default_rng(5), 260)
    odds = np.log(made.scores["probability_of_default"] / (1 - made.scores["probability_of_default"]))
    sharper = made.scores.assign(probability_of_default=1 / (1 + np.exp(-(odds.mean() + 1.5 * (odds - odds.mean())))))
    found = calibration(watched(sharper, made.outcomes.loans))
    assert found.figures["slope"] < 0.8 < found.figures["slope_high"]
    assert not [alarm for alarm in found.alarms if "slope" in alarm]


def test_predictions_that_are_too_extreme_are_raised() -> None:
    made = judged(np.random.default_rng(3), 2_500, months=1)
    odds = np.log(made.scores["probability_of_default"] / (1 - made.scores["probability_of_default"]))
    sharper = made.scores.assign(probability_of_default=1 / (1 + np.exp(-(odds.mean() + 2.2 * (odds - odds.mean())))))
    alarms = calibration(watched(sharper, made.outcomes.loans)).alarms
    (slope,) = [alarm for alarm in alarms if alarm.startswith("The calibration slope is 0.")]
    assert slope.endswith("predictions are too extreme.")


def test_a_better_band_that_defaults_more_is_raised() -> None:
    given = scores(
        {"seller_id": f"S-{row}", "as_of": "2024-05-01", "probability_of_default": 0.01 if row % 2 else 0.2}
        for row in range(400)
    )
    known = loans((f"S-{row}", "2024-05-03", True, bool(row % 2) and row % 10 < 4) for row in range(400))
    alarms = calibration(watched(given, known)).alarms
    assert any(alarm.startswith("Band A defaults more than band E: 0.") for alarm in alarms)


def test_tables_are_recounted_by_hand() -> None:
    made = judged(np.random.default_rng(2), 900)
    tables = calibration(made).tables
    merged = made.outcomes.loans.merge(made.scores, on="seller_id")
    merged["band"] = [small_bundle().policy.bands.of(p) for p in merged["probability_of_default"]]
    merged["vintage"] = merged["as_of"].dt.strftime("%Y-%m")
    for title, by in ((BY_VINTAGE, ["vintage"]), (BY_BAND, ["band"]), (BY_BOTH, ["vintage", "band"])):
        expected = merged.groupby(by).agg(
            loans=("bad", "size"), bad=("bad", "sum"), expected_bad=("probability_of_default", "sum")
        )
        found = tables[title].set_index(by)
        assert found[["loans", "bad", "expected_bad"]].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-6)
        ratio = (expected["bad"] / expected["expected_bad"]).to_numpy()
        assert found["observed_over_expected"].to_numpy() == pytest.approx(ratio, rel=1e-6)
    first = merged[merged["vintage"] == "2024-01"]
    odds = norm.ppf(0.5) + np.log(first["probability_of_default"] / (1 - first["probability_of_default"])).to_numpy()
    line = recalibration(odds, first["bad"].to_numpy(dtype=float), np.ones(len(first)))
    shown = tables[BY_VINTAGE].iloc[0]
    assert shown["vintage"] == "2024-01"
    if not math.isnan(shown["slope"]):
        assert (shown["intercept"], shown["slope"]) == pytest.approx(line, abs=1e-3)


def test_too_few_of_a_kind_have_a_level_and_no_slope() -> None:
    given = scores({"seller_id": f"S-{row}", "as_of": "2024-05-01"} for row in range(60))
    known = loans((f"S-{row}", "2024-05-03", True, row < 3) for row in range(60))
    found = calibration(watched(given, known))
    assert found.figures["observed_over_expected"] == pytest.approx(1.0)
    assert "slope" not in found.figures
    assert "too few to fit a slope" in found.summary


def test_a_probability_given_as_zero_is_no_certainty() -> None:
    made = judged(np.random.default_rng(2), 400)
    zeros = made.scores.assign(
        probability_of_default=made.scores["probability_of_default"].where(made.scores.index > 0, 0)
    )
    found = calibration(watched(zeros, made.outcomes.loans))
    assert all(math.isfinite(value) for value in found.figures.values())


def test_without_matured_loans_nothing_is_measured() -> None:
    made = judged(np.random.default_rng(2), 50)
    still = watched(made.scores, made.outcomes.loans.assign(matured=False))
    assert calibration(still).summary.startswith("Not measured")
    assert not calibration(still).figures
    assert vintages(replace(still, model=still.model)).figures["open"] == 50
