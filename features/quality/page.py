"""Numbers to shapes: where a bar begins and how wide it is, which cell of a strip is how dark. Templates draw them.

The page itself: one HTML file without a script, a request or a dependency, readable for years.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.quality import findings as show
from features.quality import psi
from features.quality.analysis import Quality, analyse_delivery
from features.quality.columns import ColumnSummary
from features.quality.coverage import BUCKETS, Days, TableCoverage
from features.quality.findings import findings
from features.quality.psi import ACT

if TYPE_CHECKING:
    from jinja2 import Environment

    from features.ingest.report import IngestReport
    from features.store.operating import OperatingStore


WIDTH: Final = 1000.0
"""Every chart is so many units wide and stretched to the room there is."""


CELLS: Final = 400


LEVELS: Final = 5
"""Shades, l1 to l5; a profile names as many values."""


_LEAST: Final = 6.0


_OUTLIERS: Final = 0.001


_STRETCH: Final = 1.5


_WEEK: Final = 7


_PSI_END: Final = 2 * ACT


@dataclass(frozen=True)
class Part:
    """A piece of a bar: what it is of, where it begins, how wide it is, and the words for it."""

    kind: str
    x: float
    width: float
    words: str


def bar(counts: Mapping[str, int]) -> tuple[Part, ...]:
    """Part one bar by counts; whatever is there at all stays wide enough to be seen.

    Example: `{"accepted": 3, "quarantined": 1}` is 750 wide, then 250.
    """
    total = sum(counts.values())
    shown = {kind: count for kind, count in counts.items() if count}
    widths = {kind: max(WIDTH * count / total, _LEAST) for kind, count in shown.items()}
    scale = WIDTH / sum(widths.values()) if widths else 1.0
    parts, x = [], 0.0
    for kind, width in widths.items():
        parts.append(Part(kind, round(x, 1), round(width * scale, 1), f"{kind}: {shown[kind]:,}"))
        x += width * scale
    return tuple(parts)


def shares(column: ColumnSummary) -> tuple[Part, ...]:
    """Part one bar by a column's most frequent values, darkest first."""
    parts, x = [], 0.0
    for place, each in enumerate(column.frequent):
        width = WIDTH * each.rows / column.filled
        parts.append(Part(f"l{LEVELS - place}", round(x, 1), round(width, 1), f"{each.value}: {each.rows:,}"))
        x += width
    return tuple(parts)


@dataclass(frozen=True)
class Axis:
    """The days that all strips share, in cells of `step` days each."""

    span: Days
    step: int

    @property
    def cells(self) -> int:
        """How many cells."""
        return ceil(self.span.count / self.step)

    def cell(self, day: date) -> int:
        """Return the cell of a day; of one off the axis, a number off the cells."""
        return (day - self.span.first).days // self.step

    def x(self, day: date) -> float:
        """Return where a day begins."""
        return round(WIDTH * (day - self.span.first).days / (self.cells * self.step), 2)

    @property
    def ticks(self) -> tuple[date, ...]:
        """Three days to name under the strips: first, middle, last."""
        return self.span.first, self.span.first + timedelta(days=self.span.count // 2), self.span.last


def axis(tables: Sequence[Mapping[date, int]]) -> Axis | None:
    """Return an axis over the days of all tables, in cells of a day or of whole weeks.

    Where a table's few rows far from the rest would stretch it, they stay off it.
    """
    held = [by_day for by_day in tables if by_day]
    if not held:
        return None
    ends = [_ends(by_day) for by_day in held]
    most = Days(min(map(min, held)), max(map(max, held)))
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
    """One table's days: a path for each level of darkness, and one for the gaps that mean something."""

    levels: tuple[str, ...]
    gaps: str
    covered: float | None
    beyond: int


def strip(by_day: Mapping[date, int], gaps: Sequence[Days], covers_through: date | None, on: Axis) -> Strip:
    """Return a table's strip on the axis; `beyond` counts rows on days off it."""
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
    """Yield where each run of cells of one level begins and how long it is."""
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
    """Return where an index lies on a scale from 0 to twice the threshold of acting."""
    return round(WIDTH * min(value, _PSI_END) / _PSI_END, 1)


def write_page(store: OperatingStore, report: IngestReport, name: str, out: Path) -> Path:
    """Write the page about a delivery that the store holds, and return where it lies.

    Args:
        store: the store with the delivery in it.
        report: what intake said of the delivery.
        name: what to call the delivery, such as the name of its folder.
        out: the file to write; its folder is made, an older page replaced in one step.

    Raises:
        StoreError: the store does not hold the delivery.
    """
    text = render(analyse_delivery(store, report, name))
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{out.name}-", dir=out.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(draft).chmod(0o644)
        Path(draft).replace(out)
    finally:
        Path(draft).unlink(missing_ok=True)
    return out


def render(quality: Quality) -> str:
    """Return the page as HTML; everything that came with the delivery is escaped."""
    covered = [table.coverage for table in quality.tables if table.coverage is not None]
    events = [each for each in covered if _is_event(quality, each)]
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


def _is_event(quality: Quality, covered: TableCoverage) -> bool:
    return any(table.name == covered.table and table.lateness is not None for table in quality.tables)


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
    environment.filters |= {"number": show.number, "percent": show.percent, "duration": show.duration}
    environment.globals |= {"charts": sys.modules[__name__], "psi": psi, "zip": zip}
    return environment
