"""Train/test split: later loans of other sellers, an embargo, and advice on settings that work."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.datasets import dataset
from training.dataset import MIN_PER_CLASS, Dataset
from training.errors import LabelError
from training.split import Evidence, Split, SplitConfig, find_advice, is_unseen, out_of_time, whole

CONFIG = SplitConfig()


@pytest.fixture(scope="module")
def loans() -> Dataset:
    return dataset(2_000, 500)


@pytest.fixture(scope="module")
def split(loans: Dataset) -> Split:
    return out_of_time(loans, CONFIG)


def test_no_seller_is_on_both_sides(split: Split) -> None:
    train, test = set(split.train.rows["seller_id"]), set(split.test.rows["seller_id"])
    assert train
    assert test
    assert train.isdisjoint(test)


def test_the_embargo_lies_between_and_the_test_ends_where_outcomes_do(loans: Dataset, split: Split) -> None:
    assert split.evidence is Evidence.OUT_OF_TIME
    last = loans.labels.matured_through
    assert split.test_from == last - timedelta(days=CONFIG.test_days - 1)
    assert split.train_before == split.test_from - timedelta(days=CONFIG.embargo_days)
    assert split.train.rows["as_of"].max() < pd.Timestamp(split.train_before)
    assert split.test.rows["as_of"].min() >= pd.Timestamp(split.test_from)
    assert split.test.rows["as_of"].max() <= pd.Timestamp(last)
    gap = split.test.rows["as_of"].min() - split.train.rows["as_of"].max()
    assert gap > pd.Timedelta(days=CONFIG.embargo_days)


def test_every_row_that_may_be_used_is_used(loans: Dataset, split: Split) -> None:
    unseen = is_unseen(loans.rows["seller_id"], CONFIG)
    early = loans.rows["as_of"] < pd.Timestamp(split.train_before)
    late = loans.rows["as_of"] >= pd.Timestamp(split.test_from)
    assert len(split.train.rows) == (early & ~unseen).sum()
    assert len(split.test.rows) == (late & unseen).sum()


def test_edges_of_the_windows_by_the_day(loans: Dataset) -> None:
    last = pd.Timestamp(loans.labels.matured_through)
    unseen = is_unseen(loans.rows["seller_id"], CONFIG)
    seen_row, unseen_row = int((~unseen).to_numpy().argmax()), int(unseen.to_numpy().argmax())
    first_test = last - pd.Timedelta(days=CONFIG.test_days - 1)
    first_embargoed = first_test - pd.Timedelta(days=CONFIG.embargo_days)
    for row, day, part, within in (
        (seen_row, first_embargoed, "train", False),
        (seen_row, first_embargoed - pd.Timedelta(days=1), "train", True),
        (unseen_row, first_test - pd.Timedelta(days=1), "test", False),
        (unseen_row, first_test, "test", True),
        (unseen_row, last, "test", True),
        (unseen_row, last + pd.Timedelta(days=1), "test", False),
    ):
        rows = loans.rows.copy()
        rows.loc[row, "as_of"] = day
        marked = loans.features.copy()
        marked.loc[row, "store_count"] = -777.0
        moved = out_of_time(replace(loans, rows=rows, features=marked), CONFIG)
        assert bool((getattr(moved, part).features["store_count"] == -777.0).any()) is within


def test_features_stay_with_their_rows(loans: Dataset, split: Split) -> None:
    whole_rows = loans.rows.assign(mark=loans.features["visits_90d"])
    for part in (split.train, split.test):
        mine = part.rows.assign(mark=part.features["visits_90d"])
        assert len(mine.merge(whole_rows.drop_duplicates(), how="left", indicator=True).query("_merge != 'both'")) == 0


def test_the_split_knows_nothing_of_the_order_of_rows(loans: Dataset, split: Split) -> None:
    order = np.random.default_rng(0).permutation(len(loans.rows))
    shuffled = replace(
        loans,
        rows=loans.rows.iloc[order].reset_index(drop=True),
        features=loans.features.iloc[order].reset_index(drop=True),
    )
    again = out_of_time(shuffled, CONFIG)
    key = ["seller_id", "as_of", "bad"]
    for one, other in ((split.train, again.train), (split.test, again.test)):
        assert one.rows.sort_values(key).to_numpy().tolist() == other.rows.sort_values(key).to_numpy().tolist()


def test_a_seller_is_unseen_by_the_id_alone_and_in_the_share_asked_for() -> None:
    sellers = pd.Series([f"S-{number}" for number in range(4_000)])
    unseen = is_unseen(sellers, CONFIG)
    assert unseen.mean() == pytest.approx(CONFIG.unseen_share, abs=0.03)
    assert is_unseen(sellers[::-1], CONFIG).sort_index().equals(unseen)
    assert not is_unseen(sellers, replace(CONFIG, salt="other")).equals(unseen)
    assert not is_unseen(sellers, replace(CONFIG, unseen_share=0.0)).any()
    assert is_unseen(sellers, replace(CONFIG, unseen_share=1.0)).all()
    more = is_unseen(sellers, replace(CONFIG, unseen_share=0.5))
    assert (more | ~unseen).all()


def test_too_short_a_span_is_a_sentence() -> None:
    with pytest.raises(
        LabelError, match=r"The training \(before .*\) part has 0 bad of 0 labels and needs at least 20"
    ):
        out_of_time(dataset(300, days=300), CONFIG)


def test_a_test_without_defaults_is_a_sentence(loans: Dataset) -> None:
    late = loans.rows["as_of"] > pd.Timestamp("2024-06-01")
    repaid = replace(loans, rows=loans.rows.assign(bad=loans.rows["bad"] & ~late))
    with pytest.raises(LabelError, match=r"The test \(from 2024-09-04\) part has 0 bad of \d+ labels"):
        out_of_time(repaid, CONFIG)


def test_labels_of_one_midnight_are_all_trained_on_and_measured_out_of_fold() -> None:
    table = dataset(200, days=1)
    assert not table.spans_time
    split = whole(table)
    assert split.evidence is Evidence.OUT_OF_FOLD
    assert split.train is split.test is table


@pytest.mark.parametrize(("kind", "value"), [("bad", False), ("good", True)])
def test_too_few_of_a_kind_teach_nothing(kind: str, value: bool) -> None:
    table = dataset(200, days=1)
    other = table.rows["bad"] != value
    keep = ~other | (other.cumsum() < MIN_PER_CLASS)
    with pytest.raises(LabelError, match=rf"has 19 {kind} of \d+ labels and needs at least 20"):
        whole(table.select(keep))


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
    assert "or give all labels one as_of, so that the model is tested out of fold" in said


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
        assert len(split.train.rows) == found.train
        assert int(split.test.rows["bad"].sum()) == found.test_bad
