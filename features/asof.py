"""The one time rule: as of a midnight T one sees the rows with event time < T and known_at <= T, nothing else.

Whatever asks "was this row visible then?" asks here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir


def visible_from(event_time: ir.TemporalValue | None, known_at: ir.TimestampValue) -> ir.DateValue:
    """Return the first midnight T at which the time rule admits a row.

    `event_time < T` first holds at the first midnight strictly after the event, `known_at <= T` at the first
    midnight at or after `known_at`; both hold from the later of the two on, and never cease to. A DATE stands
    for the start of its day. None says that the row is a version: its time is `known_at` alone.

    Example:
        An event at 2024-02-28 23:59 known at 2024-02-29 00:00 is visible from 2024-02-29; an event at
        2024-02-29 00:00 known then too, only from 2024-03-01; known at 2024-03-01 00:00:01, from 2024-03-02.
    """
    import ibis

    day, tick = ibis.interval(days=1), ibis.interval(microseconds=1)
    # One microsecond short of a day later, a midnight is still on its own day and any other time on the next.
    known = (known_at + day - tick).date()
    if event_time is None:
        return known
    # A DATE plus an interval is a TIMESTAMP to some engines and a DATE to others; a TIMESTAMP stays one everywhere.
    return ibis.greatest((event_time.cast("timestamp") + day).date(), known)
