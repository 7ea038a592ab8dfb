"""The Koubei mapping: payments of a day become orders, and refunds and buyer ids are declared absent."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.ingest import OperatingStore
from features.pipeline import covered_days, frame, latest_midnight
from features.profile.compute import compute_profiles
from features.profile.series import SUMS
from tests.features.importers.exports import import_and_ingest, write_rows
from tests.features.ingest.build import accepted
from tests.oracles.accepted_rows import features_named

FIRST = date(2016, 1, 1)


def koubei(folder: Path) -> Path:
    shops = [{"shop_id": 1, "per_pay": 8, "cate_1_name": "美食"}, {"shop_id": 2, "per_pay": 20, "cate_1_name": None}]
    payments = [{"shop_id": 1, "day": FIRST + timedelta(days=ago), "payments": 2} for ago in range(200)]
    payments += [{"shop_id": 9, "day": FIRST, "payments": 2}, {"shop_id": 1, "day": "1.1.", "payments": 2}]
    payments.append({"shop_id": 1, "day": FIRST, "payments": 0})
    write_rows(folder / "shops.csv", shops)
    write_rows(folder / "payments.csv", payments)
    write_rows(
        folder / "views.csv", [{"shop_id": 1, "day": FIRST, "views": 10}, {"shop_id": 2, "day": FIRST, "views": 1}]
    )
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    folder = tmp_path_factory.mktemp("koubei")
    report, store = import_and_ingest("koubei", koubei(folder / "k"), folder, usd_per_unit=0.15)
    shops, payments, views = report.sources
    assert (dict(shops.mapped), dict(shops.not_mapped)) == ({"seller": 1}, {"no_payments": 1})
    assert payments.mapped == {"day_of_orders": 200}
    assert payments.not_mapped == {"shop_unknown": 1, "day_unreadable": 1, "no_payment": 1}
    assert (views.mapped, views.not_mapped) == ({"day_of_traffic": 1}, {"shop_unknown_or_without_payments": 1})
    assert dict(report.written) == {"sellers": 1, "stores": 1, "orders": 400, "traffic": 1}
    return store


def test_each_payment_is_an_order_of_the_average_ticket(store: OperatingStore) -> None:
    orders = accepted(store, "orders")[:3]
    assert [row["order_id"] for row in orders] == ["1-20160101-0000", "1-20160101-0001", "1-20160102-0000"]
    times = [datetime(2016, 1, 1, 11, 30), datetime(2016, 1, 1, 18, 30)]  # noqa: DTZ001
    assert [row["ordered_at"] for row in orders[:2]] == times
    assert {(row["amount_micros"], row["buyer_id"], row["visible_from"]) for row in orders[:2]} == {
        (1_200_000, None, date(2016, 1, 2))
    }
    assert accepted(store, "sellers")[0]["category"] == "美食"


def test_refunds_are_known_to_be_zero_and_buyers_to_be_missing(store: OperatingStore) -> None:
    end = FIRST + timedelta(days=200)
    assert (store.covers_through["refunds"], latest_midnight(store)) == (end, end)
    assert store.absent == {"refunds", "buyer_ids"}
    assert store.has("refunds")
    assert covered_days(store)["refunds"] == end, "a score may require the table"
    of_buyers = ("buyer_concentration_180d", "top_buyer_share_180d", "repeat_sales_share_180d", "rush_order_share_180d")
    of_buyers += ("orders_per_buyer_180d", "own_store_share_180d", "buyer_trend_90d")
    catalogue = features_named(*of_buyers, "settled_net_sales_90d", "return_rate_90d", "daily_sales_variation_90d")
    features = frame(store, pd.DataFrame({"seller_id": ["1"], "as_of": [end]}), catalogue)
    row = features.iloc[0]
    assert row["settled_net_sales_90d"] == pytest.approx(90 * 2 * 8 * 0.15)
    assert (row["return_rate_90d"], row["daily_sales_variation_90d"]) == (0, 0)
    assert row[[*of_buyers]].isna().all()
    # the profile shows buyers as unknown
    assert not store.names_buyers
    complete = features.reindex(columns=[feature.name for feature in CATALOGUE])
    ((_, profile),) = compute_profiles(store, complete).profiles
    sums = dict(zip(SUMS, profile.sums, strict=True))
    assert sums["buyers"] is None
    assert sums["orders"] is not None


def test_visits_are_missing_if_the_window_begins_before_their_first_row(tmp_path: Path) -> None:
    source = koubei(tmp_path / "k")
    views = [{"shop_id": 1, "day": FIRST + timedelta(days=100 + ago), "views": 10} for ago in range(100)]
    write_rows(source / "views.csv", views)
    _, store = import_and_ingest("koubei", source, tmp_path, usd_per_unit=0.15)
    assert store.begins == {"traffic": FIRST + timedelta(days=100)}
    pairs = pd.DataFrame({"seller_id": "1", "as_of": [FIRST + timedelta(days=number) for number in (150, 189, 190)]})
    visits = frame(store, pairs, features_named("visits_90d"))["visits_90d"].tolist()
    assert pd.isna(visits[:2]).all()
    assert visits[2] == 900


def test_a_day_of_a_shop_counts_once_and_numbers_are_not_rounded(tmp_path: Path) -> None:
    source = koubei(tmp_path / "k")
    shops = [{"shop_id": 1, "per_pay": price, "cate_1_name": "美食"} for price in (8, 8, 9)]
    write_rows(source / "shops.csv", [*shops, {"shop_id": 2, "per_pay": 20, "cate_1_name": None}])
    days = {ago: {"shop_id": 1, "day": FIRST + timedelta(days=ago)} for ago in range(3)}
    endless = {"shop_id": 1, "day": "infinity"}
    numbers = [(0, "2"), (0, "2.0"), (0, "5"), (1, "2.6"), (1, "1e30"), (1, "nan"), (1, "3"), (2, "many"), ("inf", "3")]
    for name in ("payments", "views"):
        write_rows(source / f"{name}.csv", [{**days.get(place, endless), name: number} for place, number in numbers])
    with (source / "payments.csv").open("a") as stream:
        stream.write(f"1,{FIRST + timedelta(days=9)},99999999999\n")
    report, store = import_and_ingest("koubei", source, tmp_path, usd_per_unit=0.15)
    listed, payments, views = report.sources
    assert listed.not_mapped == {"no_payments": 1, "repeated": 1, "repeated_differs": 1}
    assert listed.details == {"repeated_differs": "per_pay '9', not '8'; the first usable row is kept"}
    assert (payments.mapped, views.mapped) == ({"day_of_orders": 2}, {"day_of_traffic": 2})
    for counts in (payments, views):
        wrong = f"{counts.source}_not_a_whole_number"
        huge = {"more_than_a_million_payments": 1} if counts is payments else {}
        unread = {"day_unreadable": 1, "repeated": 1, "repeated_differs": 1}
        assert counts.not_mapped == {wrong: 4, **unread, **huge}
        assert counts.details[wrong] == f"{counts.source} '1e30'"
        assert counts.details["repeated_differs"] == f"{counts.source} '5', not '2'; the first usable row is kept"
    assert len(accepted(store, "orders")) == 5
    assert [row["visits"] for row in accepted(store, "traffic")] == [2, 3]
