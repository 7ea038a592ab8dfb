"""The features group of `make bench` at toy scale: it runs to its end, and pandas computes what the pipeline does."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from typing import ParamSpec, TypeVar

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from tests.benchmarks.feature_builds import run_in_new_process
from tests.benchmarks.feature_data import END, Scale
from tests.benchmarks.features import MONTHS, TARGETS, WEEKS, differing_columns, run
from tests.benchmarks.figures import Target

P = ParamSpec("P")
R = TypeVar("R")

TOY = Scale(sellers=50, orders_per_seller=150, baseline_sellers=45, months_apart=6, reads=100)


def here(task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a task in this process: starting a dozen would take longer than all they do."""
    return task(*args, **kwargs)


@pytest.mark.soak
def test_the_group_gives_every_figure_and_pandas_agrees_in_every_feature(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(TOY, here)
    printed = capsys.readouterr().out
    assert figures["features.pandas_differing_columns"] == 0, printed
    assert figures.keys() >= TARGETS.keys()
    assert all(np.isfinite(value) for value in figures.values())
    assert figures["features.tenth_orders"] < figures["features.orders"]
    assert all(f"{name} " in printed and str(target) in printed for name, target in TARGETS.items())


def test_frames_are_as_of_month_starts_and_weeks_up_to_the_end() -> None:
    assert len(MONTHS) == len(WEEKS) == 13
    assert MONTHS[0] == date(2022, 2, 1)
    assert MONTHS[-1] == WEEKS[-1] == END
    assert (END - WEEKS[0]).days < 100


def test_a_target_is_a_bound_from_above_or_below() -> None:
    assert Target(6).met(6.0)
    assert not Target(6).met(6.1)
    assert Target(15, at_most=False).met(15.0)
    assert not Target(15, at_most=False).met(14.9)


def test_a_step_apart_runs_in_a_process_of_its_own() -> None:
    assert run_in_new_process(os.getpid) != os.getpid()


def a_frame(values: list[float], name: str = CATALOGUE[0].name) -> pd.DataFrame:
    sellers = [f"S{number}" for number in range(len(values))]
    index = pd.MultiIndex.from_arrays([sellers, pd.to_datetime([END] * len(values))], names=["seller_id", "as_of"])
    return pd.DataFrame({name: values}, index)


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        ([1.0, np.nan], "[]"),
        ([1.0 + 1e-10, np.nan], "[]"),
        ([1.0 + 1e-8, np.nan], "1 of 2, first ('S0', '2023-02-01')"),
        ([1.0, 0.0], "1 of 2, first ('S1', '2023-02-01')"),
        ([np.nan, np.nan], "1 of 2, first ('S0', '2023-02-01')"),
    ],
)
def test_a_difference_is_named_with_a_case(theirs: list[float], found: str) -> None:
    said = differing_columns(a_frame([1.0, np.nan]), a_frame(theirs))
    assert found in str(list(said.values()))


def test_a_column_without_any_value_shows_nothing() -> None:
    assert list(differing_columns(a_frame([np.nan]), a_frame([np.nan]))) == [CATALOGUE[0].name]


def test_frames_of_other_features_or_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="different features or different pairs"):
        differing_columns(a_frame([1.0]), a_frame([1.0], "another"))
    with pytest.raises(ValueError, match="different features or different pairs"):
        differing_columns(a_frame([1.0]), a_frame([1.0, 2.0]))
