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
from training.labels import LOANS
from training.split import Evidence, Split, SplitConfig, find_advice, is_unseen, out_of_time, whole

CONFIG = SplitConfig()


@pytest.fixture(scope="module")
def loans() -> Dataset:
    return dataset(2_000, 500)


@pytest.fixture(scope="module")
def split(loans: Dataset) -> Split:
    return out_of_time(loans, CONFIG)


def test_later_loans_of_other_sellers_are_the_test(loans: Dataset, split: Split) -> None:
    """Every eligible row is used, with its own features, and the embargo separates both parts."""
    last = loans.labels.matured_through
    assert split.evidence is Evidence.OUT_OF_TIME
    assert split.test_from == last - timedelta(days=CONFIG.test_days - 1)
    assert split.train_before == split.test_from - timedelta(days=CONFIG.embargo_days)
    unseen, days = is_unseen(loans.rows["seller_id"], CONFIG), loans.rows["as_of"]
    early = ~unseen & (days < pd.Timestamp(split.train_before))
    late = unseen & (days >= pd.Timestamp(split.test_from)) & (days <= pd.Timestamp(last))
    for part, expected in ((split.train, early), (split.test, late)):
        assert len(part.rows) > 0
        assert part.rows.to_numpy().tolist() == loans.rows[expected].to_numpy().tolist()
        assert np.array_equal(part.features.to_numpy(), loans.features[expected].to_numpy(), equal_nan=True)
    assert set(split.train.rows["seller_id"]).isdisjoint(split.test.rows["seller_id"])


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


def test_the_split_does_not_depend_on_the_order_of_rows(loans: Dataset, split: Split) -> None:
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


def test_held_out_sellers_depend_on_the_id_and_have_the_configured_share() -> None:
    sellers = pd.Series([f"S-{number}" for number in range(4_000)])
    unseen = is_unseen(sellers, CONFIG)
    assert unseen.mean() == pytest.approx(CONFIG.unseen_share, abs=0.03)
    assert is_unseen(sellers[::-1], CONFIG).sort_index().equals(unseen)
    assert not is_unseen(sellers, replace(CONFIG, salt="other")).equals(unseen)
    assert not is_unseen(sellers, replace(CONFIG, unseen_share=0.0)).any()
    assert is_unseen(sellers, replace(CONFIG, unseen_share=1.0)).all()
    more = is_unseen(sellers, replace(CONFIG, unseen_share=0.5))
    assert (more | ~unseen).all()


def test_labels_of_one_midnight_are_all_in_both_parts() -> None:
    table = dataset(200, days=1)
    assert not table.spans_time
    split = whole(table)
    assert split.evidence is Evidence.OUT_OF_FOLD
    assert split.train is split.test is table
    for kind, value in (("bad", False), ("good", True)):
        other = table.rows["bad"] != value
        keep = ~other | (other.cumsum() < MIN_PER_CLASS)
        with pytest.raises(LabelError, match=rf"Too few {kind} rows for training: 19 of "):
            whole(table.select(keep))


def test_a_part_without_enough_defaults_is_an_error(loans: Dataset) -> None:
    with pytest.raises(
        LabelError, match=r"Too few bad rows for training: 0 of the 0 rows before .*; at least 20 are needed\. "
    ):
        out_of_time(dataset(300, days=300), CONFIG)
    late = loans.rows["as_of"] > pd.Timestamp("2024-06-01")
    repaid = replace(loans, rows=loans.rows.assign(bad=loans.rows["bad"] & ~late))
    with pytest.raises(LabelError, match=r"Too few bad rows for the test: 0 of the \d+ rows from 2024-09-04;"):
        out_of_time(repaid, CONFIG)


def advice(
    days: int, horizon: int | None, config: SplitConfig = CONFIG, source: str = "labels.csv", **sizes: int
) -> tuple[str, Dataset]:
    """Return the error of rows that cannot be split, and the rows."""
    rows = dataset(sizes.pop("rows", 1_500), days=days, **sizes)
    rows = replace(rows, labels=replace(rows.labels, horizon_days=horizon, source=source))
    with pytest.raises(LabelError) as caught:
        out_of_time(rows, config)
    assert "\n" not in str(caught.value)
    return str(caught.value), rows


def numbers(pattern: str, text: str) -> list[int]:
    found = re.search(pattern, text)
    assert found is not None, text
    return list(map(int, found.groups()))


def test_the_advised_settings_work_and_give_the_stated_counts() -> None:
    text, rows = advice(300, 56)
    embargo, *counts = numbers(
        r"Set split\.embargo_days to (\d+): then training has (\d+) labels, (\d+) bad, and the test (\d+), (\d+) bad",
        text,
    )
    split = out_of_time(rows, SplitConfig(embargo_days=embargo))
    parts = (split.train.rows["bad"], split.test.rows["bad"])
    assert counts == [figure for bad in parts for figure in (len(bad), int(bad.sum()))]
    assert embargo == 56
    # a test that is too long gets shorter
    text, rows = advice(150, 56)
    (days,) = numbers(r"Set split\.embargo_days to 56 and split\.test_days to (\d+): then training has", text)
    out_of_time(rows, SplitConfig(embargo_days=56, test_days=days))


def test_advice_for_loans_names_no_setting_of_label_tables() -> None:
    text, _ = advice(300, None, source=LOANS)
    assert "horizon_days" not in text
    assert "one as_of" not in text
    assert text.endswith("or define bad over a shorter time: lower labels.months, and split.embargo_days with it.")


def test_without_a_horizon_advice_names_the_longest_possible() -> None:
    text, rows = advice(300, None)
    longest, test_days = numbers(
        r"set labels\.horizon_days to that number of days \(at most (\d+)\) and split\.test_days to (\d+)", text
    )
    out_of_time(rows, SplitConfig(embargo_days=longest, test_days=test_days))
    unseen = is_unseen(rows.rows["seller_id"], CONFIG)
    assert find_advice(rows, longest + 1, 120, unseen) is None


def test_labels_that_no_setting_can_split_are_described() -> None:
    text, _ = advice(50, 56, SplitConfig(embargo_days=56), rows=300)
    for words in (
        "No split.test_days works: the 300 labels",
        "outcomes take 56 days",
        "or give all labels one as_of, so that the model is tested out of fold",
    ):
        assert words in text
    text, _ = advice(300, 56, SplitConfig(embargo_days=56), rows=300, sellers=1)
    assert "Add labels of a longer period or of more sellers." in text


@settings(max_examples=15, deadline=None)
@given(days=st.integers(1, 400), horizon=st.integers(0, 200), seed=st.integers(1, 5))
def test_advice_never_names_a_setting_that_fails(days: int, horizon: int, seed: int) -> None:
    rows = dataset(400, days=days, seed=seed)
    unseen = is_unseen(rows.rows["seller_id"], SplitConfig())
    found = find_advice(rows, horizon, 60, unseen)
    if found is None:
        for test_days in range(1, days + 1, 13):
            with pytest.raises(LabelError):
                out_of_time(rows, SplitConfig(test_days=test_days, embargo_days=horizon))
    else:
        split = out_of_time(rows, SplitConfig(test_days=found.test_days, embargo_days=found.embargo_days))
        assert len(split.train.rows) == found.train
        assert int(split.test.rows["bad"].sum()) == found.test_bad
