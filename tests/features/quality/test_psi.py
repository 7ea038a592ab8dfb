"""The population stability index equals its definition, and its interval reflects the number of rows."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.quality.psi import FEWEST_GROUPS, Verdict, index, stability, verdict
from tests.counts import repeat


def by_hand(before: list[int], now: list[int]) -> float:
    total = 0.0
    for b, n in zip(before, now, strict=True):
        share_before, share_now = max(b / sum(before), 1e-4), max(n / sum(now), 1e-4)
        total += (share_now - share_before) * log(share_now / share_before)
    return total


COUNTS = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(
        *(st.lists(st.integers(0, 10**6), min_size=bins, max_size=bins).filter(any) for _ in range(2))
    )
)


@pytest.mark.repeated
@settings(max_examples=repeat(20, 500))
@given(COUNTS)
def test_the_index_equals_its_definition_and_is_never_negative(counts: tuple[list[int], list[int]]) -> None:
    before, now = counts
    found = float(index(np.array(before, float), np.array(now, float)))
    assert found == pytest.approx(by_hand(before, now), rel=1e-9, abs=1e-12)
    assert found >= 0
    assert float(index(np.array(now, float), np.array(before, float))) == pytest.approx(found)


def test_a_worked_example_and_an_empty_bin() -> None:
    assert float(index(np.array([50.0, 50.0]), np.array([80.0, 20.0]))) == pytest.approx(0.416, abs=5e-4)
    assert float(index(np.array([5.0, 5.0, 0.0]), np.array([1.0, 1.0, 0.0]))) == 0


@pytest.mark.parametrize(
    ("psi", "expected"), [(0.0999, Verdict.STABLE), (0.1, Verdict.WATCH), (0.25, Verdict.WATCH), (0.2501, Verdict.ACT)]
)
def test_verdicts(psi: float, expected: Verdict) -> None:
    assert verdict(psi) is expected


def _sample(groups: int, rows: int, shares: list[float], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(rows, shares, size=groups).astype(float)


def test_few_rows_of_the_same_distribution_give_no_certain_drift() -> None:
    tenths = [0.1] * 10
    before = _sample(200, 1000, tenths, 0)
    for seed in range(1, 11):
        found = stability(before, _sample(200, 1, tenths, seed) * (np.arange(200) < 30)[:, None])
        assert found.psi > 0.1, "thirty rows in ten bins differ by chance"
        assert found.low is not None
        assert found.low < 0.1, seed


def test_many_rows_of_another_distribution_give_certain_drift() -> None:
    found = stability(_sample(200, 100, [0.5, 0.5], 1), _sample(200, 100, [0.8, 0.2], 2))
    assert found.low is not None
    assert found.high is not None
    assert 0.25 < found.low <= found.psi <= found.high
    assert (found.verdict, found.is_certain) == (Verdict.ACT, True)


def test_one_changed_store_among_many_is_not_settled() -> None:
    before, now = _sample(200, 10, [0.5, 0.5], 1), _sample(200, 10, [0.5, 0.5], 2)
    now[7] = [3000, 0]
    found = stability(before, now)
    assert found.verdict is Verdict.ACT
    assert not found.is_certain
    assert found.low is not None
    assert found.low < 0.1


def test_too_few_groups_have_no_interval_and_no_verdict() -> None:
    rows = _sample(200, 50, [0.5, 0.5], 1)
    few = rows * (np.arange(200) < FEWEST_GROUPS - 1)[:, None]
    found = stability(rows, few)
    assert (found.low, found.high, found.verdict, found.is_certain) == (None, None, Verdict.UNKNOWN, False)
    assert stability(rows, rows[::-1]) == stability(rows, rows[::-1]), "the interval is reproducible"
