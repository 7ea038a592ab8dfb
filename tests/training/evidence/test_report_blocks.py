"""Number formats and tables of the model card."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from training.evidence.report_blocks import interval, number, of_figures, of_frame


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (np.float64("nan"), "–"),
        (3, "3"),
        (3.0, "3"),
        (1234567, "1,234,567"),
        (12345.6, "12,346"),
        (581.333, "581.3"),
        (0.12345, "0.123"),
        (-0.5, "-0.500"),
        (0.00012, "0.00012"),
        (0.0, "0"),
        ("CN", "CN"),
        (True, "True"),
    ],
)
def test_numbers_have_at_most_three_decimals(value: object, shown: str) -> None:
    assert number(value) == shown


def test_columns_with_ends_become_intervals() -> None:
    frame = pd.DataFrame({"who": ["a"], "x": [0.5], "x_low": [0.25], "x_high": [0.75], "y": [2]})
    table = of_frame("T", frame)
    assert table.headings == ("who", "x", "y")
    assert table.rows == (("a", "0.500 (0.250 to 0.750)", "2"),)
    assert table.numbers == (False, True, True)
    assert of_figures("F", {"a_b": 1.5, "a_b_low": 1.0, "a_b_high": 2.0, "c": 3.0}).rows == (
        ("a b", "1.500 (1 to 2)"),
        ("c", "3"),
    )
    assert interval("x", {"x": 0.5}) == "0.500"
    assert interval("x", {"x": float("nan"), "x_low": 1.0, "x_high": 2.0}) == "–"


def test_a_long_table_is_folded_away() -> None:
    long = of_frame("T", pd.DataFrame({"x": range(16)}))
    assert long.folded
    assert not of_frame("T", pd.DataFrame({"x": range(15)})).folded
