"""The time rule: as of a midnight T, the rows with event time < T and known_at <= T are visible, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir


def visible_from(event_time: ir.TemporalValue | None, known_at: ir.TimestampValue) -> ir.DateValue:
    """Return the first midnight T as of which a row is visible. It stays visible from then on.

    `event_time < T` first holds at the first midnight after the event, `known_at <= T` at the first midnight at or
    after `known_at`; the result is the later of the two. A DATE stands for the start of its day. None means that the
    row is a version, whose only time is `known_at`.

    Example:
        An event at 2024-02-28 23:59 known at 2024-02-29 00:00 is visible from 2024-02-29. An event at 2024-02-29 00:00
        known at the same time is visible from 2024-03-01; if known at 2024-03-01 00:00:01, from 2024-03-02.
    """
    import ibis

    day, tick = ibis.interval(days=1), ibis.interval(microseconds=1)
    # one microsecond short of a day later, a midnight is still on its own day and any other time on the next
    known = (known_at + day - tick).date()
    if event_time is None:
        return known
    # a DATE plus an interval is a TIMESTAMP on some engines and a DATE on others
    return ibis.greatest((event_time.cast("timestamp") + day).date(), known)
