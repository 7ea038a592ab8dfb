"""Bands: the same as scoring gives, expected against observed, and an alarm where risk surely falls with the band."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.training.evidence.subjects import subject
from training.evidence.bands import band_of, study_bands
from training.evidence.limits import Standing
from training.evidence.study import Finding
from training.package import BANDS

LIMITS = [band.up_to for band in BANDS.items]
ORDER = "order of the observed default rates"
RATIO = "ratio of expected to observed defaults of band"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1) | st.sampled_from(LIMITS), min_size=1, max_size=20))
def test_many_rows_get_the_bands_that_scoring_gives_one(probability: list[float]) -> None:
    names = [BANDS.items[index].name for index in band_of(BANDS, np.array(probability))]
    assert names == [BANDS.of(value) for value in probability]


def test_each_band_holds_its_rows_and_their_rates() -> None:
    model = subject()
    bands = np.array([BANDS.of(value) for value in model.probability])
    table = study_bands(model).tables["By band"].set_index("band")
    assert table["rows"].sum() == 700
    for name, row in table.iterrows():
        inside = bands == name
        assert (row["rows"], row["bad"]) == (inside.sum(), model.bad[inside].sum())
        assert row["expected"] == pytest.approx(model.probability[inside].mean())
        oracle = binomtest(int(row["bad"]), int(row["rows"])).proportion_ci(method="wilson")
        assert (row["observed_low"], row["observed_high"]) == pytest.approx((oracle.low, oracle.high), abs=1e-6)


def study_rates(rates: dict[float, float], rows: int = 200) -> Finding:
    """Study rows with the given expected rates and observed default rates, so many of each."""
    test, places = subject().test, np.resize(np.arange(700), rows * len(rates))
    bad = np.concatenate([np.arange(rows) < observed * rows for observed in rates.values()])
    planted = replace(test, rows=test.rows.iloc[places].assign(bad=bad), features=test.features.iloc[places])
    return study_bands(replace(subject(), test=planted, probability=np.repeat(list(rates), rows)))


@pytest.mark.parametrize(
    ("rates", "rises", "alarms"),
    [
        ({0.01: 0.01, 0.02: 0.02, 0.05: 0.05, 0.1: 0.1, 0.3: 0.3}, True, 0),
        ({0.01: 0.03, 0.02: 0.02, 0.05: 0.05, 0.1: 0.1, 0.3: 0.3}, False, 0),
        ({0.01: 0.01, 0.02: 0.02, 0.05: 0.40, 0.1: 0.1, 0.3: 0.1}, False, 2),
    ],
)
def test_the_order_of_bands_is_judged(rates: dict[float, float], rises: bool, alarms: int) -> None:
    finding = study_rates(rates)
    assert (finding.figures["in_order"], "rises with every band" in finding.summary) == (rises, rises)
    assert sum("defaults more than band" in alarm for alarm in finding.alarms) == alarms


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        ({0.01: 0.0, 0.02: 0.0, 0.3: 0.3}, "equal observed rates: A and B (0.0%). That is no violation"),
        ({0.01: 0.1, 0.02: 0.1, 0.05: 0.1, 0.3: 0.3}, "equal observed rates: A, B and C (10.0%)."),
    ],
)
def test_equal_rates_are_no_violation(rates: dict[float, float], shown: str) -> None:
    finding = study_rates(rates, 20)
    check = next(check for check in finding.checks if check.figure == ORDER)
    assert (check.found, check.standing) == ("rises, with equal rates", Standing.WITHIN)
    assert finding.figures["in_order"] == 1.0
    assert "never falls from a better band to a worse one" in finding.summary
    assert shown in finding.summary


@pytest.mark.parametrize(
    ("rates", "rows", "figure", "result"),
    [
        ({0.02: 0.02, 0.3: 0.1}, 200, f"{RATIO} E", (Standing.ALARM, "is 3.000 (2.008 to 4.568), above the limit")),
        ({0.02: 0.2}, 200, f"{RATIO} B", (Standing.ALARM, "below the limit of 0.6667")),
        (
            {0.02: 0, 0.3: 0.3},
            10,
            f"{RATIO} B",
            (Standing.NOT_MEASURED, "is 0.072 or more, and more than 10 loans with 0 defaults are needed"),
        ),
        ({0.01: 0.1, 0.3: 0.05}, 40, ORDER, (Standing.UNCERTAIN, "overlap: 6 defaults are too few to decide.")),
    ],
)
def test_only_what_is_certain_raises_an_alarm(
    rates: dict[float, float], rows: int, figure: str, result: tuple[Standing, str]
) -> None:
    check = next(check for check in study_rates(rates, rows).checks if check.figure == figure)
    assert check.standing is result[0]
    assert result[1] in check.note
    assert figure == ORDER or check.limit == "0.667 to 1.5"


def test_an_empty_band_has_no_line_and_is_counted() -> None:
    finding = study_rates({0.01: 0.01, 0.3: 0.3})
    assert finding.tables["By band"]["band"].tolist() == ["A", "E"]
    assert "3 of 5 bands hold no rows" in finding.summary
