"""Points and interactions against their definition on a small model, and the finding of a larger one."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain, combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tests.oracles.shapley import _trees, _value
from tests.scoring.build import Recipe, bundle, names, rows
from tests.training.datasets import NAMES
from tests.training.evidence.subjects import boosted, subject, with_test
from tests.training.evidence.subjects import bundle as packed
from training.evidence import shap_plots
from training.evidence.explanations import explain, interaction_points, study_explanations
from training.evidence.study import Finding, log_odds

pytestmark = pytest.mark.slow

POINTS, TOGETHER = "Points by feature", "Features that act together"


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return pd.DataFrame(rows(Recipe(), 12, seed=5), columns=list(names(4)))


@pytest.fixture(scope="module")
def finding() -> Finding:
    return study_explanations(subject())


def interaction(dump: dict[str, object], row: list[float], one: int, two: int) -> float:
    """Half of the Shapley interaction index (Fujimoto, 2006), by every coalition of the others."""
    others = [place for place in range(len(row)) if place not in (one, two)]
    count, total = len(row), 0.0

    def worth(*members: int) -> float:
        return math.fsum(_value(tree["tree_structure"], row, frozenset(members)) for tree in _trees(dump))

    for held in chain.from_iterable(combinations(others, size) for size in range(len(others) + 1)):
        weight = math.factorial(len(held)) * math.factorial(count - len(held) - 2) / (2 * math.factorial(count - 1))
        total += weight * (worth(*held, one, two) - worth(*held, one) - worth(*held, two) + worth(*held))
    return total


def test_points_and_base_are_the_score_before_rounding(small: pd.DataFrame) -> None:
    scale = bundle().policy.scale
    points = explain(bundle(), small)
    base = scale.offset - scale.factor * log_odds(bundle(), small.to_numpy()) - points.sum(axis=1)
    assert base == pytest.approx(np.full(12, base[0]), abs=1e-9)


def test_pairs_are_those_of_the_definition_missing_values_included(small: pd.DataFrame) -> None:
    model, result = bundle().model, interaction_points(bundle(), small)
    assert small.isna().any(axis=None)
    dump, factor = model.booster.dump_model(), bundle().policy.scale.factor * bundle().policy.calibration.slope
    for one, two in combinations(range(4), 2):
        sizes = [abs(interaction(dump, row, one, two)) for row in small.to_numpy().tolist()]
        assert result.size[one, two] == pytest.approx(factor * np.mean(sizes), abs=1e-9)
        assert result.size[two, one] == pytest.approx(result.size[one, two], abs=1e-9)
    assert result.gap < 1e-9


def test_the_features_and_pairs_with_the_most_points_come_first(finding: Finding) -> None:
    model, table, pairs = subject(), finding.tables[POINTS], finding.tables[TOGETHER]
    size = np.abs(explain(model.bundle, model.test.features)).mean(axis=0)
    assert table["mean_points"].is_monotonic_decreasing
    assert pairs["mean_points"].is_monotonic_decreasing
    assert set(table["feature"].head(4)) <= set(np.array(NAMES)[np.argsort(-size)[:8]])
    assert table["share_of_all"].sum() < 1
    assert 0 < finding.figures["top_ten_share"] <= 1
    labels = {entry.name: entry.label for entry in model.bundle.sheet.entries}
    assert table["label"].tolist() == [labels[name] for name in table["feature"]]
    names_of_pairs = {frozenset(pair) for pair in zip(pairs["feature"], pairs["with"], strict=True)}
    assert [len(pair) for pair in names_of_pairs] == [2] * len(pairs), "each pair is listed once"


def test_every_plot_is_drawn_and_none_is_left_open(finding: Finding) -> None:
    assert set(finding.plots) == {"summary", "dependence", "interactions"}
    assert all(any(axes.has_data() for axes in figure.axes) for figure in finding.plots.values())
    assert plt.get_fignums() == []
    assert finding.figures["largest_gap_of_pairs"] < 1e-6
    assert finding.alarms == ()


def test_features_that_are_always_and_never_missing_are_drawn_too(finding: Finding) -> None:
    model = subject()
    first, second = finding.tables[POINTS]["feature"].head(2)
    changed = with_test(model, **{first: np.nan, second: model.test.features[second].fillna(0.0)})
    assert study_explanations(changed).alarms == ()


def test_a_constant_model_has_no_contributions() -> None:
    model = subject()
    few = model.train.select(model.train.rows.index.to_series() < 30)
    finding = study_explanations(replace(model, served=packed(model.train, boosted(few, trees=1))))
    assert "No two features interact" in finding.summary
    assert finding.figures["top_ten_share"] == 0.0
    assert len(finding.tables[TOGETHER]) == 0


def test_long_names_leave_room_for_the_plots() -> None:
    long = [f"a name of a column that is {number:02d} and very long, far beyond its plot" * 2 for number in range(15)]
    rng = np.random.default_rng(1)
    features, points = pd.DataFrame(rng.normal(size=(60, 15)), columns=long), rng.normal(size=(60, 15))
    for figure in (
        shap_plots.summary(features, points),
        shap_plots.dependence(features, points, {0: 1, 2: 3}),
        shap_plots.interactions(np.abs(rng.normal(size=(15, 15))), long, np.arange(10)),
    ):
        figure.draw_without_rendering()
        assert figure.axes[0].get_window_extent().width > 0.25 * figure.bbox.width
        box, shown = figure.get_tightbbox(), figure.bbox_inches
        assert shown.x0 - 0.05 <= box.x0 < box.x1 <= shown.x1 + 0.05
