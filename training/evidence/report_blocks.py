"""Blocks of the model card: prose, lists, tables and plots, number formats, and the templates that render them."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, ClassVar, Final

from training.evidence.card_approval import alarm_label

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment
    from matplotlib.figure import Figure

    from scoring.sheet import FeatureSheet


_NOTHING: Final = "–"
_MANY: Final = 1_000
_SOME: Final = 100
_SMALL: Final = 0.001
_FOLDED: Final = 15
_DOTS: Final = 144
"""Dots per inch of a plot: sharp on high-density screens."""


@dataclass(frozen=True)
class Text:
    """Text of a kind: `prose`, `code` to copy, `alarm` of a study, or `approval`, which a promotion fills in."""

    text: str
    kind: str = "prose"
    study: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of text cells; `numbers` is True for the columns that are aligned as numbers."""

    kind: ClassVar = "table"
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[bool, ...]
    is_secondary: bool = False

    @property
    def folded(self) -> bool:
        """Whether a page shows only the title at first, because the table is long or repeats other content."""
        return self.is_secondary or len(self.rows) > _FOLDED


@dataclass(frozen=True)
class Plot:
    """A plot, and the name of its file in the run."""

    kind: ClassVar = "plot"
    title: str
    file: str
    figure: Figure

    @property
    def width(self) -> int:
        """The width on a page, in CSS pixels (1/96 inch)."""
        return round(float(self.figure.get_size_inches()[0]) * 96)


Block = Text | Bullets | Table | Plot


@dataclass(frozen=True)
class Section:
    """A heading and its blocks."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """The heading as an HTML id: `Calibration by band` is `calibration-by-band`."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def number(value: object) -> str:
    """Return a value as text, with at most three decimals.

    Example: 0.12345 is `0.123`, 581.333 `581.3`, 12345.6 `12,346`, 0.00012 `0.00012`; NaN and None are a dash. Text is
    returned unchanged.
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
    """Return a figure with its interval if it has one: `0.812 (0.790 to 0.833)`."""
    ends = [values.get(f"{name}_{end}") for end in ("low", "high")]
    shown = number(values[name])
    if shown == _NOTHING or None in ends:
        return shown
    return f"{shown} ({number(ends[0])} to {number(ends[1])})"


def of_frame(title: str, frame: pd.DataFrame) -> Table:
    """Return a frame as a table; the columns `x_low` and `x_high` become the interval of `x`."""
    names = _without_ends([str(name) for name in frame.columns])
    records = (dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False))
    rows = tuple(tuple(interval(name, record) for name in names) for record in records)
    numbers = tuple(bool(frame[name].dtype.kind in "iuf") for name in names)
    return Table(title, tuple(name.replace("_", " ") for name in names), rows, numbers)


def of_figures(title: str, figures: Mapping[str, float]) -> Table:
    """Return single numbers as a table with one line each, the interval in the same cell as its figure."""
    rows = tuple((name.replace("_", " "), interval(name, figures)) for name in _without_ends(list(figures)))
    return Table(title, ("figure", "value"), rows, (False, True), is_secondary=True)


def _without_ends(names: Sequence[str]) -> list[str]:
    ends = {f"{name}_{end}" for name in names for end in ("low", "high")}
    return [name for name in names if name not in ends]


@cache
def environment(package: str = "training.evidence") -> Environment:
    """Return the templates of a package; text in HTML is escaped."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=jinja2.select_autoescape(("html",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"data_uri": data_uri, "line": line, "cell": cell, "number": number}
    templates.filters["alarm_label"] = alarm_label
    return templates


def text_lines(template: str, **context: object) -> tuple[str, ...]:
    """Return the lines of a rendered text template, without empty ones."""
    return tuple(line for line in environment().get_template(template).render(context).splitlines() if line)


def intended_use(sheet: FeatureSheet) -> tuple[str, ...]:
    """Return the intended use as paragraphs of plain text; those that begin with a dash are excluded uses."""
    labels = {entry.name: entry.label for entry in sheet.entries}
    return text_lines("use.txt", sheet=sheet, labels=labels)


def data_uri(figure: Figure) -> str:
    """Return a figure as a `data:` URI of a PNG image."""
    image = BytesIO()
    figure.savefig(image, format="png", dpi=_DOTS)
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()


def line(text: str) -> str:
    """Return text as one line of Markdown with HTML escaped: a marketplace's name may contain any characters."""
    return re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;")


def cell(text: str) -> str:
    """Return text with the characters escaped that would end a cell of a Markdown table."""
    return line(text).replace("\\", "\\\\").replace("|", "\\|")
