"""Intervals against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from training.evidence.statistics import mean_interval, wilson_interval


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3_000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_wilson_is_that_of_scipy_and_holds_the_share(counts: tuple[int, int]) -> None:
    hits, rows = counts
    low, high = wilson_interval(hits, rows)
    oracle = binomtest(hits, rows).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(oracle.low, abs=1e-6), pytest.approx(oracle.high, abs=1e-6))
    assert low <= hits / rows <= high


def test_of_no_rows_nothing_is_known() -> None:
    low, high = wilson_interval([0, 0], [0, 10])
    assert low.tolist() == [0.0, 0.0]
    assert high.tolist() == [1.0, pytest.approx(0.278, abs=1e-3)]


def test_a_mean_has_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    oracle = norm.interval(0.95, values.mean(), values.std(ddof=1) / 20)
    assert mean_interval(values) == pytest.approx((values.mean(), *oracle), abs=1e-6)
    assert mean_interval(np.array([1.0, 3.0])) == pytest.approx((2, 2 - 1.96, 2 + 1.96), abs=1e-3)


def test_one_value_says_nothing_of_its_spread() -> None:
    assert mean_interval(np.array([4.0])) == (4.0, -np.inf, np.inf)
