"""The benchmark of explanations at a small scale: every metric with a target is measured, and results are correct."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.benchmarks.explain import TARGETS, Scale, run

SMALL = Scale(training_rows=400, features=15, trees=20, rows=600, single=10, repetitions=1, advised=10, sellers=300)


def in_process(work: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    return work(*arguments)


@pytest.mark.soak
# on import, shap uses a deprecated way of matplotlib to set up its colour maps
@pytest.mark.filterwarnings("ignore:The (set_bad|set_over|set_under) function will be:PendingDeprecationWarning")
def test_all_metrics_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(SMALL, in_process)
    assert set(TARGETS) <= set(metrics)
    assert all(map(math.isfinite, metrics.values()))
    assert metrics["explain.portfolio_sellers"] == 300
    assert metrics["explain.largest_difference"] <= 1e-12
    assert 0 < metrics["explain.advice_found_share"] < 1
    printed = capsys.readouterr().out
    assert all(name in printed for name in TARGETS)
