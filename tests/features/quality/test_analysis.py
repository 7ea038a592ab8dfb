"""The numbers of the analysis equal those counted in plain Python."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from statistics import median, quantiles

import pytest

from features.quality.analysis import Quality, TableQuality
from features.quality.columns import ColumnSummary, TableDrift
from features.quality.coverage import BUCKETS, coverage
from features.schema import ORDERS, RATINGS
from tests.features.ingest.build import Row
from tests.features.quality.deliveries import DAYS, GAP, START, THIN, Deliveries
from tests.features.quality.test_psi import by_hand

pytestmark = pytest.mark.slow


def _table(quality: Quality, name: str = "orders") -> TableQuality:
    return next(table for table in quality.tables if table.name == name)


def _column(quality: Quality, name: str) -> ColumnSummary:
    return next(column for column in _table(quality).columns if column.name == name)


def _values(rows: list[Row], name: str) -> list[float]:
    return [row[name] for row in rows]  # type: ignore[misc]


def test_counts_by_status_and_by_rule(first: Quality, deliveries: Deliveries) -> None:
    table = _table(first)
    count = len(deliveries.orders[0])
    assert (table.report.read, table.report.accepted, table.report.duplicates) == (count + 52, count, 7)
    assert {reason.rule: reason.rows for reason in table.reasons} == {
        "amount_negative": 8,
        "channel_not_allowed": 15,
        "buyer_country_missing": 8,
        "store_unknown": 7,
        "buyer_id_not_an_id": 7,
    }
    assert [reason.rows for reason in table.reasons] == sorted((8, 15, 8, 7, 7), reverse=True)
    for reason in table.reasons:
        assert reason.share == pytest.approx(reason.rows / table.report.read)
        assert len(reason.examples) == 3


def test_the_summary_of_each_column(first: Quality, deliveries: Deliveries) -> None:
    rows = deliveries.orders[0]
    for name in ("amount", "items", "ordered_at", "known_at"):
        values, column = sorted(_values(rows, name)), _column(first, name)
        assert (column.least, column.greatest) == (values[0], values[-1])
        if name in {"amount", "items"}:
            assert column.median == pytest.approx(median(values))
        else:
            assert values[(len(values) - 1) // 2] <= column.median <= values[len(values) // 2]  # type: ignore[operator]
    for name in ("order_id", "store_id", "buyer_id", "buyer_country", "amount", "channel"):
        column = _column(first, name)
        assert column.distinct == len(set(_values(rows, name)))
        assert not column.estimated
        # delivered rows include broken ones, but no duplicates
        assert column.delivered == len(rows) + 45
        assert column.empty == (8 if name == "buyer_country" else 0)
    column = _column(first, "buyer_country")
    counted = sorted(Counter(_values(rows, "buyer_country")).items(), key=lambda item: (-item[1], item[0]))
    assert [(value.value, value.rows) for value in column.frequent] == counted[:5]
    assert column.rest == sum(number for _, number in counted[5:])


def test_lateness(first: Quality, deliveries: Deliveries) -> None:
    found = _table(first).lateness
    assert found is not None
    late = [row["known_at"] - row["ordered_at"] for row in deliveries.orders[0]]  # type: ignore[operator]
    assert found.rows == len(late)
    assert found.late == sum(each > timedelta(days=1) for each in late)
    assert (found.median, found.largest) == (median(late), max(late))
    expected = dict.fromkeys((name for name, _ in BUCKETS), 0)
    names = {60: "within an hour", 7200: "within a day", 172_800: "1 to 2 days", 3_456_000: "over 30 days"}
    for each in late:
        expected[names[int(each.total_seconds())]] += 1
    assert found.buckets == tuple(expected.values())
    assert _table(first, "sellers").lateness is None, "versions have no lateness"


def test_days_gaps_and_thin_days(first: Quality, deliveries: Deliveries) -> None:
    found = _table(first).coverage
    assert found is not None
    assert found.by_day == Counter(row["ordered_at"].date() for row in deliveries.orders[0])  # type: ignore[attr-defined]
    assert [(gap.first, gap.last) for gap in found.gaps] == [
        ((START + timedelta(days=GAP[0])).date(), (START + timedelta(days=GAP[1])).date())
    ]
    assert found.thin == ((START + timedelta(days=THIN)).date(),)
    assert found.span.count == DAYS
    assert found.missing_days == len(GAP)


def _days(rows: dict[int, int]) -> dict[date, int]:
    return {date(2024, 1, 1) + timedelta(days=day): count for day, count in rows.items()}


def test_stragglers_hide_no_gap_and_an_incomplete_last_day_is_thin() -> None:
    days = dict.fromkeys(range(100, 130), 1000) | dict.fromkeys(range(40, 100, 7), 3)
    del days[110]
    found = coverage(ORDERS, _days(days), None)
    assert [str(gap) for gap in found.gaps] == [str(date(2024, 1, 1) + timedelta(days=110))]
    found = coverage(ORDERS, _days(dict.fromkeys(range(30), 100) | {30: 2}), None)
    assert found.thin == (date(2024, 1, 31),)


@pytest.mark.parametrize("days", [dict.fromkeys(range(0, 60, 7), 500), dict.fromkeys({*range(60)} - {30}, 3)])
def test_sparse_tables_have_no_gaps(days: dict[int, int]) -> None:
    found = coverage(RATINGS, _days(days), None)
    assert (found.dense, found.gaps, found.thin) == (False, (), ())
    assert found.missing_days > 0


def test_missing_tables(first: Quality, second: Quality) -> None:
    missing = {each.table: each for each in first.missing}
    assert {"refunds", "traffic", "loans"} <= missing.keys()
    assert not {"sellers", "stores", "orders"} & missing.keys()
    assert missing["traffic"].stored_through is None
    assert "conversion" in missing["traffic"].purpose
    later = {each.table: each for each in second.missing}
    assert later["sellers"].stored_through == date(2023, 1, 1)
    assert later["traffic"].why is not None
    assert later["traffic"].why.startswith("traffic.parquet lacks day, channel")


def _drift(second: Quality) -> TableDrift:
    found = _table(second).drift
    assert found is not None
    return found


def test_rows_per_day(first: Quality, second: Quality, deliveries: Deliveries) -> None:
    assert first.first
    assert all(table.drift is None for table in first.tables)
    found, (before, now) = _drift(second), map(len, deliveries.orders)
    assert (found.rows_before, found.rows_now) == (before, now)
    assert found.ratio == pytest.approx((now / 10) / (before / (DAYS - len(GAP))))


def test_drift_of_a_category(second: Quality, deliveries: Deliveries) -> None:
    column = next(each for each in _drift(second).columns if each.label == "channel")
    before, now = (Counter(_values(rows, "channel")) for rows in deliveries.orders)
    named = [*sorted(before, key=lambda each: (-before[each], each)), "all others"]
    assert [each.label for each in column.bins] == named
    others = sum(rows for value, rows in now.items() if value not in before)
    counts = [[before[value] for value in named[:-1]] + [0], [now[value] for value in named[:-1]] + [others]]
    assert column.stability.psi == pytest.approx(by_hand(*counts))
    assert column.most_moved.label == "all others", "livestream is a new value"


def test_drift_of_an_amount(second: Quality, deliveries: Deliveries) -> None:
    column = next(each for each in _drift(second).columns if each.label == "amount, US dollars")
    before, now = (sorted(_values(rows, "amount")) for rows in deliveries.orders)
    edges = [float("-inf"), *quantiles(before, n=10, method="inclusive"), float("inf")]
    counts = [[sum(low < value <= high for value in side) for low, high in pairwise(edges)] for side in (before, now)]
    assert [each.before for each in column.bins] == pytest.approx([count / len(before) for count in counts[0]])
    assert [each.now for each in column.bins] == pytest.approx([count / len(now) for count in counts[1]])
    assert column.stability.psi == pytest.approx(by_hand(*counts))
    assert column.stability.low is not None
    assert column.stability.low > 0.25, "amounts are four times as large"


def test_drift_of_ties_is_binned_by_their_values(second: Quality, deliveries: Deliveries) -> None:
    column = next(each for each in _drift(second).columns if each.label == "items")
    before, now = (Counter(_values(rows, "items")) for rows in deliveries.orders)
    assert column.stability.psi < 0.1
    assert sum(each.before for each in column.bins) == pytest.approx(1)
    assert [each.label for each in column.bins] == ["to 1", "to 2", "to 5", "over 5"]
    assert [each.now for each in column.bins] == pytest.approx([now[n] / now.total() for n in (1, 2, 5)] + [0])
    assert before.total() == len(deliveries.orders[0])
