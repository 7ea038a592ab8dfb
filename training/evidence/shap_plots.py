"""SHAP plots of points: contributions by feature, their dependence on the value, and interactions."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.plots import BAD, FAINT, GOOD, INK, fix_layout, new_figure, plain, shorten

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_SHOWN: Final = 15
_MIDDLE: Final = (0.01, 0.99)
"""Quantiles of the values that are plotted; outliers would compress all other values into one line."""


def summary(features: pd.DataFrame, points: NDArray[np.float64]) -> Figure:
    """Draw SHAP's beeswarm plot: a dot for each row, coloured by the feature's value, the main features first.

    Features without a value in any row are left out, because they have no value for the colour.
    """
    import matplotlib.pyplot as plt
    import shap

    known = features.notna().any().to_numpy()
    shown = features.loc[:, known]
    names = [shorten(str(name)) for name in shown.columns]
    explanation = shap.Explanation(values=points[:, known], data=shown.to_numpy(), feature_names=names)
    # shap draws only on pyplot's current figure, so open one and close it again
    figure = plt.figure(figsize=(9.4, 6.0), layout="constrained")
    shap.plots.beeswarm(explanation, max_display=_SHOWN, show=False, plot_size=None, color=_colours())
    figure.axes[0].set_xlabel("Points (to the right: higher score)", fontsize=11)
    figure.axes[0].tick_params(axis="y", labelsize=10)
    plt.close(figure)
    fix_layout(figure)
    return figure


def dependence(features: pd.DataFrame, points: NDArray[np.float64], partners: Mapping[int, int]) -> Figure:
    """Draw the points of each feature by its value, coloured by the feature with the largest interaction.

    `partners` are the positions of the features to draw, in this order, each with the position of its partner.
    """
    import matplotlib.pyplot as plt

    columns = 2
    lines = -(-len(partners) // columns)
    # shap puts its colour bar on pyplot's current figure, see `summary`
    figure = plt.figure(figsize=(9.4, 2.9 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (feature, partner) in zip(panels, partners.items(), strict=False):
        _panel(axes, features.iloc[:, feature], points[:, feature], features.iloc[:, partner])
    for axes in panels[len(partners) :]:
        axes.set_visible(False)
    for bar in figure.axes[len(panels) :]:
        bar.yaxis.label.set_fontsize(8)
    plt.close(figure)
    fix_layout(figure)
    return figure


def interactions(size: NDArray[np.float64], names: list[str], chosen: NDArray[np.int64]) -> Figure:
    """Draw the mean points by pair of the chosen features; the effect of each feature alone is left blank."""
    shown = size[np.ix_(chosen, chosen)] * 2.0
    np.fill_diagonal(shown, np.nan)
    figure = new_figure(8.2, 6.4)
    axes = figure.subplots()
    image = axes.imshow(shown, cmap=_colours("white", GOOD), vmin=0.0)
    middle = np.nanmax(shown, initial=0.0) / 2
    for (row, column), value in np.ndenumerate(shown):
        if row != column:
            ink = "white" if value > middle else INK
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7.5, color=ink)
    labels = [shorten(names[feature]) for feature in chosen]
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.7, label="Mean points of the interaction")
    return figure


def _panel(axes: Axes, values: pd.Series, points: NDArray[np.float64], partner: pd.Series) -> None:
    known = values.notna().to_numpy()
    axes.axhline(0.0, color=FAINT, linewidth=1, linestyle=":")
    if known.any():
        _scatter(axes, values[known], points[known], partner[known])
    axes.set_xlabel(shorten(str(values.name)), fontsize=10)
    axes.set_ylabel("Points", fontsize=10)
    plain(axes)
    if known.any() and not known.all():
        axes.axhline(float(points[~known].mean()), color=INK, linewidth=1, linestyle="--", label="where missing")
        axes.legend(frameon=False, fontsize=7.5)


def _scatter(axes: Axes, values: pd.Series, points: NDArray[np.float64], partner: pd.Series) -> None:
    """Draw SHAP's scatter plot, coloured by the partner's rank, because outliers would give all others one colour."""
    import shap

    rank = partner.rank(pct=True).fillna(0.5).rename(fill(f"{shorten(str(partner.name))}, by rank", 26))
    one, other = (
        shap.Explanation(values=points, data=each.to_numpy(), feature_names=str(each.name)) for each in (values, rank)
    )
    low, high = values.quantile(_MIDDLE)
    margin = 0.06 * ((high - low) or 1.0)
    shap.plots.scatter(
        one,
        color=other,
        ax=axes,
        cmap=_colours(),
        dot_size=9,
        hist=False,
        xmin=low - margin,
        xmax=high + margin,
        show=False,
    )


def _colours(*colours: str) -> Colormap:
    """Return a colour map from low to high values."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("values", colours or (GOOD, "#d9b44a", BAD))
