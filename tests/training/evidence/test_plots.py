"""Plots that read well: a value far outside is an arrow, rates have ticks in percent, labels are words."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from tests.training.datasets import INFORMATIVE
from tests.training.evidence.subjects import subject, with_test
from training.evidence import plots
from training.evidence.drift import study_drift
from training.evidence.metrics import Estimate
from training.evidence.plots import LONGEST, forest, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def names_of(figure: Figure) -> list[str]:
    """Return the names of the lines of a panel."""
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_a_value_beyond_the_end_does_not_press_the_others_together() -> None:
    estimates = {"PSI": [Estimate(0.1, 0.05, 0.2), Estimate(7.1, 6.0, 8.0)]}
    clipped, whole = (forest(["near", "far"], estimates, {"PSI": 0.25}, *ends).axes[0] for ends in ([{"PSI": 1.0}], []))
    assert clipped.get_xlim()[1] == 1.0
    assert [text.get_text() for text in clipped.texts] == ["7.1"]
    assert whole.get_xlim()[1] > 7
    assert not whole.texts


def test_long_names_are_shortened_so_that_a_panel_has_room() -> None:
    names = [f"{'a name of a column ' * 6}{number}" for number in range(2)]
    figure = forest(names, {"PSI": [Estimate(0.1, 0.05, 0.2)] * 2})
    assert [len(name) for name in names_of(figure)] == [LONGEST] * len(set(names_of(figure)))
    assert figure.axes[0].get_window_extent().width > 0.2 * figure.bbox.width
    assert shorten("number_of_late_payments_12m", 16) == "number_o…nts_12m"
    assert shorten("short") == "short"


def test_drift_is_drawn_by_label_and_clipped() -> None:
    model, name = subject(), INFORMATIVE[0]
    finding = study_drift(with_test(model, **{name: model.test.features[name] + 50.0}))
    label = next(entry.label for entry in model.bundle.sheet.entries if entry.name == name)
    assert finding.tables["PSI by feature"]["psi"].max() > 1.0
    assert names_of(finding.plots["by_feature"])[:2] == ["Score", label]
    assert finding.plots["by_feature"].axes[0].get_xlim()[1] == 1.0


def test_calibration_has_logarithmic_axes_in_percent_and_shows_bins_without_defaults() -> None:
    rng = np.random.default_rng(1)
    probability = np.exp(rng.uniform(np.log(0.001), np.log(0.4), 1_000))
    bad = (rng.random(1_000) < probability) & (probability > 0.01)
    axes = plots.calibration(bad, probability).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert {"1%", "10%"} <= {label.get_text() for label in axes.get_xticklabels()}
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert sum(len(line.get_xdata()) for line in hollow) >= 2
    images = io.BytesIO(), io.BytesIO()
    for image in images:
        axes.figure.savefig(image, format="png")
    assert images[0].getvalue() == images[1].getvalue()
    plots.calibration(np.zeros(60, dtype=bool), np.full(60, 0.01)).draw_without_rendering()
