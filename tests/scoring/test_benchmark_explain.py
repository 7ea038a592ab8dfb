"""The measurement of explanations, small: every figure with a target is given, and what must be right is right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.benchmarks.explain import TARGETS, Scale, run

SMALL = Scale(training_rows=400, features=15, trees=20, rows=600, single=10, repetitions=1, advised=10, sellers=300)


def here(work: Callable[..., dict[str, float]], *given: Any) -> dict[str, float]:
    return work(*given)


@pytest.mark.soak
# shap sets up its colour maps in matplotlib's older way when it is imported
@pytest.mark.filterwarnings("ignore:The (set_bad|set_over|set_under) function will be:PendingDeprecationWarning")
def test_all_figures_are_given_and_the_small_ones_hold(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(SMALL, here)
    assert set(TARGETS) <= set(figures)
    assert all(map(math.isfinite, figures.values()))
    assert figures["explain.portfolio_sellers"] == 300
    assert figures["explain.largest_difference"] <= 1e-12
    assert 0 < figures["explain.advice_found_share"] < 1
    printed = capsys.readouterr().out
    assert all(name in printed for name in TARGETS)
