"""The oracle itself, against numbers worked out by hand: what holds the pipeline to account must be right."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import pytest

from tests.oracles.features.buyers import is_festival
from tests.oracles.features.numbers import lower_median, middle, rise, root, variation
from tests.oracles.features.quality import hundredths
from tests.oracles.features_oracle import oracle
from tests.oracles.seller_view import midnight
from tests.oracles.trade import T, Trade


@pytest.fixture
def trade() -> Trade:
    return Trade()


def test_windows_of_settled_days_are_laid_side_by_side(trade: Trade) -> None:
    for ago, dollars in ((30, 9), (31, 2), (60, 3), (61, 4), (90, 5), (91, 50), (425, 20), (455, 100), (486, 1)):
        trade.order(ago, dollars)
    found = trade.now()
    assert (found["settled_net_sales_30d"], found["settled_net_sales_90d"]) == (5.0, 64.0)
    assert found["sales_trend_30d"] == 5 / 9
    assert found["sales_year_on_year"] == 64 / 120
    assert (found["recent_sales_hold"], found["sales_spike_30d"]) == (27 / 64, 0.0)
    assert found["recent_week_hold"] == 0.0


def test_the_typical_day_is_the_middle_one_of_days_with_something_left(trade: Trade) -> None:
    for ago, dollars in ((40, 10), (41, 30), (42, 50), (42, 50), (43, 7), (29, 999)):
        trade.order(ago, dollars)
    trade.refund(trade.rows["orders"][4], midnight(T) - timedelta(days=2), 7)
    assert trade.now()["typical_day_sales_180d"] == 30.0


def test_months_show_the_best_and_the_worst(trade: Trade) -> None:
    trade.order(395, 1)
    for month in range(12):
        trade.order(31 + 30 * month, 10 if month else 4)
    found = trade.now()
    assert found["drawdown_from_best_month"] == 0.6
    assert found["worst_month_share"] == 48 / 114


def test_returns_after_busy_days_weigh_more(trade: Trade) -> None:
    busy, calm = trade.order(40, 300), trade.order(41, 100)
    trade.refund(busy, midnight(T) - timedelta(days=37), 30)
    trade.refund(calm, midnight(T) - timedelta(days=20), 2, "refund")
    trade.refund(calm, midnight(T) - timedelta(days=20), 50, "dispute")
    found = trade.now()
    assert found["returns_after_spikes_180d"] == pytest.approx(9200 / 100_000 - 32 / 400, rel=1e-15)
    assert (found["return_lag_180d"], found["median_return_lag_180d"]) == (12.0, 3.0)
    assert found["refund_size_180d"] == pytest.approx((82 / 3) / 200, rel=1e-15)
    assert (found["refund_count_rate_180d"], found["dispute_rate_180d"]) == (1.5, 0.5)


def test_late_is_strictly_later_and_hours_are_whole(trade: Trade) -> None:
    hours = timedelta(hours=1)
    for ago, after in (
        (15, 72 * hours),
        (104, 72 * hours + timedelta(seconds=1)),
        (20, -3 * hours),
        (105, 500 * hours),
    ):
        trade.event(trade.order(ago, 1), "shipped", after)
    found = trade.now()
    assert found["late_shipping_share_90d"] == 1 / 3
    assert found["handling_days_90d"] == 2.0
    assert found["median_handling_hours_90d"] == 72.0
    assert found["handling_days_change"] == pytest.approx(2.0 - (72 + 72 + 0 + 500) / 4 / 24, rel=1e-15)


def test_parcels_are_counted_by_what_became_of_them(trade: Trade) -> None:
    parcels = [trade.order(50 + number, 1) for number in range(5)]
    for number, parcel in enumerate(parcels):
        trade.event(parcel, "shipped", timedelta(hours=5))
        if number < 2:
            trade.event(parcel, "delivered", timedelta(hours=504, seconds=number))
    trade.event(parcels[2], "lost", timedelta(days=30))
    found = trade.now()
    assert found["undelivered_share_180d"] == 0.6
    assert (found["lost_share_180d"], found["unmoved_parcel_share_180d"]) == (0.2, 0.4)
    assert (found["late_delivery_share_180d"], found["delivery_days_180d"]) == (0.5, 21.0)


def test_an_own_account_buys_no_sale_and_gets_no_parcel(trade: Trade) -> None:
    trade.order(50, 40)
    own = trade.order(50, 10, buyer_id="A2")
    trade.event(own, "shipped", timedelta(hours=5))
    trade.refund(own, midnight(T) - timedelta(days=45), 10)
    found = trade.now()
    assert found["own_store_share_180d"] == 0.25
    assert found["settled_net_sales_30d"] == 40.0
    assert found["lost_share_180d"] is None


def test_buyers_are_told_apart_over_all_stores(trade: Trade) -> None:
    for ago, dollars, buyer in ((1, 30, "X"), (91, 30, "X"), (2, 20, "Y"), (120, 20, "Z")):
        trade.order(ago, dollars, buyer_id=buyer, store_id="A2" if ago > 90 else "A")
    found = trade.now()
    assert (found["top_buyer_share_180d"], found["repeat_sales_share_180d"]) == (0.6, 0.6)
    assert found["buyer_concentration_180d"] == pytest.approx(0.36 + 0.04 + 0.04, rel=1e-15)
    assert (found["orders_per_buyer_180d"], found["repeat_buyer_share_180d"]) == (4 / 3, 1 / 3)
    assert (found["new_buyer_share_90d"], found["buyer_trend_90d"]) == (0.5, 1.0)


def test_a_rush_is_three_orders_of_one_buyer_in_one_hour_of_the_clock(trade: Trade) -> None:
    hour = midnight(T) - timedelta(days=9, hours=-10)
    for past, store in ((0, "A"), (1800, "A2"), (3599, "A"), (3600, "A")):
        trade.order(9, 1, at=hour + timedelta(seconds=past), store_id=store)
    trade.order(9, 1, at=hour, buyer_id="other")
    assert trade.now()["rush_order_share_180d"] == 0.6


def test_home_is_where_the_latest_known_version_says(trade: Trade) -> None:
    trade.order(10, 30, buyer_country="CN", currency="CNY")
    trade.order(100, 10, buyer_country="DE", currency="EUR")
    found = trade.now()
    assert (found["home_share_180d"], found["home_share_change"], found["foreign_currency_share_180d"]) == (
        (0.75, 0.25, 0.25)
    )
    assert (found["country_count_180d"], found["currency_count_180d"]) == (2.0, 2.0)
    moved = {"country": "DE", "base_currency": "EUR", "known_at": midnight(T)}
    trade.rows["sellers"].append(trade.rows["sellers"][0] | moved)
    assert (trade.now()["home_share_180d"], trade.now()["foreign_currency_share_180d"]) == (0.25, 0.75)


def test_the_latest_weeks_against_those_before(trade: Trade) -> None:
    for ago, dollars in ((1, 10), (7, 4), (8, 6), (14, 8), (15, 20), (35, 30), (36, 50), (84, 100)):
        trade.order(ago, dollars)
    trade.refund(None, midnight(T) - timedelta(days=2), 4)  # it counts on its own day
    found = trade.now()
    assert found["fortnight_hold_28d"] == pytest.approx((24 / 14) / (100 / 28), rel=1e-15)
    assert found["month_hold_56d"] == pytest.approx((44 / 28) / (180 / 56), rel=1e-15)


def test_a_rise_of_the_latest_weeks_earns_nothing(trade: Trade) -> None:
    for ago, dollars in ((1, 100), (20, 1), (50, 1)):
        trade.order(ago, dollars)
    found = trade.now()
    assert (found["fortnight_hold_28d"], found["month_hold_56d"]) == (1.0, 1.0)


def test_the_weakest_fortnight_and_month_since_the_first_order(trade: Trade) -> None:
    for fortnight, dollars in enumerate((10, 50, 5, 60, 70)):
        trade.order(14 * fortnight + 14, dollars)
    found = trade.now()
    assert found["weakest_fortnight_56d"] == pytest.approx(5 / (125 / 4), rel=1e-15)
    assert found["weakest_fortnight_182d"] == pytest.approx(5 / (195 / 5), rel=1e-15)  # 70 days since the first order
    assert found["weakest_month_196d"] == pytest.approx(60 / (195 * 28 / 70), rel=1e-15)  # two whole months


def test_the_weakest_fortnight_is_unknown_for_two_months(trade: Trade) -> None:
    for ago in (1, 8, 55):
        trade.order(ago, 10)
    assert trade.now()["weakest_fortnight_56d"] is None


def test_days_of_the_year_and_of_the_week(trade: Trade) -> None:
    trade.order(0, 10, at=midnight(date(2023, 11, 27)))  # the Monday after Black Friday
    trade.order(0, 20, at=midnight(date(2023, 11, 28)))
    trade.order(0, 70, at=midnight(date(2024, 2, 24)))  # a Saturday
    found = trade.now()
    assert (found["festival_share_365d"], found["weekend_share_180d"]) == (0.1, 0.7)
    # 90 days before 2 December 2023 hold 3 days of November 9 to 11, and Black Friday to Monday; later, ten of December
    assert found["plain_sales_trend_90d"] == pytest.approx((70 / 80) / (20 / 83), rel=1e-15)
    assert found["top_days_share_365d"] is None  # the first order is less than 365 days ago


def test_cash_is_weighed_against_settled_sales(trade: Trade) -> None:
    trade.order(100, 400)
    trade.purchase(10, 60)
    trade.purchase(170, 20, "V")
    trade.visits(5, 50, "ads", dollars=40)
    found = trade.now()
    assert (found["purchases_over_sales_180d"], found["operating_margin_180d"]) == (0.2, 0.7)
    assert found["payment_gap_180d"] == (60 * 10 + 20 * 170) / 80 - 100
    assert (found["supplier_concentration_365d"], found["top_supplier_share_365d"]) == (0.625, 0.75)
    assert (found["days_since_last_purchase"], found["purchase_trend_90d"]) == (10.0, 3.0)


def test_visits_and_what_they_cost(trade: Trade) -> None:
    for ago in (3, 4, 100):
        trade.order(ago, 50)
    trade.visits(3, 6, dollars=1)
    trade.visits(4, 2, "ads", dollars=3)
    trade.visits(100, 4)
    found = trade.now()
    assert (found["conversion_90d"], found["conversion_trend_90d"], found["paid_visit_share_90d"]) == (0.25, 1.0, 0.25)
    assert (found["ad_cost_per_order_90d"], found["cost_per_paid_visit_90d"]) == (2.0, 2.0)
    assert found["orders_beyond_visits_30d"] == pytest.approx(0.05, rel=1e-15)
    assert (found["visits_per_visitor_90d"], found["orders_per_cart_90d"], found["search_visit_share_90d"]) == (
        (4.0, 1.0, 0.75)
    )


def test_stars_weigh_by_ratings(trade: Trade) -> None:
    for ago, ratings, stars in ((10, 1, 5.0), (40, 3, 4.335), (300, 4, 1.0)):
        day = T - timedelta(days=ago)
        row = {"store_id": "A", "day": day, "ratings": ratings, "stars": stars, "known_at": midnight(day)}
        trade.rows["ratings"].append(row)
    found = trade.now()
    assert found["rating_90d"] == (5.0 + 3 * 4.34) / 4
    assert found["rating_change_recent"] == pytest.approx(5.0 - (5.0 + 3 * 4.34) / 4, rel=1e-15)


def test_payments_settle_the_oldest_instalment_first(trade: Trade) -> None:
    trade.loan(150, 400, 120, 90, 60, 30)
    for ago, dollars in ((120, 100), (86, 99), (85, 1), (56, 150)):
        trade.payment(ago, dollars)
    trade.order(40, 600)
    found = trade.now()
    # the second was five days late, the third four, and the fourth is half paid, 30 days after it fell due
    assert found["late_instalment_share_365d"] == 0.75
    assert found["average_days_past_due_365d"] == (0 + 5 + 4 + 30) / 4
    assert found["average_days_past_due_90d"] == (5 + 4 + 30) / 3
    assert (found["worst_days_past_due_365d"], found["loans_repaid"]) == (30.0, 0.0)
    assert found["owed_over_monthly_sales"] == 50 / 200
    trade.payment(2, 50)
    assert (trade.now()["loans_repaid"], trade.now()["owed_over_monthly_sales"]) == (1.0, 0.0)
    assert trade.now()["worst_days_past_due_365d"] == 28.0


def test_a_thousandth_is_not_owed_and_old_delays_are_forgotten_a_year_after_they_end(trade: Trade) -> None:
    trade.loan(450, 1000, 420)
    trade.payment(366, 998)
    assert trade.now()["worst_days_past_due_365d"] == 420.0
    trade.payment(365, 1)
    assert (trade.now()["worst_days_past_due_365d"], trade.now()["average_days_past_due_365d"]) == (55.0, 0.0)
    trade.payment(367, 1)
    assert (trade.now()["worst_days_past_due_365d"], trade.now()["loans_repaid"]) == (0.0, 1.0)


def test_who_never_borrowed_was_never_late(trade: Trade) -> None:
    trade.order(40, 600)
    names = ("loans_repaid", "worst_days_past_due_365d", "late_instalment_share_365d", "owed_over_monthly_sales")
    assert [trade.now()[name] for name in names] == [0.0, 0.0, 0.0, 0.0]
    trade.loan(0, 500, -30)
    assert trade.now()["owed_over_monthly_sales"] == 0.0, "the loan about to be paid out must not see itself"


def test_who_the_seller_is(trade: Trade) -> None:
    found = trade.now()
    assert (found["store_count"], found["marketplace_count"], found["oldest_store_days"]) == (2.0, 2.0, 509.0)
    assert found["days_on_platform"] == 500.0
    assert oracle(trade.rows, "nobody", T)["store_count"] == 0.0


def test_the_tools() -> None:
    assert lower_median([4, 1, 3, 2]) == 2
    assert lower_median([5, 5, 1]) == 5
    assert middle([Fraction(1), Fraction(4)]) == Fraction(5, 2)
    assert rise([Fraction(1), Fraction(2), Fraction(3)]) == Fraction(3, 2)
    assert variation([Fraction(1), Fraction(3)]) == Fraction(1, 2)
    assert float(root(Fraction(2))) == 2**0.5
    assert float(root(Fraction(1, 10**40))) == 1e-20
    assert [hundredths(stars) for stars in (4.335, 4.3349, 1.005, 5.0)] == [434, 433, 101, 500]


def test_festivals_by_the_calendar() -> None:
    named = [date(2024, 11, 29), date(2024, 12, 2), date(2023, 11, 24), date(2024, 6, 16), date(2024, 12, 20)]
    assert all(map(is_festival, named))
    assert not any(map(is_festival, [date(2024, 11, 28), date(2024, 12, 3), date(2024, 12, 21), date(2024, 6, 19)]))
    assert sum(is_festival(date(2024, 1, 1) + timedelta(days=day)) for day in range(366)) == 3 + 3 + 4 + 10
