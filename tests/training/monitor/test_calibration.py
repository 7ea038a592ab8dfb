"""Calibration: intervals contain the truth, and only a wrong calibration raises alarms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from tests.counts import repeat
from tests.training.monitor.builders import loans, matured_model, monitored_model, scores, small_bundle
from training.evidence.statistics import recalibration
from training.monitor.calibration import BY_BAND, BY_BOTH, BY_VINTAGE, Chunk, calibration
from training.monitor.performance import vintages
from training.monitor.subject import MonitoredModel

pytestmark = pytest.mark.slow

SEEDS = range(repeat(1, 5))


def with_outcomes(model: MonitoredModel, **parts: object) -> MonitoredModel:
    """Return the same scores with other outcomes."""
    return monitored_model(model.scores, model.outcomes.loans.assign(**parts))


def test_observed_over_expected_has_a_wilson_interval() -> None:
    found = Chunk("x", 100, 4, 0.02).ratio()
    centre, half = (0.04 + 1.96**2 / 200) / (1 + 1.96**2 / 100), 1.96 * math.sqrt(0.04 * 0.96 / 100 + 1.96**2 / 40_000)
    half /= 1 + 1.96**2 / 100
    assert (found.value, found.low, found.high) == pytest.approx(
        (2, (centre - half) / 0.02, (centre + half) / 0.02), rel=1e-3
    )
    wider = Chunk("x", 100, 4, 0.02).ratio(0.05 / 12)
    assert wider.low < found.low < found.high < wider.high
    assert Chunk("x", 50, 0, 0.02).ratio().low == 0


@pytest.mark.repeated
@pytest.mark.parametrize("wrong", [1.0, 1.6])
def test_intervals_contain_the_true_ratio(wrong: float) -> None:
    rng = np.random.default_rng(1)
    held, times = 0, repeat(100, 400)
    for _ in range(times):
        p = 1 / (1 + np.exp(-rng.normal(-2.6, 0.9, 400)))
        bad = int((rng.random(400) < np.minimum(p * wrong, 1)).sum())
        ratio = Chunk("x", 400, bad, float(p.mean())).ratio()
        held += ratio.low <= np.minimum(p * wrong, 1).sum() / p.sum() <= ratio.high
    assert held / times >= 0.93


@pytest.mark.repeated
def test_intervals_contain_the_true_slope_and_intercept() -> None:
    held = {"slope": 0, "intercept": 0}
    for seed in range(repeat(5, 16)):
        figures = calibration(matured_model(np.random.default_rng(seed), 700, months=1)).figures
        for name, truth in (("slope", 1.0), ("intercept", 0.0)):
            held[name] += figures[f"{name}_low"] <= truth <= figures[f"{name}_high"]
    assert min(held.values()) >= repeat(4, 13), "fewer is vintage_alarms what 95% could give"


@pytest.mark.repeated
def test_a_calibrated_model_raises_no_alarm() -> None:
    raised = [calibration(matured_model(np.random.default_rng(seed), 1_500)).alarms for seed in SEEDS]
    assert raised == [()] * len(SEEDS)


@pytest.mark.repeated
def test_a_wrong_level_raises_an_alarm() -> None:
    for seed in range(repeat(1, 3)):
        lenient = calibration(matured_model(np.random.default_rng(seed), 1_500, wrong=1.8, months=2)).alarms
        assert any(alarm.startswith("Observed over expected defaults are 1.") for alarm in lenient)
    strict = calibration(matured_model(np.random.default_rng(1), 2_500, wrong=0.5, months=2)).alarms
    assert any(alarm.startswith("Observed over expected defaults are 0.") for alarm in strict)


def test_the_alarm_names_the_wrong_vintage_only() -> None:
    model = matured_model(np.random.default_rng(3), 3_000)
    rows = model.outcomes.loans
    hit = (rows["day"] >= "2024-05-01") & (rows["day"] < "2024-06-01")
    alarms = calibration(with_outcomes(model, bad=rows["bad"] | (hit & (rows.index % 4 == 0)))).alarms
    (named,) = [alarm for alarm in alarms if "vintages" in alarm]
    assert "in 1 of 12 vintages: 2024-05 " in named


def test_a_vintage_raises_an_alarm_only_beyond_its_wider_interval() -> None:
    def vintage_alarms(bads: int) -> list[str]:
        frame = scores(
            {"seller_id": f"S-{month}-{row}", "as_of": f"2024-{month:02}-01", "probability_of_default": 0.1}
            for month in range(1, 7)
            for row in range(100)
        )
        rows = loans(
            (f"S-{month}-{row}", f"2024-{month:02}-02", True, row < (bads if month == 5 else 10))
            for month in range(1, 7)
            for row in range(100)
        )
        return [alarm for alarm in calibration(monitored_model(frame, rows)).alarms if "vintages" in alarm]

    first = next(bads for bads in range(10, 60) if Chunk("x", 100, bads, 0.1).ratio(0.05 / 6).low > 1.25)
    assert Chunk("x", 100, first - 1, 0.1).ratio().low > 1.25, "a single vintage would raise an alarm"
    assert vintage_alarms(first - 1) == []
    assert len(vintage_alarms(first)) == 1


def test_an_uncertain_slope_raises_no_alarm() -> None:
    model = matured_model(np.random.default_rng(5), 260)
    odds = np.log(model.scores["probability_of_default"] / (1 - model.scores["probability_of_default"]))
    sharper = model.scores.assign(probability_of_default=1 / (1 + np.exp(-(odds.mean() + 1.5 * (odds - odds.mean())))))
    found = calibration(monitored_model(sharper, model.outcomes.loans))
    assert found.figures["slope"] < 0.8 < found.figures["slope_high"]
    assert not [alarm for alarm in found.alarms if "slope" in alarm]


def test_too_extreme_predictions_raise_an_alarm() -> None:
    model = matured_model(np.random.default_rng(3), 2_500, months=1)
    odds = np.log(model.scores["probability_of_default"] / (1 - model.scores["probability_of_default"]))
    sharper = model.scores.assign(probability_of_default=1 / (1 + np.exp(-(odds.mean() + 2.2 * (odds - odds.mean())))))
    alarms = calibration(monitored_model(sharper, model.outcomes.loans)).alarms
    (slope,) = [alarm for alarm in alarms if alarm.startswith("The calibration slope is 0.")]
    assert ": predictions are too extreme." in slope


def test_a_better_band_with_more_defaults_raises_an_alarm() -> None:
    frame = scores(
        {"seller_id": f"S-{row}", "as_of": "2024-05-01", "probability_of_default": 0.01 if row % 2 else 0.2}
        for row in range(400)
    )
    rows = loans((f"S-{row}", "2024-05-03", True, bool(row % 2) and row % 10 < 4) for row in range(400))
    alarms = calibration(monitored_model(frame, rows)).alarms
    assert any(alarm.startswith("Band A has a higher default rate than band E: 0.") for alarm in alarms)


def test_tables_equal_a_plain_count() -> None:
    model = matured_model(np.random.default_rng(2), 900)
    tables = calibration(model).tables
    merged = model.outcomes.loans.merge(model.scores, on="seller_id")
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


def test_too_few_bad_loans_have_a_ratio_but_no_slope() -> None:
    frame = scores({"seller_id": f"S-{row}", "as_of": "2024-05-01"} for row in range(60))
    rows = loans((f"S-{row}", "2024-05-03", True, row < 3) for row in range(60))
    found = calibration(monitored_model(frame, rows))
    assert found.figures["observed_over_expected"] == pytest.approx(1.0)
    assert "slope" not in found.figures
    assert "too few bad or good loans for a calibration slope" in found.summary


def test_a_stored_probability_of_zero_is_not_exact() -> None:
    model = matured_model(np.random.default_rng(2), 400)
    zeros = model.scores.assign(
        probability_of_default=model.scores["probability_of_default"].where(model.scores.index > 0, 0)
    )
    found = calibration(monitored_model(zeros, model.outcomes.loans))
    assert all(math.isfinite(value) for value in found.figures.values())


def test_without_matured_loans_calibration_is_not_measured() -> None:
    model = matured_model(np.random.default_rng(2), 50)
    open_model = monitored_model(model.scores, model.outcomes.loans.assign(matured=False))
    assert calibration(open_model).summary.startswith("Not measured")
    assert not calibration(open_model).figures
    assert vintages(replace(open_model, model=open_model.model)).figures["open"] == 50
