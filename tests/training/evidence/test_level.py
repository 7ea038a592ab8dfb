"""Observed over expected defaults: by hand, clustered by seller, and with an alarm where the whole interval is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.evidence.subjects import subject
from training.evidence.level import estimate_level, estimate_slope, study_level


def test_the_ratio_is_defaults_over_the_sum_of_probabilities() -> None:
    level = estimate_level(np.array([True, False, False, True]), np.array([0.5, 0.25, 0.125, 0.125]), list("abcd"))
    assert (level.observed, level.expected, level.ratio.value) == (2, 1.0, 2.0)


def test_loans_of_few_sellers_are_less_certain() -> None:
    bad = np.repeat(np.random.default_rng(1).random(60) < 0.2, 10)
    by_seller, by_loan = (
        estimate_level(bad, np.full(600, 0.2), [str(row // size) for row in range(600)]).ratio for size in (10, 1)
    )
    assert by_seller.high - by_seller.low > 2 * (by_loan.high - by_loan.low)


def test_right_probabilities_have_a_slope_of_one_and_halved_log_odds_of_two() -> None:
    rng = np.random.default_rng(2)
    log_odds = rng.normal(-1.5, 1.2, 1_500)
    bad = rng.random(1_500) < 1 / (1 + np.exp(-log_odds))
    sellers = [str(row) for row in range(1_500)]
    right, half = (estimate_slope(bad, 1 / (1 + np.exp(-each)), sellers) for each in (log_odds, log_odds / 2))
    assert right.low < 1 < right.high
    assert half.value == pytest.approx(2 * right.value, rel=5e-3)


def test_a_level_that_is_off_beyond_chance_raises_an_alarm() -> None:
    assert study_level(subject()).alarms == ()
    finding = study_level(replace(subject(), probability=subject().probability / 4))
    assert finding.figures["observed_over_expected"] > 2
    assert "observed over expected defaults" in finding.alarms[0]
