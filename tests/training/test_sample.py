"""Training samples: periods, rolling origins and folds never have a seller on both sides."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.datasets import dataset
from training.columns import Columns
from training.errors import LabelError
from training.sample import Sample


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample.of_dataset(dataset(900, 300))


def made_of(days: list[int], bad: list[bool], sellers: list[int] | None = None) -> Sample:
    """Return rows of these days and outcomes, each of another seller unless said otherwise."""
    rows = len(days)
    numbers = np.arange(rows) if sellers is None else np.array(sellers)
    columns = Columns(("feature",), (0,), (1,))
    return Sample(columns, np.zeros((rows, 1)), np.array(bad, dtype=float), numbers, np.array(days))


def days_of(sample: Sample, places: np.ndarray) -> np.ndarray:
    assert sample.days is not None
    return sample.days[places]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=200),
    st.integers(1, 8),
    st.integers(1, 12),
)
def test_periods_are_consecutive_and_have_enough_bad_loans(rows: list[tuple[int, bool]], most: int, least: int) -> None:
    sample = made_of([day for day, _ in rows], [bad for _, bad in rows])
    periods = sample.periods(most, least)
    assert len(periods) <= most
    assert bool(periods) == (sample.bad.sum() >= least)
    for places in periods:
        assert sample.bad[places].sum() >= least
    if periods:
        assert sorted(np.concatenate(periods)) == list(range(len(rows)))
    for earlier, later in pairwise(periods):
        assert days_of(sample, earlier).max() < days_of(sample, later).min()


def test_periods_have_about_equal_numbers_of_bad_loans() -> None:
    rng = np.random.default_rng(1)
    sample = made_of(rng.integers(0, 500, 4_000).tolist(), (rng.random(4_000) < 0.2).tolist())
    counts = [sample.bad[places].sum() for places in sample.periods(5, 10)]
    assert len(counts) == 5
    assert min(counts) > 0.8 * max(counts)


def test_origins_leave_out_later_rows_of_other_sellers(sample: Sample) -> None:
    parts = sample.origins(3, 7)
    assert len(parts) == 6
    for inside, outside in parts:
        assert days_of(sample, inside).max() < days_of(sample, outside).min()
        assert set(sample.sellers[inside]).isdisjoint(sample.sellers[outside])
        assert (np.diff(inside) > 0).all()
    left_out = np.concatenate([outside for _, outside in parts])
    assert len(set(left_out)) == len(left_out)
    # all rows but those of the first period are left out once
    first = sample.periods(4, 10)[0]
    assert sorted(left_out) == sorted(set(range(len(sample.bad))) - set(first))
    # a later origin has more rows to train on
    assert len(parts[0][0]) < len(parts[2][0]) < len(parts[4][0])
    first, again, other = (sample.origins(1, seed)[0][1].tolist() for seed in (7, 7, 8))
    assert first == again != other


@settings(max_examples=30)
@given(st.integers(0, 2**31 - 1), st.integers(1, 6), st.integers(2, 60))
def test_origins_keep_days_together_for_any_seed(seed: int, count: int, days: int) -> None:
    rng = np.random.default_rng(seed)
    sellers = rng.integers(0, 100, 600)
    sample = made_of(rng.integers(0, days, 600).tolist(), (rng.random(600) < 0.3).tolist(), sellers.tolist())
    parts = sample.origins(count, seed)
    assert len(parts) <= 2 * count
    for inside, outside in parts:
        assert set(days_of(sample, inside)).isdisjoint(days_of(sample, outside))
        assert days_of(sample, inside).max() < days_of(sample, outside).min()
        assert set(sellers[inside]).isdisjoint(sellers[outside])
        for places in (inside, outside):
            assert 5 <= sample.bad[places].sum() <= len(places) - 5


def test_no_time_one_day_or_too_few_bad_loans_have_no_origins() -> None:
    loans = dataset(900, 300)
    days, sellers = loans.rows["as_of"], loans.rows["seller_id"]
    timeless = Sample.of(loans.features, loans.rows["bad"], sellers)
    early = Sample.of(loans.features, loans.rows["bad"] & (days < days.quantile(0.02)), sellers, days)
    for sample in (timeless, early, Sample.of_dataset(dataset(300, days=1))):
        assert sample.origins(3, 7) == []
    assert timeless.periods(4, 1) == []


def test_select_columns_keeps_the_rows(sample: Sample) -> None:
    fewer = sample.select_columns([4, 1])
    assert fewer.columns.feature_of == (sample.columns.feature_of[4], sample.columns.feature_of[1])
    assert fewer.columns.signs == (sample.columns.signs[4], sample.columns.signs[1])
    assert fewer.columns.features == sample.columns.features
    assert np.array_equal(fewer.matrix, np.asarray(sample.matrix)[:, [4, 1]])
    assert fewer.bad is sample.bad
    assert fewer.days is sample.days
    assert fewer.columns.read_features == {sample.columns.features[place] for place in fewer.columns.feature_of}


def test_folds_leave_out_every_row_once_and_sellers_whole(sample: Sample) -> None:
    parts = sample.folds(4, 7)
    assert sorted(np.concatenate([outside for _, outside in parts])) == list(range(len(sample.bad)))
    for inside, outside in parts:
        assert set(sample.sellers[inside]).isdisjoint(sample.sellers[outside])
        assert sample.bad[outside].mean() == pytest.approx(sample.bad.mean(), abs=0.05)


@pytest.mark.parametrize("kind", ["bad", "good"])
def test_too_few_sellers_with_an_outcome_are_an_error(kind: str) -> None:
    of_three = pd.Series([f"S-{number % 3}" for number in range(60)] + [f"T-{number}" for number in range(200)])
    bad = pd.Series([True] * 60 + [False] * 200) if kind == "bad" else pd.Series([False] * 60 + [True] * 200)
    sample = Sample.of(pd.DataFrame({"free": np.arange(260.0)}), bad, of_three)
    with pytest.raises(LabelError, match=f"The {kind} training loans are of only 3 different sellers; 5 folds need"):
        sample.folds(5, 7)
