"""Advice on the split: settings that are named do work, and give the counts that are named."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.datasets import dataset
from training.dataset import Dataset
from training.errors import LabelError
from training.split import is_unseen, out_of_time
from training.split_settings import SplitConfig, find_advice


def with_horizon(rows: Dataset, days: int | None) -> Dataset:
    return replace(rows, labels=replace(rows.labels, horizon_days=days))


def refusal(rows: Dataset, config: SplitConfig) -> str:
    with pytest.raises(LabelError) as caught:
        out_of_time(rows, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_settings_named_work_and_give_the_counts_named() -> None:
    rows = with_horizon(dataset(1_500, days=300), 56)
    said = refusal(rows, SplitConfig())
    named = re.search(
        r"Set split\.embargo_days to (\d+): then training has (\d+) labels, (\d+) bad, and the test (\d+), (\d+) bad",
        said,
    )
    assert named is not None, said
    embargo, *counts = map(int, named.groups())
    split = out_of_time(rows, SplitConfig(embargo_days=embargo))
    parts = (split.train.rows["bad"], split.test.rows["bad"])
    assert counts == [figure for bad in parts for figure in (len(bad), int(bad.sum()))]
    assert embargo == 56


def test_a_test_that_is_too_long_is_shortened_too() -> None:
    rows = with_horizon(dataset(1_500, days=150), 56)
    said = refusal(rows, SplitConfig())
    named = re.search(r"Set split\.embargo_days to 56 and split\.test_days to (\d+): then training has", said)
    assert named is not None, said
    out_of_time(rows, SplitConfig(embargo_days=56, test_days=int(named[1])))


def test_without_a_horizon_the_longest_that_works_is_named() -> None:
    rows = with_horizon(dataset(1_500, days=300), None)
    said = refusal(rows, SplitConfig())
    named = re.search(
        r"set labels\.horizon_days to that number of days \(at most (\d+)\) and split\.test_days to (\d+)", said
    )
    assert named is not None, said
    longest, test_days = map(int, named.groups())
    out_of_time(rows, SplitConfig(embargo_days=longest, test_days=test_days))
    unseen = is_unseen(rows.rows["seller_id"], SplitConfig())
    assert find_advice(rows, longest + 1, 120, unseen) is None


def test_labels_that_no_setting_splits_are_described() -> None:
    said = refusal(with_horizon(dataset(300, days=50), 56), SplitConfig(embargo_days=56))
    assert "No split.test_days works: the 300 labels" in said
    assert "outcomes take 56 days" in said
    assert "or give all labels one as_of, so that the model is measured out of fold" in said


def test_the_labels_of_one_seller_are_not_sent_out_of_fold() -> None:
    said = refusal(with_horizon(dataset(300, sellers=1, days=300), 56), SplitConfig(embargo_days=56))
    assert "Add labels of a longer period or of more sellers." in said


@settings(max_examples=30, deadline=None)
@given(days=st.integers(1, 400), horizon=st.integers(0, 200), seed=st.integers(1, 5))
def test_advice_never_names_a_setting_that_fails(days: int, horizon: int, seed: int) -> None:
    rows = dataset(400, days=days, seed=seed)
    unseen = is_unseen(rows.rows["seller_id"], SplitConfig())
    found = find_advice(rows, horizon, 60, unseen)
    if found is None:
        for test_days in range(1, days + 1, 7):
            with pytest.raises(LabelError):
                out_of_time(rows, SplitConfig(test_days=test_days, embargo_days=horizon))
    else:
        split = out_of_time(rows, SplitConfig(test_days=found.test_days, embargo_days=found.embargo_days))
        assert len(split.train.rows) == found.counts.train
        assert int(split.test.rows["bad"].sum()) == found.counts.test_bad
