"""Coverage and lateness of a delivery: days with, without and with few rows, missing tables, and time to `known_at`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

import ibis

from features.quality.explanations import NEED, PURPOSE
from features.schema import TABLES, Kind, Need, Table

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ingest.report import IngestReport


DENSE: Final = 0.9
BUSY: Final = 30
"""A table is dense if DENSE of its days have rows and the median day has BUSY rows: an empty day is then no chance."""

STRAGGLERS: Final = 0.05
"""First and last days with less than this share of a typical day are late or incomplete rows, not coverage."""

THIN: Final = 0.25
"""A day with less than this share of the median of the days before it is probably incomplete."""

BEFORE: Final = 28
"""The number of days before a day with which it is compared; half of them must have rows."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """Days `first` to `last`, both included."""

    first: date
    last: date

    @property
    def count(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True)
class TableCoverage:
    """The days of one table's accepted rows, by event time, or by `known_at` for sellers and stores.

    `gaps` (days without rows) and `thin` (days with few rows) are reported for `dense` tables only, without the
    stragglers at both ends.
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
        """The median number of rows of days with rows."""
        return median(self.by_day.values())

    @property
    def missing_days(self) -> int:
        """The number of days without rows."""
        return self.span.count - len(self.by_day)


@dataclass(frozen=True)
class MissingTable:
    """A table that is not in the delivery.

    `stored_through` is the coverage of earlier deliveries, if any; `why` is the error if the table was rejected.
    """

    table: str
    need: Need
    rank: str
    purpose: str
    stored_through: date | None
    why: str | None


def rows_by_day(table: Table, rows: ir.Table) -> dict[date, int]:
    """Return the number of rows by day of the event, or of `known_at` for tables without events."""
    day = rows[table.event_time or "known_at"].cast("date")
    counts = rows.group_by(day=day).agg(rows=rows.count()).order_by("day").to_pyarrow().to_pylist()
    return {each["day"]: each["rows"] for each in counts}


def coverage(table: Table, by_day: Mapping[date, int], covers_through: date | None) -> TableCoverage:
    """Return the coverage of a table with accepted rows."""
    body = _body(by_day)
    inside = {day: rows for day, rows in by_day.items() if body.first <= day <= body.last}
    dense = table.event_time is not None and len(inside) >= DENSE * body.count and median(inside.values()) >= BUSY
    since = {day: rows for day, rows in by_day.items() if body.first <= day}
    return TableCoverage(
        table.name,
        by_day,
        Days(min(by_day), max(by_day)),
        dense,
        tuple(_gaps(inside)) if dense else (),
        tuple(_thin(since)) if dense else (),
        covers_through,
    )


def _body(by_day: Mapping[date, int]) -> Days:
    """Return the days without the stragglers at both ends. Half of all rows are on days up to the typical size."""
    passed, typical = 0, 0
    for typical in sorted(by_day.values()):
        passed += typical
        if 2 * passed >= sum(by_day.values()):
            break
    days = [day for day, rows in by_day.items() if rows >= STRAGGLERS * typical]
    return Days(min(days), max(days))


def _gaps(by_day: Mapping[date, int]) -> list[Days]:
    return [Days(earlier + _DAY, later - _DAY) for earlier, later in pairwise(sorted(by_day)) if later - earlier > _DAY]


def _thin(by_day: Mapping[date, int]) -> list[date]:
    offsets = [timedelta(days=days) for days in range(1, BEFORE + 1)]
    earlier = {day: [by_day[day - offset] for offset in offsets if day - offset in by_day] for day in sorted(by_day)}
    return [day for day, rows in earlier.items() if 2 * len(rows) >= BEFORE and by_day[day] < THIN * median(rows)]


def missing_tables(report: IngestReport, stored_through: Mapping[str, date | None]) -> tuple[MissingTable, ...]:
    """Return the tables that are not in the delivery; `stored_through` is the coverage of earlier deliveries."""
    delivered = {each.table for each in report.tables}
    why = {each.table: each.why for each in report.rejected_tables}
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
        if table.name not in delivered
    )


_HOUR: Final = 3600
_DAY_SECONDS: Final = 24 * _HOUR

BUCKETS: Final = (
    ("known before", 0),
    ("within an hour", _HOUR),
    ("within a day", _DAY_SECONDS),
    ("1 to 2 days", 2 * _DAY_SECONDS),
    ("2 to 7 days", 7 * _DAY_SECONDS),
    ("7 to 30 days", 30 * _DAY_SECONDS),
    ("over 30 days", None),
)
"""Names and upper bounds in seconds. Bounds are inclusive, except the first."""


@dataclass(frozen=True)
class Lateness:
    """The time from event to `known_at` of one table; for a `day`, from the end of the day.

    `buckets` counts rows by BUCKETS; `late` counts rows known more than a day after the event.
    """

    table: str
    rows: int
    late: int
    median: timedelta
    largest: timedelta
    buckets: tuple[int, ...]


def lateness(table: Table, rows: ir.Table) -> Lateness | None:
    """Return the lateness of a table's accepted rows; None for sellers and stores.

    Example: an order at 2024-03-01 23:00 known at 2024-03-03 00:00 is 25 hours late; a traffic row of 2024-03-01 known
    then is one day late.
    """
    if table.event_time is None:
        return None
    late = rows.select(seconds=_seconds(table, rows))
    bounds = [bound for _, bound in BUCKETS if bound is not None]
    branches = [(late.seconds < bound if bound == 0 else late.seconds <= bound, n) for n, bound in enumerate(bounds)]
    late = late.mutate(bucket=ibis.cases(*branches, else_=len(bounds)))
    numbers = late.agg(
        rows=late.count(),
        late=(late.seconds > _DAY_SECONDS).sum(),
        median=late.seconds.median(),
        largest=late.seconds.max(),
        **{f"bucket_{n}": (late.bucket == n).sum() for n in range(len(BUCKETS))},
    )
    row = numbers.to_pyarrow().to_pylist()[0]
    return Lateness(
        table.name,
        row["rows"],
        row["late"],
        timedelta(seconds=float(row["median"])),
        timedelta(seconds=float(row["largest"])),
        tuple(row[f"bucket_{n}"] for n in range(len(BUCKETS))),
    )


def _seconds(table: Table, rows: ir.Table) -> ir.NumericValue:
    name = table.event_time or "known_at"
    # epoch_seconds is an integer to Ibis and a fraction in DuckDB, so the cast is explicit
    event, known = (time.cast("timestamp").epoch_seconds().cast("float64") for time in (rows[name], rows.known_at))
    return known - event - (_DAY_SECONDS if table.column(name).kind is Kind.DAY else 0)
