"""Bands: the same as scoring gives, expected against observed, and an alarm where risk surely falls with the band."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.training.evidence.subjects import subject, with_test
from training.dataset import Dataset
from training.evidence.bands import band_of, measure_bands, study_bands
from training.evidence.limits import LimitCheck, Standing
from training.package import BANDS

LIMITS = [band.up_to for band in BANDS.items]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1) | st.sampled_from(LIMITS), min_size=1, max_size=20))
def test_many_rows_get_the_bands_that_scoring_gives_one(probability: list[float]) -> None:
    names = [BANDS.items[place].name for place in band_of(BANDS, np.array(probability))]
    assert names == [BANDS.of(each) for each in probability]


def test_each_band_holds_its_rows_and_their_rates() -> None:
    found = subject()
    bands = np.array([BANDS.of(each) for each in found.probability])
    table = study_bands(found).tables["By band"].set_index("band")
    assert table["rows"].sum() == 700
    for name, row in table.iterrows():
        inside = bands == name
        assert (row["rows"], row["bad"]) == (inside.sum(), found.bad[inside].sum())
        assert row["expected"] == pytest.approx(found.probability[inside].mean())
        oracle = binomtest(int(row["bad"]), int(row["rows"])).proportion_ci(method="wilson")
        assert (row["observed_low"], row["observed_high"]) == pytest.approx((oracle.low, oracle.high), abs=1e-6)


def planted(rates: dict[float, float], rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Rows with the given expected rates and observed default rates."""
    bad = np.concatenate([np.arange(rows) < observed * rows for observed in rates.values()])
    return bad, np.repeat(list(rates), rows)


@pytest.mark.parametrize(
    ("rates", "rises", "alarms"),
    [
        ({0.01: 0.01, 0.02: 0.02, 0.05: 0.05, 0.1: 0.1, 0.3: 0.3}, 1.0, 0),
        ({0.01: 0.03, 0.02: 0.02, 0.05: 0.05, 0.1: 0.1, 0.3: 0.3}, 0.0, 0),
        ({0.01: 0.01, 0.02: 0.02, 0.05: 0.40, 0.1: 0.1, 0.3: 0.1}, 0.0, 2),
    ],
)
def test_the_order_of_bands_is_judged(rates: dict[float, float], rises: float, alarms: int) -> None:
    bad, probability = planted(rates)
    finding = study_bands(replace(subject(), test=planted_rows(bad), probability=probability))
    assert finding.figures["in_order"] == rises
    assert len([alarm for alarm in finding.alarms if "defaults more than band" in alarm]) == alarms
    assert ("rises with every band" in finding.summary) == bool(rises)


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        ({0.01: 0.0, 0.02: 0.0, 0.3: 0.3}, "equal observed rates: A and B (0.0%). That is no violation"),
        ({0.01: 0.1, 0.02: 0.1, 0.05: 0.1, 0.3: 0.3}, "equal observed rates: A, B and C (10.0%)."),
    ],
)
def test_equal_rates_are_no_violation_in_the_text_the_figure_and_the_limit(
    rates: dict[float, float], shown: str
) -> None:
    bad, probability = planted(rates, 20)
    finding = study_bands(replace(subject(), test=planted_rows(bad), probability=probability))
    check = next(check for check in finding.checks if check.figure == "order of the observed default rates")
    assert (check.found, check.standing) == ("rises, with equal rates", Standing.WITHIN)
    assert finding.figures["in_order"] == 1.0
    assert "never falls from a better band to a worse one" in finding.summary
    assert shown in finding.summary


def planted_rows(bad: np.ndarray) -> Dataset:
    """Test rows with these outcomes."""
    places, test = np.resize(np.arange(700), len(bad)), subject().test
    return replace(test, rows=test.rows.iloc[places].assign(bad=bad), features=test.features.iloc[places])


def judged(rates: dict[float, float], rows: int) -> dict[str, LimitCheck]:
    """The checks of planted rates by figure."""
    bad, probability = planted(rates, rows)
    finding = study_bands(replace(subject(), test=planted_rows(bad), probability=probability))
    return {check.figure: check for check in finding.checks}


def test_a_band_whose_level_is_certainly_wrong_raises_an_alarm() -> None:
    check = judged({0.02: 0.02, 0.3: 0.1}, 200)["ratio of expected to observed defaults of band E"]
    assert (check.standing, check.limit) == (Standing.ALARM, "0.667 to 1.5")
    assert check.note.startswith(
        "The ratio of expected to observed defaults of band E is 3.000 (2.008 to 4.568), above the limit"
    )
    low = judged({0.02: 0.2}, 200)["ratio of expected to observed defaults of band B"]
    assert (low.standing, "below the limit of 0.6667" in low.note) == (Standing.ALARM, True)


def test_a_band_with_few_loans_says_why_it_is_no_alarm() -> None:
    check = judged({0.02: 0.0, 0.3: 0.3}, 10)["ratio of expected to observed defaults of band B"]
    assert (check.found, check.standing) == ("0.072 or more", Standing.UNCERTAIN)
    assert check.note.endswith("10 loans with 0 defaults are too few to decide.")


def test_an_order_that_may_be_chance_says_why_it_is_no_alarm() -> None:
    check = judged({0.01: 0.1, 0.3: 0.05}, 40)["order of the observed default rates"]
    assert (check.found, check.standing) == ("A above E", Standing.UNCERTAIN)
    assert check.note.endswith("the 95% intervals overlap: 6 defaults are too few to decide.")


def test_an_empty_band_has_no_line_and_is_counted() -> None:
    bad, probability = planted({0.01: 0.01, 0.3: 0.3})
    assert [each.name for each in measure_bands(BANDS, bad, probability)] == ["A", "E"]
    found = with_test(subject(), bad=np.arange(700) < 7)
    assert "4 of 5 bands hold no loans" in study_bands(replace(found, probability=np.full(700, 0.01))).summary
