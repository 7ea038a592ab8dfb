"""Plots that read well: a value far outside is an arrow, rates have ticks in percent, labels are words."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tests.training.datasets import INFORMATIVE
from tests.training.evidence.subjects import subject
from training.evidence import plots
from training.evidence.drift import study_drift
from training.evidence.metrics import Estimate
from training.evidence.plots import LONGEST, forest, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def words(figure: Figure) -> list[str]:
    """Return the names of the lines of a panel."""
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_a_value_beyond_the_end_does_not_press_the_others_together() -> None:
    estimates = [Estimate(0.1, 0.05, 0.2), Estimate(7.1, 6.0, 8.0)]
    clipped = forest(["near", "far"], {"PSI": estimates}, {"PSI": 0.25}, {"PSI": 1.0})
    axes = clipped.axes[0]
    assert axes.get_xlim()[1] == 1.0
    assert [text.get_text() for text in axes.texts] == ["7.1"]
    whole = forest(["near", "far"], {"PSI": estimates}, {"PSI": 0.25}).axes[0]
    assert whole.get_xlim()[1] > 7
    assert not whole.texts


def test_long_names_are_shortened_so_that_a_panel_has_room() -> None:
    names = [f"{'a name of a column ' * 6}{number}" for number in range(2)]
    drawn = forest(names, {"PSI": [Estimate(0.1, 0.05, 0.2)] * 2})
    assert [len(name) for name in words(drawn)] == [LONGEST] * 2
    assert words(drawn)[0] != words(drawn)[1]
    assert drawn.axes[0].get_window_extent().width > 0.2 * drawn.bbox.width
    assert shorten("number_of_late_payments_12m", 16) == "number_o…nts_12m"
    assert shorten("short") == "short"


def test_drift_is_drawn_by_label_and_clipped() -> None:
    found = subject()
    moved = found.test.features.assign(**{INFORMATIVE[0]: found.test.features[INFORMATIVE[0]] + 50.0})
    shown = study_drift(replace(found, test=replace(found.test, features=moved)))
    figure = shown.plots["by_feature"]
    entry = next(each for each in found.bundle.sheet.entries if each.name == INFORMATIVE[0])
    assert shown.tables["PSI by feature"]["psi"].max() > 1.0
    assert words(figure)[:2] == ["Score", entry.label]
    assert figure.axes[0].get_xlim()[1] == 1.0


def test_calibration_has_logarithmic_axes_in_percent_and_shows_bins_without_defaults() -> None:
    rng = np.random.default_rng(1)
    probability = np.exp(rng.uniform(np.log(0.001), np.log(0.4), 1_000))
    bad = (rng.random(1_000) < probability) & (probability > 0.01)
    axes = plots.calibration(bad, probability).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert {"1%", "10%"} <= set(labels)
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert sum(len(line.get_xdata()) for line in hollow) >= 2
    first, second = io.BytesIO(), io.BytesIO()
    for image in (first, second):
        axes.figure.savefig(image, format="png")
    assert first.getvalue() == second.getvalue()
    nothing = plots.calibration(np.zeros(60, dtype=bool), np.full(60, 0.01))
    nothing.draw_without_rendering()
