"""What a model card is made of: sections of prose, lists, tables and plots, whatever they are then written as.

The card's templates, and how figures and text are written into them.

How every plot of the evidence looks: its colours, its paper, and the shapes that several studies draw.
"""

from __future__ import annotations

import base64
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.card_approval import alarm_label
from training.evidence.metrics import Estimate

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_NOTHING: Final = "–"


_MANY: Final = 1_000


_SOME: Final = 100


_SMALL: Final = 0.001


_FOLDED: Final = 15


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    kind: ClassVar = "prose"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True)
class AlertBlock:
    """An alarm of a study; the study's name marks it, so that a promotion can mark it as accepted."""

    kind: ClassVar = "alarm"
    text: str
    study: str


@dataclass(frozen=True)
class Approval:
    """The place for who approved the model and which alarms were accepted; a promotion fills it in."""

    kind: ClassVar = "approval"
    text: str


@dataclass(frozen=True)
class Code:
    """What a reader copies as it stands."""

    kind: ClassVar = "code"
    text: str


@dataclass(frozen=True)
class Table:
    """Cells that are text already; `numbers` says which columns are aligned as numbers."""

    kind: ClassVar = "table"
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[bool, ...]
    aside: bool = False

    @property
    def folded(self) -> bool:
        """Whether a page shows no more than its title at first: it is long, or repeats what stands elsewhere."""
        return self.aside or len(self.rows) > _FOLDED


@dataclass(frozen=True)
class Plot:
    """A figure, and the file in which the run keeps it."""

    kind: ClassVar = "plot"
    title: str
    file: str
    figure: Figure

    @property
    def width(self) -> int:
        """On a page, in its pixels of a 96th of an inch, however finely it is drawn."""
        return round(float(self.figure.get_size_inches()[0]) * 96)


Block = Prose | Bullets | AlertBlock | Approval | Code | Table | Plot


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """The heading as the name of a place in the page: `Calibration by band` is `calibration-by-band`."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def number(value: object) -> str:
    """Return a value as a reader wants it, three digits after the point where it is a small fraction.

    Example: 0.12345 is `0.123`, 581.333 `581.3`, 12345.6 `12,346`, 0.00012 `0.00012`, NaN and None a dash; text stays
    what it is.
    """
    if value is None:
        return _NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if math.isnan(value):
        return _NOTHING
    if float(value).is_integer() or abs(value) >= _MANY:
        return f"{value:,.0f}"
    if abs(value) >= _SOME:
        return f"{value:.1f}"
    return f"{value:.2g}" if abs(value) < _SMALL else f"{value:.3f}"


def interval(name: str, values: Mapping[str, object]) -> str:
    """Return a figure with its interval where it has one: `0.812 (0.790 to 0.833)`."""
    ends = [values.get(f"{name}_{end}") for end in ("low", "high")]
    shown = number(values[name])
    if shown == _NOTHING or None in ends:
        return shown
    return f"{shown} ({number(ends[0])} to {number(ends[1])})"


def of_frame(title: str, frame: pd.DataFrame) -> Table:
    """Return a frame as a table; the columns `x_low` and `x_high` become the interval of `x`."""
    names = _with_intervals([str(name) for name in frame.columns])
    rows = tuple(tuple(interval(name, row) for name in names) for row in _records(frame))
    numbers = tuple(bool(frame[name].dtype.kind in "iuf") for name in names)
    return Table(title, tuple(name.replace("_", " ") for name in names), rows, numbers)


def of_figures(title: str, figures: Mapping[str, float]) -> Table:
    """Return single numbers as a table with a line each, intervals beside their figure."""
    rows = tuple((name.replace("_", " "), interval(name, figures)) for name in _with_intervals(list(figures)))
    return Table(title, ("figure", "value"), rows, (False, True), aside=True)


def _with_intervals(names: Sequence[str]) -> list[str]:
    """Return the names that are no end of another's interval."""
    ends = {f"{name}_{end}" for name in names for end in ("low", "high")}
    return [name for name in names if name not in ends]


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


_DOTS: Final = 144
"""Per inch: sharp on screens of double density."""


@cache
def environment() -> Environment:
    """Return the templates; what is written into HTML is escaped."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("training.evidence", "templates"),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"data_uri": data_uri, "line": line, "cell": cell, "number": number, "alarm_label": alarm_label}
    return made


def data_uri(figure: Figure) -> str:
    """Return a figure as the address of an image that holds itself."""
    image = BytesIO()
    figure.savefig(image, format="png", dpi=_DOTS)
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()


def line(text: str) -> str:
    """Return text as one line of Markdown that holds no HTML: a marketplace's name may hold anything."""
    return re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;")


def cell(text: str) -> str:
    """Return text that cannot break out of a cell of a Markdown table."""
    return line(text).replace("\\", "\\\\").replace("|", "\\|")


GOOD: Final = "#2f7f79"


BAD: Final = "#c2543d"


INK: Final = "#444444"


FAINT: Final = "#bbbbbb"


LONGEST: Final = 50
"""Characters of a name in a plot; longer names would take the room of the plot itself."""


def new_figure(width: float, height: float) -> Figure:
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
    figure = new_figure(2.6 + 2.6 * len(columns), 0.9 + 0.26 * len(names))
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
    panels[0].set_yticks(places, [shorten(name) for name in names], fontsize=8.5)
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


def shorten(name: str, most: int = LONGEST) -> str:
    """Return a name of at most so many characters, with an ellipsis in the middle: names often differ at the end.

    Example: `shortened("number_of_late_payments_12m", 16)` is `number_o…nts_12m`.
    """
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"


def wrap(name: str, width: int = 38) -> str:
    """Return a label in lines of at most so many characters.

    Example: `wrapped("Share of repeat buyers, 180 days", 24)` is `Share of repeat buyers,` and `180 days` below it.
    """
    return "\n".join(textwrap.wrap(name, width)) or name


def histogram(groups: Mapping[str, NDArray[np.int64]], of: str) -> Figure:
    """Draw scores of two groups by twenty points, each as shares of its own rows; `of` is what a row is."""
    figure = new_figure(6.4, 3.8)
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
