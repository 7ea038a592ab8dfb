"""Calibration: intervals contain the truth, and only a wrong calibration raises alarms."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tests.counts import repeat
from tests.training.monitor.builders import loans, matured_model, monitored_model, scores, small_bundle
from training.evidence.statistics import recalibration, wilson_interval
from training.monitor.calibration import BY_BAND, BY_BOTH, BY_VINTAGE, Chunk, calibration
from training.monitor.performance import vintages
from training.monitor.subject import MonitoredModel

pytestmark = pytest.mark.slow


def with_outcomes(model: MonitoredModel, **parts: object) -> MonitoredModel:
    """Return the same scores with other outcomes."""
    return monitored_model(model.scores, model.outcomes.loans.assign(**parts))


def sharper(model: MonitoredModel, by: float) -> MonitoredModel:
    """Return the same outcomes with log-odds that are so many times as far from their mean."""
    p = model.scores["probability_of_default"]
    odds = np.log(p / (1 - p))
    moved = 1 / (1 + np.exp(-(odds.mean() + by * (odds - odds.mean()))))
    return monitored_model(model.scores.assign(probability_of_default=moved), model.outcomes.loans)


def test_observed_over_expected_has_a_wilson_interval() -> None:
    ratio = Chunk("x", 100, 4, 0.02).ratio()
    ends = [end / 0.02 for end in wilson_interval(4, 100)]
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, *ends), rel=1e-3)
    wider = Chunk("x", 100, 4, 0.02).ratio(0.05 / 12)
    assert wider.low < ratio.low < ratio.high < wider.high
    assert Chunk("x", 50, 0, 0.02).ratio().low == 0


@pytest.mark.repeated
@pytest.mark.parametrize("wrong", [1.0, 1.6])
def test_intervals_contain_the_true_ratio(wrong: float) -> None:
    rng = np.random.default_rng(1)
    held, times = 0, repeat(100, 400)
    for _ in range(times):
        p = 1 / (1 + np.exp(-rng.normal(-2.6, 0.9, 400)))
        true = np.minimum(p * wrong, 1)
        ratio = Chunk("x", 400, int((rng.random(400) < true).sum()), float(p.mean())).ratio()
        held += ratio.low <= true.sum() / p.sum() <= ratio.high
    assert held / times >= 0.93


@pytest.mark.repeated
def test_intervals_contain_the_true_slope_and_intercept() -> None:
    held = {"slope": 0, "intercept": 0}
    for seed in range(repeat(5, 16)):
        figures = calibration(matured_model(np.random.default_rng(seed), 700, months=1)).figures
        for name, truth in (("slope", 1.0), ("intercept", 0.0)):
            held[name] += figures[f"{name}_low"] <= truth <= figures[f"{name}_high"]
    assert min(held.values()) >= repeat(4, 13), "fewer is beyond what 95% could give"


@pytest.mark.repeated
@pytest.mark.parametrize("seed", range(repeat(1, 5)))
def test_only_a_wrong_level_raises_an_alarm(seed: int) -> None:
    assert calibration(matured_model(np.random.default_rng(seed), 1_500)).alarms == ()
    for rows, wrong, ratio in ((1_500, 1.8, "1."), (2_500, 0.5, "0.")):
        alarms = calibration(matured_model(np.random.default_rng(seed), rows, wrong=wrong, months=2)).alarms
        assert any(alarm.startswith(f"Observed over expected defaults are {ratio}") for alarm in alarms)


def test_the_alarm_names_the_wrong_vintage_only() -> None:
    model = matured_model(np.random.default_rng(3), 3_000)
    rows = model.outcomes.loans
    hit = rows["day"].between("2024-05-01", "2024-05-31") & (rows.index % 4 == 0)
    alarms = calibration(with_outcomes(model, bad=rows["bad"] | hit)).alarms
    (named,) = [alarm for alarm in alarms if "vintages" in alarm]
    assert "in 1 of 12 vintages: 2024-05 " in named


def test_a_vintage_raises_an_alarm_only_beyond_its_wider_interval() -> None:
    months, rows = np.repeat(np.arange(1, 7), 100), np.tile(np.arange(100), 6)
    days = pd.to_datetime([f"2024-{month:02}-01" for month in months])
    ids = [f"S-{month}-{row}" for month, row in zip(months, rows, strict=True)]
    frame = scores({"seller_id": ids, "as_of": days, "probability_of_default": 0.1})

    def vintage_alarms(bads: int) -> list[str]:
        bad = rows < np.where(months == 5, bads, 10)
        paid_out = loans({"seller_id": ids, "day": days + pd.Timedelta(days=1), "matured": True, "bad": bad})
        return [alarm for alarm in calibration(monitored_model(frame, paid_out)).alarms if "vintages" in alarm]

    first = next(bads for bads in range(10, 60) if Chunk("x", 100, bads, 0.1).ratio(0.05 / 6).low > 1.25)
    assert Chunk("x", 100, first - 1, 0.1).ratio().low > 1.25, "a single vintage would raise an alarm"
    assert vintage_alarms(first - 1) == []
    assert len(vintage_alarms(first)) == 1


def test_too_extreme_predictions_raise_an_alarm_only_if_the_slope_is_certain() -> None:
    uncertain = calibration(sharper(matured_model(np.random.default_rng(5), 260), 1.5))
    assert uncertain.figures["slope"] < 0.8 < uncertain.figures["slope_high"]
    assert not [alarm for alarm in uncertain.alarms if "slope" in alarm]
    certain = calibration(sharper(matured_model(np.random.default_rng(3), 2_500, months=1), 2.2))
    (slope,) = [alarm for alarm in certain.alarms if alarm.startswith("The calibration slope is 0.")]
    assert ": predictions are too extreme." in slope


def test_a_better_band_with_more_defaults_raises_an_alarm() -> None:
    row = np.arange(400)
    ids, day = [f"S-{each}" for each in row], "2024-05-03"
    p = np.where(row % 2, 0.01, 0.2)
    frame = scores({"seller_id": ids, "as_of": "2024-05-01", "probability_of_default": p})
    rows = loans({"seller_id": ids, "day": day, "matured": True, "bad": (row % 2 == 1) & (row % 10 < 4)})
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
        expected["observed_over_expected"] = expected["bad"] / expected["expected_bad"]
        found = tables[title].set_index(by)[list(expected)]
        assert found.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-6)
    first = merged[merged["vintage"] == "2024-01"]
    odds = np.log(first["probability_of_default"] / (1 - first["probability_of_default"])).to_numpy()
    line = recalibration(odds, first["bad"].to_numpy(dtype=float), np.ones(len(first)))
    shown = tables[BY_VINTAGE].iloc[0]
    assert shown["vintage"] == "2024-01"
    assert math.isnan(shown["slope"]) or (shown["intercept"], shown["slope"]) == pytest.approx(line, abs=1e-3)


def test_too_few_bad_loans_have_a_ratio_but_no_slope() -> None:
    model = matured_model(np.random.default_rng(2), 60, months=1)
    few = calibration(with_outcomes(model, bad=np.arange(60) < 3))
    expected = model.scores["probability_of_default"].sum()
    assert few.figures["observed_over_expected"] == pytest.approx(3 / expected)
    assert "slope" not in few.figures
    assert "too few bad or good loans for a calibration slope" in few.summary


def test_a_stored_probability_of_zero_is_not_exact() -> None:
    model = matured_model(np.random.default_rng(2), 400)
    zero = model.scores["probability_of_default"].where(model.scores.index > 0, 0)
    found = calibration(monitored_model(model.scores.assign(probability_of_default=zero), model.outcomes.loans))
    assert all(math.isfinite(value) for value in found.figures.values())


def test_without_matured_loans_calibration_is_not_measured() -> None:
    model = with_outcomes(matured_model(np.random.default_rng(2), 50), matured=False)
    assert calibration(model).summary.startswith("Not measured")
    assert not calibration(model).figures
    assert vintages(model).figures["open"] == 50
