"""Plots of the evidence: colours and axes, shared shapes (forest plot, histogram), ROC and calibration curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.metrics import Estimate, auc
from training.evidence.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GOOD: Final = "#2f7f79"
BAD: Final = "#c2543d"
INK: Final = "#444444"
FAINT: Final = "#bbbbbb"

LONGEST: Final = 50
"""Characters of a name in a plot; a longer name would leave too little space for the plot."""

_RATES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The ticks of an axis of default rates."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, without pyplot and its global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def new_plot(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes."""
    figure = new_figure(width, height)
    axes = figure.subplots()
    plain(axes)
    return figure, axes


def fix_layout(figure: Figure) -> None:
    """Lay a figure out once, so that every saved file shows the same picture."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def plain(axes: Axes) -> None:
    """Remove the lines that carry no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(color=FAINT, labelcolor=INK)


def forest(
    names: Sequence[str],
    columns: Mapping[str, Sequence[Estimate]],
    compared: Mapping[str, float] | None = None,
    ends: Mapping[str, float] | None = None,
) -> Figure:
    """Draw a forest plot: a line for each name, a panel for each column, each figure with its confidence interval.

    A figure beyond the end of its panel is an arrow at the end, with its value as text.

    Args:
        names: of the lines, from the top.
        columns: by heading, an estimate for each name.
        compared: by heading, the position of a vertical reference line; a panel without one has none.
        ends: by heading, the largest value that is drawn; a panel without one shows all.
    """
    figure = new_figure(2.6 + 2.6 * len(columns), 0.9 + 0.26 * len(names))
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    lines = np.arange(len(names))[::-1]
    for axes, (heading, estimates) in zip(panels, columns.items(), strict=True):
        value, low, high = (np.array([getattr(each, end) for each in estimates]) for end in ("value", "low", "high"))
        if compared and heading in compared:
            axes.axvline(compared[heading], color=FAINT, linestyle=":", linewidth=1)
        end = (ends or {}).get(heading, np.inf)
        inside = value <= end
        axes.hlines(lines, np.minimum(low, end), np.minimum(high, end), color=GOOD, linewidth=1.5)
        axes.plot(value[inside], lines[inside], "o", color=GOOD, markersize=4)
        if not inside.all():
            _draw_beyond(axes, value[~inside], lines[~inside], end)
        axes.set_title(heading, fontsize=10)
        plain(axes)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(lines, [shorten(name) for name in names], fontsize=8.5)
    panels[0].set_ylim(-0.6, len(names) - 0.4)
    fix_layout(figure)
    return figure


def _draw_beyond(axes: Axes, values: NDArray[np.float64], lines: NDArray[np.int64], end: float) -> None:
    axes.plot(np.full(len(values), end), lines, ">", color=BAD, markersize=5, clip_on=False)
    for value, line in zip(values, lines, strict=True):
        axes.annotate(
            f"{value:.3g}", (end, line), (6, 0), textcoords="offset points", va="center", fontsize=8, color=BAD
        )
    axes.set_xlim(right=end)


def shorten(name: str, most: int = LONGEST) -> str:
    """Return a name of at most `most` characters, with an ellipsis in the middle: names often differ at the end.

    Example: `shorten("number_of_late_payments_12m", 16)` is `number_o…nts_12m`.
    """
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"


def histogram(groups: Mapping[str, NDArray[np.int64]], rows: str) -> Figure:
    """Draw the scores of two groups in bins of twenty points, each as shares of its own rows; `rows` names a row."""
    figure, axes = new_plot(6.4, 3.8)
    every_score = np.concatenate(list(groups.values()))
    edges = np.arange(every_score.min() // 20 * 20, every_score.max() + 21, 20)
    for (label, scores), colour in zip(groups.items(), (GOOD, BAD), strict=True):
        shares = np.full(len(scores), 1.0 / max(1, len(scores)))
        axes.hist(scores, bins=edges.tolist(), weights=shares, color=colour, alpha=0.6, label=label)
    axes.set(xlabel="Score", ylabel=f"Share of {rows}")
    axes.legend(frameon=False)
    return figure


def roc(bad: NDArray[np.bool_], predictions: dict[str, NDArray[np.float64]]) -> Figure:
    """Draw an ROC curve for each model; the diagonal is a random ranking."""
    from sklearn.metrics import roc_curve

    figure, axes = new_plot(5.2, 5.0)
    for (name, probability), colour in zip(predictions.items(), (GOOD, BAD, INK), strict=False):
        false_positive, true_positive, _ = roc_curve(bad, probability)
        axes.plot(false_positive, true_positive, color=colour, label=f"{name}, AUC {auc(bad, probability):.3f}")
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
    axes.set(xlabel="Share of good rows flagged", ylabel="Share of bad rows flagged", title="Discrimination")
    axes.legend(frameon=False, loc="lower right")
    return figure


def calibration(bad: NDArray[np.bool_], probability: NDArray[np.float64]) -> Figure:
    """Draw observed against predicted default rates in up to ten bins of 50 rows or more, with 95% Wilson intervals.

    Both axes are logarithmic, because most rates are a few percent. A bin without defaults is a hollow mark at the
    bottom.
    """
    figure, axes = new_plot(5.2, 5.0)
    bins = np.array_split(np.argsort(probability, kind="stable"), max(1, min(10, len(bad) // 50)))
    expected = np.array([probability[rows].mean() for rows in bins])
    observed = np.array([bad[rows].mean() for rows in bins])
    low, high = wilson_interval([bad[rows].sum() for rows in bins], [len(rows) for rows in bins])
    begin, end = _axis_ends(np.concatenate([expected, observed, high]))
    expected = np.clip(expected, begin, end)  # a mark outside of the axes would leave no space for them
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


def _axis_ends(rates: NDArray[np.float64]) -> tuple[float, float]:
    positive = rates[rates > 0]
    return float(max(positive.min(initial=1.0) * 0.8, 0.001)), float(min(positive.max(initial=0.01) * 1.25, 1.0))


def score_distribution(bad: NDArray[np.bool_], scores: NDArray[np.int64]) -> Figure:
    """Draw the scores of good and bad rows, each as a share of its kind."""
    return histogram({"good": scores[~bad], "bad": scores[bad]}, "rows")
