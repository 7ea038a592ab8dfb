"""Groups of rows: borders, what is missing, and what is too rare for a line of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.training.evidence.subjects import subject
from training.evidence.study import group_rows, in_order, most_common, size_groups, tenure_groups


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0, "under 1 year"),
        (365.2, "under 1 year"),
        (365.25, "1 to 2 years"),
        (730.4, "1 to 2 years"),
        (730.5, "2 to 4 years"),
        (1461, "4 years or more"),
        (9999, "4 years or more"),
        (np.nan, "unknown"),
    ],
)
def test_tenure_in_words(days: float, expected: str) -> None:
    assert tenure_groups(pd.Series([days])).tolist() == [expected]


def test_sizes_are_thirds_and_the_missing_are_in_none() -> None:
    found = size_groups(pd.Series([6.0, np.nan, 1.0, 2.0, 5.0, 3.0, 4.0]))
    assert found.tolist() == ["large", "unknown", "small", "small", "large", "medium", "medium"]


def test_sizes_of_rows_without_sales_are_unknown() -> None:
    assert size_groups(pd.Series([np.nan, np.nan])).tolist() == ["unknown", "unknown"]


def test_rare_names_share_a_group_and_missing_ones_have_their_own() -> None:
    names = pd.Series(["CN", "VN", "CN", None, "DE", "VN", "AT"])
    assert most_common(names, 2).tolist() == ["CN", "VN", "CN", "unknown", "others", "VN", "others"]
    assert most_common(names, 3).tolist() == ["CN", "VN", "CN", "unknown", "others", "VN", "AT"]


def test_the_order_of_rows_does_not_matter() -> None:
    names = pd.Series(["B", "A", "C", "D"])
    assert most_common(names, 2).tolist() == ["B", "A", "others", "others"]
    assert most_common(names[::-1], 2).tolist() == ["others", "others", "A", "B"]


def test_groups_come_in_the_order_that_a_reader_expects() -> None:
    assert in_order("size", pd.Series(["large", "unknown", "small"])) == ["small", "large", "unknown"]
    assert in_order("tenure", pd.Series(["4 years or more", "under 1 year"])) == ["under 1 year", "4 years or more"]
    assert in_order("country", pd.Series(["VN", "others", "CN"])) == ["CN", "VN", "others"]


def test_every_row_is_in_one_group_of_each_kind() -> None:
    test = subject().test
    found = group_rows(test)
    assert list(found) == ["month", "country", "marketplace", "tenure", "size"]
    for by, of in found.items():
        assert len(of) == len(test.rows)
        assert set(in_order(by, of)) == set(of)
    assert found["month"].tolist() == [f"{day:%Y-%m}" for day in test.rows["as_of"]]
