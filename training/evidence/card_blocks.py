"""What a model card is made of: sections of prose, lists, tables and plots, whatever they are then written as."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    import pandas as pd
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
class Alarm:
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


Block = Prose | Bullets | Alarm | Approval | Code | Table | Plot


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
