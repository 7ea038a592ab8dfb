"""How every plot of the evidence looks: its colours, its paper, and the shapes that several studies draw."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.metrics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GOOD: Final = "#2f7f79"
BAD: Final = "#c2543d"
INK: Final = "#444444"
FAINT: Final = "#bbbbbb"
LONGEST: Final = 50
"""Characters of a name in a plot; longer names would take the room of the plot itself."""


def paper(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, without pyplot and its state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def fix_layout(figure: Figure) -> None:
    """Lay a figure out once, so that each time it is saved it is the same picture."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def plain(axes: Axes) -> None:
    """Leave only the lines that carry meaning."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(color=FAINT, labelcolor=INK)


def forest(
    names: Sequence[str],
    columns: Mapping[str, Sequence[Estimate]],
    compared: Mapping[str, float] | None = None,
    ends: Mapping[str, float] | None = None,
) -> Figure:
    """Draw a line a name and a panel a column: each figure with its interval, and an upright line to compare with.

    A figure beyond the end of its panel is an arrow at the end, with its value in words.

    Args:
        names: of the lines, from the top.
        columns: by heading, an estimate for each name.
        compared: by heading, where the upright line stands; a panel without one has none.
        ends: by heading, the largest value that is drawn; a panel without one shows all.
    """
    figure = paper(2.6 + 2.6 * len(columns), 0.9 + 0.26 * len(names))
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    places = np.arange(len(names))[::-1]
    for axes, (heading, estimates) in zip(panels, columns.items(), strict=True):
        value, low, high = (np.array([getattr(each, end) for each in estimates]) for end in ("value", "low", "high"))
        if compared and heading in compared:
            axes.axvline(compared[heading], color=FAINT, linestyle=":", linewidth=1)
        end = (ends or {}).get(heading, np.inf)
        inside = value <= end
        axes.hlines(places, np.minimum(low, end), np.minimum(high, end), color=GOOD, linewidth=1.5)
        axes.plot(value[inside], places[inside], "o", color=GOOD, markersize=4)
        if not inside.all():
            _draw_beyond(axes, value[~inside], places[~inside], end)
        axes.set_title(heading, fontsize=10)
        plain(axes)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(places, [shortened(name) for name in names], fontsize=8.5)
    panels[0].set_ylim(-0.6, len(names) - 0.4)
    fix_layout(figure)
    return figure


def _draw_beyond(axes: Axes, values: NDArray[np.float64], places: NDArray[np.int64], end: float) -> None:
    """Draw values that are larger than the end of a panel: an arrow at the end, then the value."""
    axes.plot(np.full(len(values), end), places, ">", color=BAD, markersize=5, clip_on=False)
    for value, place in zip(values, places, strict=True):
        axes.annotate(
            f"{value:.3g}", (end, place), (6, 0), textcoords="offset points", va="center", fontsize=8, color=BAD
        )
    axes.set_xlim(right=end)


def shortened(name: str, most: int = LONGEST) -> str:
    """Return a name of at most so many characters, with an ellipsis in the middle: names often differ at the end.

    Example: `shortened("number_of_late_payments_12m", 16)` is `number_o…nts_12m`.
    """
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"


def wrapped(name: str, width: int = 38) -> str:
    """Return a label in lines of at most so many characters.

    Example: `wrapped("Share of repeat buyers, 180 days", 24)` is `Share of repeat buyers,` and `180 days` below it.
    """
    return "\n".join(textwrap.wrap(name, width)) or name


def histogram(groups: Mapping[str, NDArray[np.int64]], of: str) -> Figure:
    """Draw scores of two groups by twenty points, each as shares of its own rows; `of` is what a row is."""
    figure = paper(6.4, 3.8)
    axes = figure.subplots()
    everyone = np.concatenate(list(groups.values()))
    edges = np.arange(everyone.min() // 20 * 20, everyone.max() + 21, 20)
    for (label, scores), colour in zip(groups.items(), (GOOD, BAD), strict=True):
        shares = np.full(len(scores), 1.0 / max(1, len(scores)))
        axes.hist(scores, bins=edges.tolist(), weights=shares, color=colour, alpha=0.6, label=label)
    axes.set(xlabel="Score", ylabel=f"Share of {of}")
    axes.legend(frameon=False)
    plain(axes)
    return figure
