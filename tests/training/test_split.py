"""The split: later loans of unseen sellers, an embargo between, and the same for any order of the rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tests.training.datasets import dataset
from training.dataset import LEAST_OF_A_CLASS, Dataset
from training.errors import LabelError
from training.split import Evidence, Split, is_unseen, out_of_time, whole
from training.split_settings import SplitConfig

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
    keep = ~other | (other.cumsum() < LEAST_OF_A_CLASS)
    with pytest.raises(LabelError, match=rf"has 19 {kind} of \d+ labels and needs at least 20"):
        whole(table.select(keep))
