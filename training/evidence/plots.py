"""Plots of a run, as matplotlib figures: discrimination, calibration, score distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.report_blocks import BAD, FAINT, GOOD, INK, fix_layout, histogram, new_figure
from training.evidence.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_RATES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Where an axis of default rates has ticks."""


def roc(bad: NDArray[np.bool_], predictions: dict[str, NDArray[np.float64]]) -> Figure:
    """Draw one ROC curve a model; the diagonal is chance."""
    from sklearn.metrics import roc_curve

    from training.evidence.metrics import auc

    figure = new_figure(5.2, 5.0)
    axes = figure.subplots()
    for (name, probability), colour in zip(predictions.items(), (GOOD, BAD, INK), strict=False):
        false_positive, true_positive, _ = roc_curve(bad, probability)
        axes.plot(false_positive, true_positive, color=colour, label=f"{name}, AUC {auc(bad, probability):.3f}")
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
    axes.set(xlabel="Share of good loans flagged", ylabel="Share of bad loans flagged", title="Discrimination")
    axes.legend(frameon=False, loc="lower right")
    return figure


def calibration(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> Figure:
    """Draw observed against predicted default rates in up to ten bins of 50 rows or more, 95% intervals (Wilson).

    Both axes are logarithmic: most rates are a few percent. A bin without defaults is a hollow mark at the bottom.
    """
    figure = new_figure(5.2, 5.0)
    axes = figure.subplots()
    parts = np.array_split(np.argsort(probability, kind="stable"), max(1, min(10, len(bad) // 50)))
    expected = np.array([probability[part].mean() for part in parts])
    observed = np.array([bad[part].mean() for part in parts])
    low, high = wilson_interval([bad[part].sum() for part in parts], [len(part) for part in parts])
    begin, end = _ends(np.concatenate([expected, observed, high]))
    axes.plot([begin, end], [begin, end], color=FAINT, linestyle=":", linewidth=1)
    axes.vlines(expected, np.clip(low, begin, end), np.clip(high, begin, end), color=GOOD, linewidth=1.5)
    none = observed < begin
    axes.plot(expected[~none], observed[~none], "o", color=GOOD)
    axes.plot(expected[none], np.full(none.sum(), begin), "o", color=GOOD, markerfacecolor="white", clip_on=False)
    axes.set(xscale="log", yscale="log", xlim=(begin, end), ylim=(begin, end), title="Calibration")
    axes.set(xlabel="Predicted default rate", ylabel="Observed default rate")
    ticks = [rate for rate in _RATES if begin <= rate <= end]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{rate:.3g}%" for rate in np.array(ticks) * 100])
        axis.set_ticks([], minor=True)
    fix_layout(figure)
    return figure


def _ends(rates: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that shows all rates above 0.1%."""
    shown = rates[rates > 0]
    return float(max(shown.min(initial=1.0) * 0.8, 0.001)), float(min(shown.max(initial=0.01) * 1.25, 1.0))


def score_distribution(bad: NDArray[np.bool_], scores: NDArray[np.int64]) -> Figure:
    """Draw the scores of good and bad loans, each as a share of its kind."""
    return histogram({"repaid": scores[~bad], "defaulted": scores[bad]}, "loans")
