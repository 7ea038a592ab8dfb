"""Buyers, and sales across borders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.benchmarks.pandas_baseline.seller_view import Features, SellerView, over

if TYPE_CHECKING:
    import pandas as pd
    from pandas.api.typing import DataFrameGroupBy

_GUEST = -1
"""The code of an order that names no buyer."""


def customers(s: SellerView) -> Features:
    """Seven features of buyers."""
    gross, spent = s.total("gross", 180), _by(s, "buyer", 180)
    named = spent[spent.index.get_level_values("buyer") != _GUEST]
    repeat = named[named["orders"] >= 2]
    distinct, orders = _zero_filled(s, _per_seller(named).size()), _zero_filled(s, _per_seller(named)["orders"].sum())
    buyers_known = if_buyers(s)
    recent, previous = (_named(s.window("orders", ["buyer"], 90, lag)).drop_duplicates() for lag in (0, 90))
    returning = recent.merge(previous, on=["seller", "buyer"])
    recent_count, previous_count, both_count = (
        _zero_filled(s, buyers.groupby("seller").size()) for buyers in (recent, previous, returning)
    )
    return {
        "orders_per_buyer_180d": over(orders, distinct),
        "buyer_concentration_180d": over(over(_squares(s, spent), gross), gross) * buyers_known,
        "top_buyer_share_180d": over(_zero_filled(s, _per_seller(spent)["gross"].max()), gross) * buyers_known,
        "repeat_buyer_share_180d": over(_zero_filled(s, _per_seller(repeat).size()), distinct),
        "repeat_sales_share_180d": over(_zero_filled(s, _per_seller(repeat)["gross"].sum()), gross) * buyers_known,
        "new_buyer_share_90d": 1 - over(both_count, recent_count),
        "buyer_trend_90d": over(recent_count, previous_count),
    }


def _named(orders: pd.DataFrame) -> pd.DataFrame:
    """Return the orders that name their buyer."""
    return orders[orders["buyer"] != _GUEST]


def if_buyers(s: SellerView) -> pd.Series:
    """Return 1 if an order of the last 180 days names its buyer, else missing."""
    distinct = _zero_filled(s, _named(s.window("orders", ["buyer"], 180)).groupby("seller").size())
    return over(distinct, distinct)


def _by(s: SellerView, key: str, days: int) -> pd.DataFrame:
    """Return orders and gross sales by seller and a key of the order."""
    rows = s.window("orders", [key, "gross"], days)
    return rows.groupby(["seller", key], observed=True).agg(orders=("gross", "size"), gross=("gross", "sum"))


def _zero_filled(s: SellerView, values: pd.Series) -> pd.Series:
    return s.zero_filled(values, "orders")


def _per_seller(values: pd.DataFrame) -> DataFrameGroupBy[Any, Any]:
    return values.groupby(level="seller")


def _squares(s: SellerView, grouped: pd.DataFrame) -> pd.Series:
    # as doubles, because the square of micro-USD exceeds 64 bits
    return _zero_filled(s, (grouped["gross"].astype("float64") ** 2).groupby(level="seller").sum())


def rush_share(s: SellerView) -> pd.Series:
    """Return the share of orders from a buyer who placed at least 3 within the same hour."""
    rows = _named(s.window("orders", ["buyer", "ago", "hour"], 180))
    placed = rows.groupby(["seller", "buyer", "ago", "hour"]).size()
    rushed = placed[placed >= 3].groupby(level="seller").sum()
    return over(_zero_filled(s, rushed), _zero_filled(s, rows.groupby("seller").size()))


def borders(s: SellerView) -> Features:
    """Seven features of countries and currencies."""
    gross = s.total("gross", 180)
    countries, recent_countries, currencies = (
        _by(s, key, days) for key, days in (("buyer_country", 180), ("buyer_country", 90), ("currency", 180))
    )
    home_share = over(_of_own(s, countries, "country"), gross)
    return {
        "country_concentration_180d": over(over(_squares(s, countries), gross), gross),
        "top_country_share_180d": over(_zero_filled(s, _per_seller(countries)["gross"].max()), gross),
        "country_count_180d": _zero_filled(s, _per_seller(countries).size()),
        "home_share_180d": home_share,
        "home_share_change": over(_of_own(s, recent_countries, "country"), s.total("gross", 90)) - home_share,
        "currency_count_180d": _zero_filled(s, _per_seller(currencies).size()),
        "foreign_currency_share_180d": 1 - over(_of_own(s, currencies, "base_currency"), gross),
    }


def _of_own(s: SellerView, grouped: pd.DataFrame, own: str) -> pd.Series:
    """Return the gross sales of the groups whose key is the seller's own country or currency as of T."""
    sellers, keys = (grouped.index.get_level_values(level) for level in (0, 1))
    is_own = s.sellers[own].reindex(sellers).to_numpy() == keys.astype(object).to_numpy()
    return s.zero_filled(_per_seller(grouped[is_own])["gross"].sum(), "orders", "sellers")
