"""Level, trend and steadiness of sales; season and spikes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.benchmarks.pandas_baseline.rows import festival_days
from tests.benchmarks.pandas_baseline.seller_view import SETTLED, YEAR, Features, SellerView, over


def level(s: SellerView) -> Features:
    """Eight features of the level of sales."""
    net = s.net_by_day(180)
    average = {days: over(s.total("gross", days), s.total("orders", days)) for days in (90, 180, YEAR)}
    return {
        "settled_net_sales_30d": s.net(30) / 1e6,
        "settled_net_sales_90d": s.net(90) / 1e6,
        "settled_net_sales_365d": s.net(YEAR) / 1e6,
        "orders_90d": s.total("orders", 90),
        "average_order_180d": average[180] / 1e6,
        "average_order_change": over(average[90], average[YEAR]),
        "items_per_order_180d": over(s.total("items", 180), s.total("orders", 180)),
        "typical_day_sales_180d": net.where(net > 0).median(axis=1) / 1e6,
    }


def _first_order(s: SellerView) -> pd.Series:
    """Return the days since the first order."""
    return s.rows["orders"].groupby("seller")["ago"].max().reindex(s.sellers.index)


def over_monthly_sales(s: SellerView) -> pd.Series:
    """Return the gross sales of the last 30 days over the monthly settled net sales before."""
    return over(s.total("gross", 30) * 3, s.net(90))


def trend(s: SellerView) -> Features:
    """Ten features of the trend of sales."""
    months = pd.concat([s.net(30, SETTLED + 30 * back) for back in range(12)], axis=1)
    best, worst = (months.agg(how, axis=1, skipna=False) for how in ("max", "min"))
    first = _first_order(s)
    return {
        "sales_trend_30d": over(s.net(30), s.net(30, SETTLED + 30)),
        "sales_trend_90d": over(s.net(90), s.net(90, SETTLED + 90)).where(first >= 210),
        "sales_trend_180d": over(s.net(180), s.net(180, SETTLED + 180)).where(first >= 390),
        "sales_year_on_year": over(s.net(90), s.net(90, SETTLED + YEAR)).where(first >= 485),
        "sales_growth_180d": _relative_slope(s.net_by_day(180)).where(first >= 210),
        "order_trend_90d": over(s.total("orders", 90), s.total("orders", 90, 90)),
        "recent_sales_hold": over_monthly_sales(s).clip(upper=1),
        "recent_week_hold": over(s.total("gross", 7) * 90 / 7, s.net(90)).clip(upper=1),
        "drawdown_from_best_month": 1 - over(s.net(30), best),
        "worst_month_share": over(worst * 12, s.net(360)).where(first >= 390),
    }


def recent(s: SellerView) -> Features:
    """Five features of the latest weeks, and of the weakest since the first order."""
    return {
        "fortnight_hold_28d": _hold(s, 14, 28),
        "month_hold_56d": _hold(s, 28, 56),
        "weakest_fortnight_56d": _weakest(s, 14, 4),
        "weakest_fortnight_182d": _weakest(s, 14, 13),
        "weakest_month_196d": _weakest(s, 28, 7),
    }


def _hold(s: SellerView, days: int, before: int) -> pd.Series:
    return over(s.net(days, 0) * (before / days), s.net(before, days)).clip(upper=1)


def _weakest(s: SellerView, length: int, count: int) -> pd.Series:
    first = _first_order(s)
    parts = [s.net(length, length * back).where(first >= length * (back + 1)) for back in range(count)]
    weakest = pd.concat(parts, axis=1).min(axis=1)
    sold_parts = first.clip(upper=length * count) / length
    return over(weakest * sold_parts, s.net(length * count, 0)).where(first >= 56)


def _relative_slope(daily: pd.DataFrame) -> pd.Series:
    """Return the slope of each row's least-squares line, times its length, over its mean; the latest day is first."""
    days = daily.shape[1]
    centred = np.arange(days, 0, -1) - (days + 1) / 2
    slope = (daily * centred).sum(axis=1, skipna=False) / (centred**2).sum()
    return over(slope * days, daily.mean(axis=1))


def steadiness(s: SellerView) -> Features:
    """Seven features of the regularity of sales."""
    net, first = {days: s.net_by_day(days) for days in (90, YEAR)}, _first_order(s)
    return {
        "daily_sales_variation_90d": over(net[90].std(axis=1, ddof=0), net[90].mean(axis=1)).where(first >= 120),
        "daily_sales_variation_365d": over(net[YEAR].std(axis=1, ddof=0), net[YEAR].mean(axis=1)).where(first >= 395),
        "active_day_share_30d": _active_days(s, 30) / 30,
        "active_day_share_90d": _active_days(s, 90) / 90,
        "active_days_365d": _active_days(s, YEAR),
        "top_day_share_180d": over(s.by_day("gross", 180).max(axis=1), s.total("gross", 180)).where(first >= 180),
        "days_since_last_sale": s.last_sale(YEAR),
    }


def _active_days(s: SellerView, days: int) -> pd.Series:
    return s.zero_filled(s.window("orders", ["ago"], days).groupby("seller")["ago"].nunique(), "orders")


def season(s: SellerView) -> Features:
    """Seven features of livestreams, festivals and weekends."""
    livestream = {days: over(s.total("livestream_gross", days), s.total("gross", days)) for days in (90, 180, YEAR)}
    best_days = np.sort(s.by_day("gross", YEAR).to_numpy(), axis=1)[:, -4:].sum(axis=1)
    return {
        "livestream_share_180d": livestream[180],
        "livestream_share_change": livestream[90] - livestream[YEAR],
        "livestream_return_rate_180d": over(
            s.total("livestream_returned", 180, SETTLED), s.total("livestream_gross", 180, SETTLED)
        ),
        "top_days_share_365d": over(pd.Series(best_days, s.sellers.index), s.total("gross", YEAR)).where(
            _first_order(s) >= 365
        ),
        "festival_share_365d": over(s.total("festival_gross", YEAR), s.total("gross", YEAR)),
        "plain_sales_trend_90d": over(_plain_daily(s, 90), _plain_daily(s, 90, 90)),
        "weekend_share_180d": over(s.total("weekend_gross", 180), s.total("gross", 180)),
    }


def _plain_daily(s: SellerView, days: int, lag: int = 0) -> pd.Series:
    """Return the gross sales per day of a window that is not a festival day."""
    end = s.as_of - pd.Timedelta(days=lag)
    window = pd.Series(pd.date_range(end - pd.Timedelta(days=days), periods=days))
    plain_days = (~window.isin(festival_days(window))).sum()
    return (s.total("gross", days, lag) - s.total("festival_gross", days, lag)) / plain_days
