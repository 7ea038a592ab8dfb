"""Findings of the data quality page, most serious first, and the formats of its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum
from typing import Final

from features.ingest.rules import WAITING
from features.quality.analysis import Quality, TableQuality
from features.quality.psi import ACT, WATCH
from features.schema import BY_NAME, Need

_SMALLEST: Final = 0.0001
_MANY: Final = 1000
_UNITS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))


def number(value: float | date | None) -> str:
    """Return a number with thousands separators, a time to the minute, and None as a dash.

    Example: 1234567 is "1,234,567", 0.12345 "0.123", 12345.678 "12,345.68".
    """
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= _MANY else f"{value:,.3g}"


def percent(share: float) -> str:
    """Return a share in percent. A share above zero is never shown as zero.

    Example: 0.1234 is "12.3%", 0.00123 "0.12%", 0.00001 "under 0.01%", 0 "0%".
    """
    if share == 0:
        return "0%"
    if share < _SMALLEST:
        return "under 0.01%"
    return f"{share:.2%}" if share < 100 * _SMALLEST else f"{share:.1%}"


def duration(time: timedelta) -> str:
    """Return a duration in its largest fitting unit.

    Example: 5,400 seconds are "1.5 hours", -5,400 seconds "1.5 hours before".
    """
    seconds = abs(time.total_seconds())
    after = " before" if time < timedelta(0) else ""
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{number(round(seconds / unit, 1))} {name}{after}"
    return f"{number(round(seconds))} seconds{after}"


QUARANTINED_WATCH: Final = 0.005
QUARANTINED_ACT: Final = 0.05
LATE: Final = 0.1
RATE_CHANGE: Final = 2.0
_MAX_ITEMS: Final = 3


class Level(IntEnum):
    """The severity of a finding."""

    ACT = 0
    WATCH = 1
    NOTE = 2


@dataclass(frozen=True)
class Finding:
    """A problem of the data, as a sentence."""

    level: Level
    text: str


def findings(quality: Quality) -> tuple[Finding, ...]:
    """Return the findings of a delivery, most serious first."""
    results = [*_missing_tables(quality), *_behind(quality)]
    for table in quality.tables:
        results += [*_quarantined(table), *_backdated(table), *_days(table), *_late(table), *_drifted(table)]
    results += [*_waiting(quality), *_ignored(quality)]
    return tuple(sorted(results, key=lambda each: each.level))


def _missing_tables(quality: Quality) -> Iterator[Finding]:
    for table in quality.missing:
        if table.why is not None:
            yield Finding(Level.ACT, f"{table.table}: rejected as a whole. {table.why.rstrip('.')}.")
        elif table.need is not Need.OPTIONAL and table.stored_through is None:
            yield Finding(Level.WATCH, f"{table.table}: never delivered, so this is missing: {table.purpose}.")


def _behind(quality: Quality) -> Iterator[Finding]:
    """Yield tables with shorter coverage than others of the same delivery."""
    covered = quality.report.covers_through
    events = {name: day for name, day in covered.items() if BY_NAME[name].need is not Need.OPTIONAL}
    events = {name: day for name, day in events.items() if BY_NAME[name].event_time is not None}
    latest = max(events.values(), default=None)
    for name, day in events.items():
        if latest is not None and latest - day > timedelta(days=1):
            yield Finding(Level.WATCH, f"{name}: complete through {day} only, other tables through {latest}.")


def _quarantined(table: TableQuality) -> Iterator[Finding]:
    report = table.report
    share = report.rejected / report.read if report.read else 0.0
    if share >= QUARANTINED_WATCH:
        most = table.reasons[0]
        level = Level.ACT if share >= QUARANTINED_ACT else Level.WATCH
        what = "no row was accepted" if report.rejected == report.read else f"{percent(share)} of rows are quarantined"
        often = f"{number(most.rows)} of {number(report.rejected)}"
        yield Finding(level, f"{table.name}: {what}. Most frequent reason ({often}): {most.explanation.wrong}")


def _waiting(quality: Quality) -> Iterator[Finding]:
    """Yield the rows that wait for other rows."""
    waiting = {
        table.name: sum(rows for rule, rows in table.report.quarantined.items() if rule in WAITING)
        for table in quality.tables
    }
    named = [f"{name} {number(rows)}" for name, rows in waiting.items() if rows]
    if named:
        yield Finding(
            Level.NOTE,
            f"{number(sum(waiting.values()))} rows wait for a seller, store, loan or rate "
            f"({', '.join(named)}). Deliver it, then repeat this delivery.",
        )


def _days(table: TableQuality) -> Iterator[Finding]:
    covered = table.coverage
    if covered is None:
        return
    if covered.gaps:
        days = sum(gap.count for gap in covered.gaps)
        yield Finding(Level.ACT, f"{table.name}: no rows on {_some(days, 'day')}: {_list(covered.gaps)}.")
    if covered.thin:
        yield Finding(
            Level.WATCH,
            f"{table.name}: far fewer rows than in the weeks before on {_some(len(covered.thin), 'day')}: "
            f"{_list(covered.thin)}.",
        )


def _some(count: int, noun: str) -> str:
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def _list(items: Sequence[object]) -> str:
    named = ", ".join(str(item) for item in items[:_MAX_ITEMS])
    return named if len(items) <= _MAX_ITEMS else f"{named} and {len(items) - _MAX_ITEMS} more"


def _late(table: TableQuality) -> Iterator[Finding]:
    late = table.lateness
    if late is not None and late.late >= LATE * late.rows:
        yield Finding(
            Level.WATCH, f"{table.name}: {percent(late.late / late.rows)} of rows were known more than a day late."
        )


def _backdated(table: TableQuality) -> Iterator[Finding]:
    if table.backdated:
        yield Finding(
            Level.ACT,
            f"{table.name}: {_some(table.backdated, 'row')} with known_at at or before {table.complete}, although "
            "an earlier delivery declared the table complete through it. Features computed since did not include them.",
        )


def _drifted(table: TableQuality) -> Iterator[Finding]:
    moved = table.drift
    if moved is None:
        return
    for column in moved.columns:
        low = column.stability.low
        if low is not None and low >= WATCH:
            most = column.most_moved
            yield Finding(
                Level.ACT if low > ACT else Level.WATCH,
                f"{table.name}: {column.label} has drifted (PSI {column.stability.psi:.2f}, at least "
                f"{low:.2f}): “{most.label}” has {percent(most.now)} of rows, {percent(most.before)} before.",
            )
    dense = table.coverage is not None and table.coverage.dense
    if dense and not 1 / RATE_CHANGE <= moved.ratio <= RATE_CHANGE:
        yield Finding(Level.WATCH, f"{table.name}: {moved.ratio:.2g} times as many rows per day as before.")


def _ignored(quality: Quality) -> list[Finding]:
    names = [f"the column {name} of {table.name}" for table in quality.tables for name in table.report.ignored_columns]
    names += [f"the file {name}" for name in quality.report.ignored_files]
    return [Finding(Level.NOTE, f"Ignored, since not in the contract: {_list(names)}.")] if names else []
