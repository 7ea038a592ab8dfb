"""How long after it happened the platform knew: what comes late is missing from every score until then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import ibis

from features.schema import Kind, Table

if TYPE_CHECKING:
    import ibis.expr.types as ir

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
BUCKETS: Final = (
    ("known before", 0),
    ("within an hour", _HOUR),
    ("within a day", _DAY),
    ("1 to 2 days", 2 * _DAY),
    ("2 to 7 days", 7 * _DAY),
    ("7 to 30 days", 30 * _DAY),
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
        late=(late.seconds > _DAY).sum(),
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
    return known - event - (_DAY if table.column(name).kind is Kind.DAY else 0)
