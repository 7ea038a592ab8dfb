"""Which days have rows, which have none or few, and which tables of the contract did not come at all.

How long after it happened the platform knew: what comes late is missing from every score until then.
"""

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


def missing_tables(report: IngestReport, stored_through: Mapping[str, date | None]) -> tuple[MissingTable, ...]:
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
"""Names, and seconds up to which (included, but for the first) a row belongs to them."""


@dataclass(frozen=True)
class Lateness:
    """One table's `known_at` less its event time; a day's event is over at its end, and is late from there on.

    `buckets` counts rows by BUCKETS, in order; `late` those known more than a day after.
    """

    table: str
    rows: int
    late: int
    median: timedelta
    largest: timedelta
    buckets: tuple[int, ...]


def lateness(table: Table, rows: ir.Table) -> Lateness | None:
    """Return how late a table's accepted rows were known; None for versions, which have no event, and without rows.

    Example: an order at 2024-03-01 23:00 known at 2024-03-03 00:00 is 25 hours late; a row of traffic of the day
    2024-03-01 known then, one day.
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
    found = numbers.to_pyarrow().to_pylist()[0]
    if not found["rows"]:
        return None
    return Lateness(
        table.name,
        found["rows"],
        found["late"],
        timedelta(seconds=float(found["median"])),
        timedelta(seconds=float(found["largest"])),
        tuple(found[f"bucket_{n}"] for n in range(len(BUCKETS))),
    )


def _seconds(table: Table, rows: ir.Table) -> ir.NumericValue:
    name = table.event_time or "known_at"
    # whole seconds to Ibis and fractions to DuckDB, so said outright
    event, known = (time.cast("timestamp").epoch_seconds().cast("float64") for time in (rows[name], rows.known_at))
    return known - event - (_DAY_SECONDS if table.column(name).kind is Kind.DAY else 0)
