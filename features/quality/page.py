"""The data quality page: one static HTML file without scripts or network requests, and the geometry of its charts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.quality import psi
from features.quality.analysis import Quality, analyse_delivery
from features.quality.columns import ColumnSummary
from features.quality.coverage import BUCKETS, Days
from features.quality.findings import duration, findings, number, percent
from features.quality.psi import ACT
from features.store.folders import replace_text

if TYPE_CHECKING:
    from jinja2 import Environment

    from features.ingest.report import IngestReport
    from features.store.operating import OperatingStore


WIDTH: Final = 1000.0
"""The width of every chart in units; the browser scales it."""

CELLS: Final = 400
LEVELS: Final = 5
"""The number of shades, and of the most frequent values in a column summary."""

_MIN_WIDTH: Final = 6.0
_OUTLIERS: Final = 0.001
_STRETCH: Final = 1.5
_WEEK: Final = 7
_PSI_END: Final = 2 * ACT


@dataclass(frozen=True)
class Part:
    """A part of a bar: its kind, position, width and label."""

    kind: str
    x: float
    width: float
    label: str


def bar(counts: Mapping[str, int]) -> tuple[Part, ...]:
    """Split a bar by counts. Every part with a count above zero stays visible.

    Example: `{"accepted": 3, "quarantined": 1}` is 750 wide, then 250.
    """
    total = sum(counts.values())
    widths = {kind: max(WIDTH * count / total, _MIN_WIDTH) for kind, count in counts.items() if count}
    scale = WIDTH / sum(widths.values()) if widths else 1.0
    parts, x = [], 0.0
    for kind, width in widths.items():
        parts.append(Part(kind, round(x, 1), round(width * scale, 1), f"{kind}: {counts[kind]:,}"))
        x += width * scale
    return tuple(parts)


def shares(column: ColumnSummary) -> tuple[Part, ...]:
    """Split a bar by a column's most frequent values, darkest first."""
    parts, x = [], 0.0
    for rank, each in enumerate(column.frequent):
        width = WIDTH * each.rows / column.filled
        parts.append(Part(f"l{LEVELS - rank}", round(x, 1), round(width, 1), f"{each.value}: {each.rows:,}"))
        x += width
    return tuple(parts)


@dataclass(frozen=True)
class Axis:
    """The days of all strips, in cells of `step` days."""

    span: Days
    step: int

    @property
    def cells(self) -> int:
        """The number of cells."""
        return ceil(self.span.count / self.step)

    def cell(self, day: date) -> int:
        """Return the number of the cell of a day, which may be off the axis."""
        return (day - self.span.first).days // self.step

    def x(self, day: date) -> float:
        """Return the position of the start of a day."""
        return round(WIDTH * (day - self.span.first).days / (self.cells * self.step), 2)

    @property
    def ticks(self) -> tuple[date, ...]:
        """The days of the labels: first, middle, last."""
        return self.span.first, self.span.first + timedelta(days=self.span.count // 2), self.span.last


def axis(tables: Sequence[Mapping[date, int]]) -> Axis | None:
    """Return an axis over the days of all tables, in cells of a day or of whole weeks, without distant outliers."""
    filled = [by_day for by_day in tables if by_day]
    if not filled:
        return None
    ends = [_ends(by_day) for by_day in filled]
    most = Days(min(map(min, filled)), max(map(max, filled)))
    near = Days(min(first for first, _ in ends), max(last for _, last in ends))
    span = most if most.count <= _STRETCH * near.count else near
    return Axis(span, 1 if span.count <= CELLS else _WEEK * ceil(span.count / CELLS / _WEEK))


def _ends(by_day: Mapping[date, int]) -> tuple[date, date]:
    days, total = sorted(by_day), sum(by_day.values())

    def end(ordered: Sequence[date]) -> date:
        passed = 0
        for day in ordered:
            passed += by_day[day]
            if passed > total * _OUTLIERS:
                break
        return day

    return end(days), end(days[::-1])


@dataclass(frozen=True)
class Strip:
    """One table's days: SVG paths of the shades and of gaps, the position of the coverage, and rows off the axis."""

    levels: tuple[str, ...]
    gaps: str
    covered: float | None
    beyond: int


def strip(by_day: Mapping[date, int], gaps: Sequence[Days], covers_through: date | None, on: Axis) -> Strip:
    """Return a table's strip on the axis."""
    rows = [0] * on.cells
    beyond = 0
    for day, count in by_day.items():
        if on.span.first <= day <= on.span.last:
            rows[on.cell(day)] += count
        else:
            beyond += count
    full = sorted(count for count in rows if count)
    top = full[int(0.95 * (len(full) - 1))] if full else 1
    shades = [min(ceil(LEVELS * count / top), LEVELS) for count in rows]
    wide = WIDTH / on.cells
    levels = tuple(_path(_runs(shades, level), wide) for level in range(1, LEVELS + 1))
    covered = None
    if covers_through is not None and on.span.first <= covers_through <= on.span.last + timedelta(days=1):
        covered = on.x(covers_through)
    return Strip(levels, _path(_cells(gaps, on), wide), covered, beyond)


def _runs(shades: Sequence[int], level: int) -> Iterator[tuple[int, int]]:
    """Yield the position and length of each run of cells of one level."""
    at = 0
    for shade, run in groupby(shades):
        length = len(list(run))
        if shade == level:
            yield at, length
        at += length


def _cells(gaps: Sequence[Days], on: Axis) -> Iterator[tuple[int, int]]:
    for gap in gaps:
        first, last = max(on.cell(gap.first), 0), min(on.cell(gap.last), on.cells - 1)
        if first <= last:
            yield first, last - first + 1


def _path(runs: Iterator[tuple[int, int]], wide: float) -> str:
    return "".join(f"M{at * wide:.1f} 0h{length * wide:.1f}v10h-{length * wide:.1f}z" for at, length in runs)


def psi_x(value: float) -> float:
    """Return the position of an index on a scale from 0 to twice the threshold `ACT`."""
    return round(WIDTH * min(value, _PSI_END) / _PSI_END, 1)


def write_page(store: OperatingStore, report: IngestReport, name: str, out: Path) -> Path:
    """Write the page about a stored delivery called `name`, replace an older page in one step, and return its path.

    Raises:
        StoreError: the store does not have the delivery.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_text(out, render(analyse_delivery(store, report, name)))
    return out


def render(quality: Quality) -> str:
    """Return the page as HTML. All values of the delivery are escaped."""
    events = [each.coverage for each in quality.tables if each.coverage is not None and each.lateness is not None]
    return (
        _environment()
        .get_template("page.html")
        .render(
            quality=quality,
            findings=findings(quality),
            events=events,
            axis=axis([each.by_day for each in events]),
            buckets=[name for name, _ in BUCKETS],
        )
    )


@cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("features.quality", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "duration": duration}
    environment.globals |= {"charts": sys.modules[__name__], "psi": psi, "zip": zip}
    return environment
