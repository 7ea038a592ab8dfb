"""Traffic and advertising, cash, tenure and breadth, integrity."""

from __future__ import annotations

import pandas as pd

from tests.benchmarks.pandas_baseline.customers import if_buyers, rush_share
from tests.benchmarks.pandas_baseline.quality import of_settled, unmoved_parcels
from tests.benchmarks.pandas_baseline.sales import over_monthly_sales
from tests.benchmarks.pandas_baseline.seller_view import YEAR, Features, SellerView, if_positive, over


def traffic(s: SellerView) -> Features:
    """Eight features of visits."""
    visits, carts, orders = s.total("visits", 90), s.total("carts", 90), s.total("orders", 90)
    return {
        "visits_90d": if_positive(visits, visits),
        "visit_trend_90d": over(visits, s.total("visits", 90, 90)),
        "visits_per_visitor_90d": over(visits, s.total("visitors", 90)),
        "search_visit_share_90d": over(s.total("search_visits", 90), visits),
        "conversion_90d": _conversion(s, 90),
        "conversion_trend_90d": over(_conversion(s, 90), _conversion(s, 90, 90)),
        "cart_rate_90d": over(carts, visits),
        "orders_per_cart_90d": over(orders, carts),
    }


def _conversion(s: SellerView, days: int, lag: int = 0) -> pd.Series:
    return over(s.total("orders", days, lag), s.total("visits", days, lag))


def advertising(s: SellerView) -> Features:
    """Six features of advertising."""
    paid = {days: over(s.total("paid_visits", days), s.total("visits", days)) for days in (90, YEAR)}
    spent = {days: if_positive(s.total("ad_spend", days), s.total("visits", days)) for days in (90, YEAR)}
    spend = {days: over(spent[days], s.total("gross", days)) for days in (90, YEAR)}
    return {
        "paid_visit_share_90d": paid[90],
        "paid_visit_share_change": paid[90] - paid[YEAR],
        "ad_spend_share_90d": spend[90],
        "ad_spend_share_change": spend[90] - spend[YEAR],
        "ad_cost_per_order_90d": over(spent[90], s.total("orders", 90)) / 1e6,
        "cost_per_paid_visit_90d": over(s.total("ad_spend", 90), s.total("paid_visits", 90)) / 1e6,
    }


def cash(s: SellerView) -> Features:
    """Ten features of purchases and margins."""
    purchased = {days: s.total("purchased", days) for days in (90, 180, YEAR)}
    share = {days: if_positive(over(purchased[days], s.net(days)), purchased[YEAR]) for days in purchased}
    rows = s.window("purchases", ["supplier", "purchased"], YEAR)
    by_supplier = rows.groupby(["seller", "supplier"])["purchased"].sum().groupby(level="seller")
    squares = (rows.groupby(["seller", "supplier"])["purchased"].sum().astype("float64") ** 2).groupby(level="seller")
    stock = {days: if_positive(purchased[days], purchased[YEAR]) for days in (90, 180)}
    advertised = {days: if_positive(s.total("ad_spend", days), s.total("visits", days)) for days in (90, 180)}
    trading = s.total("gross", 90, 14) - s.total("refunded", 90) - stock[90] - advertised[90]
    margin = s.net(180) - stock[180] - advertised[180]
    return {
        "purchases_over_sales_180d": share[180],
        "stock_replacement_180d": share[180].clip(upper=0.6),
        "purchases_over_sales_change": share[90] - share[YEAR],
        "purchase_trend_90d": over(purchased[90], s.total("purchased", 90, 90)),
        "days_since_last_purchase": s.latest("purchases", YEAR),
        "payment_gap_180d": s.age("purchased", 180) - s.age("gross", 180),
        "supplier_concentration_365d": over(
            over(s.zero_filled(squares.sum(), "purchases"), purchased[YEAR]), purchased[YEAR]
        ),
        "top_supplier_share_365d": over(s.zero_filled(by_supplier.max(), "purchases"), purchased[YEAR]),
        "operating_margin_180d": over(margin, s.net(180)),
        "cash_from_trading_90d": over(trading, s.total("gross", YEAR)),
    }


def tenure(s: SellerView) -> Features:
    """Five features of age and number of stores."""
    stores, sellers = s.stores.groupby("seller"), s.sellers.index
    opened = stores["opened_at"].min().reindex(sellers)
    first = s.rows["orders"].groupby("seller")["ago"].max().reindex(sellers)
    return {
        "days_on_platform": (s.as_of - s.sellers["onboarded_at"].dt.normalize()).dt.days,
        "days_since_first_order": first,
        "oldest_store_days": (s.as_of - opened.dt.normalize()).dt.days,
        "store_count": s.zero_filled(stores.size()),
        "marketplace_count": s.zero_filled(stores["marketplace"].nunique()),
    }


def integrity(s: SellerView) -> Features:
    """Seven features of signs of fake orders."""
    return {
        "quick_refund_share_180d": of_settled(s, "quickly_refunded", 180),
        "own_store_share_180d": over(s.own_gross(180), s.total("gross", 180)) * if_buyers(s),
        "orders_beyond_visits_30d": (_conversion(s, 30) - 0.2).clip(lower=0),
        "orders_beyond_visits_180d": (_conversion(s, 180) - 0.2).clip(lower=0),
        "rush_order_share_180d": rush_share(s),
        "unmoved_parcel_share_180d": unmoved_parcels(s),
        "sales_spike_30d": (over_monthly_sales(s) - 2).clip(lower=0),
    }
