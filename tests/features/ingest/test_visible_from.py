"""The one time rule as a date, against the rule itself in plain Python."""

from datetime import date, datetime, timedelta

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import asof
from features.engines.duckdb import open_engine
from tests.counts import repeat

TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2100, 12, 31))  # noqa: DTZ001
NEAR_MIDNIGHT = st.builds(
    lambda day, tick: datetime.combine(day, datetime.min.time()) + timedelta(microseconds=tick),
    st.dates(date(2023, 12, 30), date(2024, 3, 2)),
    st.sampled_from([-1, 0, 1]),
)
MOMENTS = st.one_of(TIMES, NEAR_MIDNIGHT)


def admitted(event: datetime | None, known: datetime) -> date:
    """The first midnight T with event < T and known <= T, found by trying one after the other."""
    # nothing before the day of the later time admits the row
    midnight = datetime.combine(max(event or known, known).date(), datetime.min.time())
    while not ((event is None or event < midnight) and known <= midnight):
        midnight += timedelta(days=1)
    return midnight.date()


def computed(events: list[datetime] | list[date] | None, known: list[datetime]) -> list[date]:
    columns = {"known": pa.array(known, pa.timestamp("us"))}
    if events is not None:
        columns["event"] = pa.array(events)
    rows = ibis.memtable(pa.table(columns))
    event = rows.event if events is not None else None
    with open_engine(threads=1) as engine:
        found = engine.to_pyarrow(rows.select(day=asof.visible_from(event, rows.known)))
    assert found.schema.field("day").type == pa.date32()
    days: list[date] = found.column("day").to_pylist()
    return days


@pytest.mark.repeated
@settings(max_examples=repeat(5, 300), deadline=None)
@given(st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=200))
def test_visible_from_is_the_first_midnight_the_rule_admits(pairs: list[tuple[datetime, datetime]]) -> None:
    events, known = map(list, zip(*pairs, strict=True))
    assert computed(events, known) == [admitted(event, at) for event, at in pairs]


def test_midnights_days_and_versions() -> None:
    leap, tick, day = datetime(2024, 2, 29), timedelta(microseconds=1), timedelta(days=1)  # noqa: DTZ001
    known = [leap, leap, leap + day, leap + day + tick]
    visible = [date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 1), date(2024, 3, 2)]
    assert computed([leap - tick, leap, leap, leap], known) == visible
    # the event of a day is at its start
    assert computed([leap.date()] * 2, [leap - day, leap + day + tick]) == [date(2024, 3, 1), date(2024, 3, 2)]
    # a version is visible once it is known
    assert computed(None, [leap, leap + tick]) == [date(2024, 2, 29), date(2024, 3, 1)]
