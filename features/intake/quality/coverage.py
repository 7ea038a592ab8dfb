"""Which days have rows, which have none or few, and which tables of the contract did not come at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from features.intake.quality.words import NEED, PURPOSE
from features.schema import TABLES, Need, Table

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.intake.report import IntakeReport

DENSE: Final = 0.9
BUSY: Final = 30
"""Where this share of days has rows, and half of those so many, a day without one does not happen by chance."""

STRAGGLERS: Final = 0.05
"""Days before and after the rest with less than this share of a usual day hold what came late or is to come."""

THIN: Final = 0.25
"""A day with less than this share of the median of the days before it looks half delivered."""

BEFORE: Final = 28
"""Days before a day that it is held against, of which half must have rows."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """Days `first` to `last`, both included."""

    first: date
    last: date

    @property
    def count(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True)
class TableCoverage:
    """The days of one table's accepted rows; versions (sellers, stores) lie on the day they were known.

    `gaps` and `thin` are named for a `dense` table only: where most days have no row, one without says nothing. Both
    are looked for among the days from the first to the last that is no straggler.
    """

    table: str
    by_day: Mapping[date, int]
    span: Days
    dense: bool
    gaps: tuple[Days, ...]
    thin: tuple[date, ...]
    covers_through: date | None

    @property
    def typical(self) -> float:
        """The median of rows on days that have some."""
        return median(self.by_day.values())

    @property
    def missing_days(self) -> int:
        """Days of the span without a row."""
        return self.span.count - len(self.by_day)


@dataclass(frozen=True)
class MissingTable:
    """A table that did not come with the delivery; `stored_through` is what earlier deliveries cover, if any."""

    table: str
    need: Need
    rank: str
    purpose: str
    stored_through: date | None
    why: str | None


def rows_by_day(table: Table, rows: ir.Table) -> dict[date, int]:
    """Return how many rows each day has, by event time, or by `known_at` where a row is a version."""
    day = rows[table.event_time or "known_at"].cast("date")
    counts = rows.group_by(day=day).agg(rows=rows.count()).order_by("day").to_pyarrow().to_pylist()
    return {each["day"]: each["rows"] for each in counts}


def coverage(table: Table, by_day: Mapping[date, int], covers_through: date | None) -> TableCoverage | None:
    """Return what a table's days say; None where it has no accepted row."""
    if not by_day:
        return None
    body = _body(by_day)
    held = {day: rows for day, rows in by_day.items() if body.first <= day <= body.last}
    dense = table.event_time is not None and len(held) >= DENSE * body.count and median(held.values()) >= BUSY
    since = {day: rows for day, rows in by_day.items() if body.first <= day}
    return TableCoverage(
        table.name,
        by_day,
        Days(min(by_day), max(by_day)),
        dense,
        tuple(_gaps(held)) if dense else (),
        tuple(_thin(since)) if dense else (),
        covers_through,
    )


def _body(by_day: Mapping[date, int]) -> Days:
    """Return the days from the first to the last with no less than a share of what a usual row's day has."""
    passed, usual = 0, 0
    for usual in sorted(by_day.values()):
        passed += usual
        if 2 * passed >= sum(by_day.values()):
            break
    days = [day for day, rows in by_day.items() if rows >= STRAGGLERS * usual]
    return Days(min(days), max(days))


def _gaps(by_day: Mapping[date, int]) -> list[Days]:
    return [Days(earlier + _DAY, later - _DAY) for earlier, later in pairwise(sorted(by_day)) if later - earlier > _DAY]


def _thin(by_day: Mapping[date, int]) -> list[date]:
    offsets = [timedelta(days=days) for days in range(1, BEFORE + 1)]
    earlier = {day: [by_day[day - offset] for offset in offsets if day - offset in by_day] for day in sorted(by_day)}
    return [day for day, rows in earlier.items() if 2 * len(rows) >= BEFORE and by_day[day] < THIN * median(rows)]


def missing_tables(report: IntakeReport, stored_through: Mapping[str, date | None]) -> tuple[MissingTable, ...]:
    """Return the contract's tables of which the delivery gave nothing; `stored_through` are those that came before."""
    came = {each.table for each in report.tables}
    why = {each.table: each.why for each in report.set_aside}
    return tuple(
        MissingTable(
            table.name,
            table.need,
            NEED[table.need],
            PURPOSE[table.name],
            stored_through.get(table.name),
            why.get(table.name),
        )
        for table in TABLES
        if table.name not in came
    )
