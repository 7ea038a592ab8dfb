"""Which rows are left out: the latest with their sellers, or folds of sellers; never one of both sides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.training.datasets import dataset
from training.errors import LabelError
from training.sample import Sample


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample.of_dataset(dataset(900, 300))


def test_the_latest_rows_are_left_out_and_earlier_ones_of_other_sellers_learnt(sample: Sample) -> None:
    (part,) = sample.later(0.25)
    early, late = (sample.rows(places) for places in part)
    assert early.days is not None
    assert late.days is not None
    assert early.days.max() < late.days.min()
    assert set(early.sellers).isdisjoint(late.sellers)
    assert len(late.bad) == pytest.approx(225, abs=10)
    assert set(early.sellers) | set(late.sellers) == set(sample.sellers)


def test_rows_of_one_day_are_not_torn_apart() -> None:
    made = dataset(900, 300, days=12)
    sample = Sample.of_dataset(made)
    (part,) = sample.later(0.25)
    early, late = (sample.rows(places) for places in part)
    assert early.days is not None
    assert late.days is not None
    assert set(early.days).isdisjoint(late.days)


def test_where_time_says_nothing_no_part_is_the_later() -> None:
    assert Sample.of_dataset(dataset(300, days=1)).later(0.25) == []
    made = dataset(300)
    assert Sample.of(made.features, made.rows["bad"], made.rows["seller_id"]).later(0.25) == []


def test_a_later_part_with_too_few_of_a_kind_says_nothing() -> None:
    made = dataset(900, 300)
    days = made.rows["as_of"]
    repaid = made.rows["bad"] & (days < days.quantile(0.75))
    assert Sample.of(made.features, repaid, made.rows["seller_id"], days).later(0.25) == []


def test_folds_leave_out_every_row_once_and_sellers_whole(sample: Sample) -> None:
    parts = sample.folds(4, 7)
    assert sorted(np.concatenate([outside for _, outside in parts])) == list(range(len(sample.bad)))
    for inside, outside in parts:
        assert set(sample.sellers[inside]).isdisjoint(sample.sellers[outside])
        assert sample.bad[outside].mean() == pytest.approx(sample.bad.mean(), abs=0.05)


@pytest.mark.parametrize("kind", ["bad", "good"])
def test_too_few_sellers_with_a_kind_of_loan_is_a_sentence(kind: str) -> None:
    of_three = pd.Series([f"S-{number % 3}" for number in range(60)] + [f"T-{number}" for number in range(200)])
    bad = pd.Series([True] * 60 + [False] * 200) if kind == "bad" else pd.Series([False] * 60 + [True] * 200)
    sample = Sample.of(pd.DataFrame({"free": np.arange(260.0)}), bad, of_three)
    with pytest.raises(LabelError, match=f"The {kind} loans to learn from are of 3 sellers, too few for 5 folds"):
        sample.folds(5, 7)
