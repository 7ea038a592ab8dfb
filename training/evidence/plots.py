"""Plots of a run, as matplotlib figures: discrimination, calibration, score distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.evidence.drawing import BAD, FAINT, GOOD, INK, histogram, paper
from training.evidence.intervals import wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roc(bad: NDArray[np.bool_], predictions: dict[str, NDArray[np.float64]]) -> Figure:
    """Draw one ROC curve a model; the diagonal is chance."""
    from sklearn.metrics import roc_curve

    from training.evidence.metrics import auc

    figure = paper(5.2, 5.0)
    axes = figure.subplots()
    for (name, probability), colour in zip(predictions.items(), (GOOD, BAD, INK), strict=False):
        false_positive, true_positive, _ = roc_curve(bad, probability)
        axes.plot(false_positive, true_positive, color=colour, label=f"{name}, AUC {auc(bad, probability):.3f}")
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
    axes.set(xlabel="Share of good loans flagged", ylabel="Share of bad loans flagged", title="Discrimination")
    axes.legend(frameon=False, loc="lower right")
    return figure


def calibration(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> Figure:
    """Draw observed against predicted default rates in up to ten bins of 50 rows or more, 95% intervals (Wilson)."""
    figure = paper(5.2, 5.0)
    axes = figure.subplots()
    parts = np.array_split(np.argsort(probability, kind="stable"), max(1, min(10, len(bad) // 50)))
    expected = np.array([probability[part].mean() for part in parts])
    observed = np.array([bad[part].mean() for part in parts])
    low, high = wilson([bad[part].sum() for part in parts], [len(part) for part in parts])
    end = float(max(expected.max(), high.max())) * 1.05
    axes.plot([0, end], [0, end], color=FAINT, linestyle=":", linewidth=1)
    axes.errorbar(expected, observed, yerr=[observed - low, high - observed], fmt="o", color=GOOD, capsize=2)
    axes.set(xlabel="Predicted default rate", ylabel="Observed default rate", title="Calibration", xlim=(0, end))
    axes.set_ylim(0, end)
    return figure


def score_distribution(bad: NDArray[np.bool_], scores: NDArray[np.int64]) -> Figure:
    """Draw the scores of good and bad loans, each as a share of its kind."""
    return histogram({"repaid": scores[~bad], "defaulted": scores[bad]}, "loans")
