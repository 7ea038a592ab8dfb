"""The features group of `make bench` at toy scale: it runs to its end, and pandas computes what the pipeline does."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from tests.benchmarks.feature_data import END, Scale
from tests.benchmarks.features import TARGETS, differing_columns, run

P = ParamSpec("P")
R = TypeVar("R")

TOY = Scale(sellers=50, orders_per_seller=150, baseline_sellers=45, months_apart=6, reads=100)


def here(task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    return task(*args, **kwargs)


@pytest.mark.soak
def test_the_benchmark_gives_every_figure_and_pandas_agrees(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = run(TOY, here)
    printed = capsys.readouterr().out
    assert figures["features.pandas_differing_columns"] == 0, printed
    assert figures.keys() >= TARGETS.keys()
    assert all(np.isfinite(value) for value in figures.values())
    assert figures["features.tenth_orders"] < figures["features.orders"]
    assert all(f"{name} " in printed and str(target) in printed for name, target in TARGETS.items())


def a_frame(values: list[float], name: str = CATALOGUE[0].name) -> pd.DataFrame:
    sellers = [f"S{number}" for number in range(len(values))]
    index = pd.MultiIndex.from_arrays([sellers, pd.to_datetime([END] * len(values))], names=["seller_id", "as_of"])
    return pd.DataFrame({name: values}, index)


def test_differing_columns_are_named_with_a_case() -> None:
    first, second = ("1 of 2, first ('S0', '2023-02-01')", "1 of 2, first ('S1', '2023-02-01')")
    cases = {(1.0, np.nan): None, (1.0 + 1e-10, np.nan): None, (1.0 + 1e-8, np.nan): first}
    for values, expected in (cases | {(1.0, 0.0): second, (np.nan, np.nan): first}).items():
        columns = differing_columns(a_frame([1.0, np.nan]), a_frame([*values]))
        assert expected in str([*columns.values()]) if expected else columns == {}
    # a column without any value shows nothing
    assert list(differing_columns(a_frame([np.nan]), a_frame([np.nan]))) == [CATALOGUE[0].name]
    for other in (a_frame([1.0], "another"), a_frame([1.0, 2.0])):
        with pytest.raises(ValueError, match="different features or different pairs"):
            differing_columns(a_frame([1.0]), other)
