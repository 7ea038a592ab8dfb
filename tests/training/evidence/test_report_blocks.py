"""Number formats and tables of the model card."""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.evidence.report_blocks import interval, number, of_figures, of_frame


def test_numbers_have_at_most_three_decimals() -> None:
    values = [3, 3.0, 1234567, 12345.6, 581.333, 0.12345, -0.5, 0.00012, 0.0, "CN", True]
    shown = ["3", "3", "1,234,567", "12,346", "581.3", "0.123", "-0.500", "0.00012", "0", "CN", "True"]
    assert [number(value) for value in values] == shown
    assert [number(value) for value in (None, float("nan"), np.float64("nan"))] == ["–"] * 3


def test_columns_with_ends_become_intervals() -> None:
    table = of_frame("T", pd.DataFrame({"who": ["a"], "x": [0.5], "x_low": [0.25], "x_high": [0.75], "y": [2]}))
    assert table.headings == ("who", "x", "y")
    assert table.rows == (("a", "0.500 (0.250 to 0.750)", "2"),)
    assert table.numbers == (False, True, True)
    figures = of_figures("F", {"a_b": 1.5, "a_b_low": 1.0, "a_b_high": 2.0, "c": 3.0})
    assert figures.rows == (("a b", "1.500 (1 to 2)"), ("c", "3"))
    assert interval("x", {"x": 0.5}) == "0.500"
    assert interval("x", {"x": float("nan"), "x_low": 1.0, "x_high": 2.0}) == "–"


def test_a_long_table_is_folded_away() -> None:
    assert [of_frame("T", pd.DataFrame({"x": range(lines)})).folded for lines in (15, 16)] == [False, True]
