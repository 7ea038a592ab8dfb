"""Visible rows of all sellers as of one midnight, and sums over windows: a filter and a groupby each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from tests.benchmarks.pandas_baseline.rows import Accepted

SETTLED: Final = 30
YEAR: Final = 365

SUMMED: Final = {
    "orders": ["orders", "items", "gross", "livestream_gross", "festival_gross", "weekend_gross"],
    "refunds": [
        *("refunds", "refunded", "returned", "livestream_returned", "cancelled", "disputed", "disputes"),
        *("quickly_refunded", "dated_returns", "return_days"),
    ],
    "fulfilments": [
        *("shipped", "shipping_hours", "shipped_late", "delivered", "delivery_hours", "delivered_late", "lost"),
    ],
    "traffic": ["visits", "visitors", "carts", "paid_visits", "search_visits", "ad_spend"],
    "ratings": ["ratings", "star_hundredths"],
    "purchases": ["purchased"],
}
"""Columns of each table to sum over a window, all in one groupby."""

_TABLE_OF: Final = {column: table for table, columns in SUMMED.items() for column in columns}
_RELATED_PARTY_ORDERS: Final = "related_party_orders"

Features = dict[str, pd.Series]


def over(value: pd.Series, divisor: pd.Series) -> pd.Series:
    """Divide; the result is missing if the divisor is not positive."""
    return value / divisor.where(divisor > 0)


def if_positive(value: pd.Series, evidence: pd.Series) -> pd.Series:
    """Return the values for which the evidence is positive; all other values are missing."""
    return value.where(evidence > 0)


@dataclass
class SellerView:
    """All sellers as of a midnight; every returned series has one value per seller, in the order of their codes."""

    accepted: Accepted
    as_of: pd.Timestamp
    _sums: dict[tuple[str, int, int], pd.DataFrame] = field(default_factory=dict)

    @cached_property
    def sellers(self) -> pd.DataFrame:
        """The latest visible version of each seller, with the earliest onboarding of any; missing without one."""
        visible = self.accepted.sellers[self.accepted.sellers["visible_from"] <= self.as_of]
        latest = visible.drop_duplicates("seller", keep="last").set_index("seller")
        latest["onboarded_at"] = visible.groupby("seller")["onboarded_at"].min()
        return latest.reindex(range(len(self.accepted.seller_ids)))

    @cached_property
    def stores(self) -> pd.DataFrame:
        """The latest visible version of each store."""
        visible = self.accepted.stores[self.accepted.stores["visible_from"] <= self.as_of]
        return visible.drop_duplicates("store", keep="last")

    @cached_property
    def _owners(self) -> np.ndarray:
        """The seller of each store, -1 without a holder; the last element is for the code -1 (no store)."""
        owners = np.full(self.accepted.stores["store"].max() + 2, -1)
        owners[self.stores["store"]] = self.stores["seller"]
        return owners

    @cached_property
    def rows(self) -> dict[str, pd.DataFrame]:
        """Visible rows of each table, with `seller` and `ago`; related-party orders are a table of their own."""
        visible = {name: self._visible_rows(rows) for name, rows in self.accepted.events.items()}
        for name in ("orders", "refunds", "fulfilments"):
            if name in visible:
                rows = visible[name]
                buyer_owner = self._owners[rows["buyer_as_store"]]
                own = (rows["buyer_as_seller"] == rows["seller"]) | (buyer_owner == rows["seller"])
                visible[name] = rows[~own]
                if name == "orders":
                    visible[_RELATED_PARTY_ORDERS] = rows[own]
        return visible

    def _visible_rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        visible = rows[rows["visible_from"] <= self.as_of]
        visible = visible.assign(seller=self._owners[visible["store"]], ago=(self.as_of - visible["day"]).dt.days)
        return visible[visible["seller"] >= 0]

    def window(self, table: str, columns: list[str], days: int, lag: int = 0) -> pd.DataFrame:
        """Return `seller` and the columns of the rows whose day is in [T - lag - days, T - lag)."""
        rows = self.rows.get(table)
        if rows is None:
            return pd.DataFrame(columns=["seller", *columns], dtype="int64")
        ago = rows["ago"]
        return rows.loc[(ago > lag) & (ago <= lag + days), ["seller", *columns]]

    def is_known(self, *tables: str) -> bool:
        """Return whether these tables and `stores` had a visible row by then."""
        never = pd.Timestamp.max
        return all(self.accepted.known_since.get(name, never) <= self.as_of for name in ("stores", *tables))

    def zero_filled(self, values: pd.Series, *tables: str) -> pd.Series:
        """Return values by seller, zero without a value; all are missing if a table was unknown."""
        filled = values.reindex(self.sellers.index, fill_value=0).astype("float64")
        return filled if self.is_known(*tables) else filled * np.nan

    def total(self, column: str, days: int, lag: int = 0) -> pd.Series:
        """Return the sum of a column over a window; see SUMMED."""
        table = _TABLE_OF[column]
        key = (table, days, lag)
        if key not in self._sums:
            self._sums[key] = self.window(table, SUMMED[table], days, lag).groupby("seller").sum()
        return self.zero_filled(self._sums[key][column], table)

    def net(self, days: int, lag: int = SETTLED) -> pd.Series:
        """Return net sales over a window, by default of settled days."""
        return self.total("gross", days, lag) - self.total("refunded", days, lag)

    def own_gross(self, days: int) -> pd.Series:
        """Return the gross value of related-party orders."""
        return self.zero_filled(
            self.window(_RELATED_PARTY_ORDERS, ["gross"], days).groupby("seller")["gross"].sum(), "orders"
        )

    def by_day(self, column: str, days: int, lag: int = 0) -> pd.DataFrame:
        """Return a column's daily totals: one row per seller, one column per day from the latest to the oldest."""
        table = _TABLE_OF[column]
        daily = self.window(table, ["ago", column], days, lag).groupby(["seller", "ago"])[column].sum()
        filled = daily.unstack(fill_value=0).reindex(
            index=self.sellers.index, columns=range(lag + 1, lag + days + 1), fill_value=0
        )
        return filled if self.is_known(table) else filled * np.nan

    def net_by_day(self, days: int) -> pd.DataFrame:
        """Return net sales of each settled day."""
        return self.by_day("gross", days, SETTLED) - self.by_day("refunded", days, SETTLED)

    def last_sale(self, days: int) -> pd.Series:
        """Return days since the latest day with sales that were not all cancelled; missing without one."""
        remaining = self.by_day("gross", days) - self.by_day("cancelled", days)
        return (remaining > 0).idxmax(axis=1).where((remaining > 0).any(axis=1))

    def latest(self, table: str, days: int) -> pd.Series:
        """Return days since the latest row of a table; missing without one."""
        return self.window(table, ["ago"], days).groupby("seller")["ago"].min().reindex(self.sellers.index)

    def age(self, column: str, days: int) -> pd.Series:
        """Return the average age of rows in days, weighted by a column."""
        rows = self.window(_TABLE_OF[column], ["ago", column], days)
        weighted = (rows["ago"] * rows[column]).groupby(rows["seller"]).sum()
        return over(self.zero_filled(weighted, _TABLE_OF[column]), self.total(column, days))
