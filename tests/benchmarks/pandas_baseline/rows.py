"""Accepted rows as data frames: read once, with ids as codes, joined to their orders, with a column per sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

Files = Mapping[str, Sequence[Path]]

_LOAN_TABLES: Final = ("loans", "instalments", "payments")

RETURNS: Final = ("return", "refund")
DISPUTES: Final = ("dispute", "chargeback")
_HOUR: Final = pd.Timedelta(hours=1)


@dataclass(frozen=True)
class Accepted:
    """Input of every midnight.

    Attributes:
        seller_ids: all sellers; a seller's code is its position here.
        sellers: versions of sellers, oldest first.
        stores: versions of stores, oldest first; `store` and `seller` are codes.
        loans: loans, instalments and payments by table, each with `seller` and `micros`; only delivered tables.
        events: rows by table; each has `store`, `day`, `visible_from` and the columns to sum.
        known_since: by table, the first midnight at which any row was visible.
    """

    seller_ids: pd.Index
    sellers: pd.DataFrame
    stores: pd.DataFrame
    loans: Mapping[str, pd.DataFrame]
    events: Mapping[str, pd.DataFrame]
    known_since: Mapping[str, pd.Timestamp]


def load(files: Files) -> Accepted:
    """Read the accepted files of each table; tables without files stay unknown."""
    sellers = _read(files["sellers"]).sort_values("known_at")
    stores = _read(files["stores"]).sort_values("known_at")
    seller_ids, store_ids = (pd.Index(np.sort(ids.unique())) for ids in (sellers["seller_id"], stores["store_id"]))
    sellers["seller"] = _codes(sellers["seller_id"], seller_ids)
    stores["store"] = _codes(stores["store_id"], store_ids)
    stores["seller"] = _codes(stores["seller_id"], seller_ids)
    raw = {name: _read(paths) for name, paths in files.items() if name in _PREPARED and paths}
    for rows in raw.values():
        rows["store"] = _codes(rows.pop("store_id"), store_ids)
    orders = _orders(raw["orders"], seller_ids, store_ids)
    events = {name: _PREPARED[name](rows, orders) for name, rows in raw.items()}
    loans = {name: _read(paths) for name, paths in files.items() if name in _LOAN_TABLES and paths}
    delivered = {"sellers": sellers, "stores": stores, **raw, **loans}
    since = {name: rows["visible_from"].min() for name, rows in delivered.items() if len(rows)}
    return Accepted(seller_ids, sellers, stores, dict(_loans(loans, seller_ids)), events, since)


def _read(paths: Sequence[Path]) -> pd.DataFrame:
    table: pd.DataFrame = pq.read_table([str(path) for path in paths]).to_pandas(date_as_object=False)
    return table


def _codes(ids: pd.Series, index: pd.Index) -> np.ndarray:
    """Return the position of each id in the index, -1 if it is not there."""
    return index.get_indexer(pd.Index(ids))


def _loans(tables: Mapping[str, pd.DataFrame], seller_ids: pd.Index) -> Iterator[tuple[str, pd.DataFrame]]:
    """Convert loans at the rate of their day, and their instalments and payments at the same rate."""
    if "loans" not in tables:
        return
    loans = tables["loans"].assign(seller=lambda rows: _codes(rows["seller_id"], seller_ids))
    loans["micros"] = loans["amount_micros"].where(loans["principal"] > 0, 0)
    yield "loans", loans
    by_loan = loans.set_index("loan_id")[["seller", "principal", "micros", "visible_from"]].add_prefix("loan_")
    for name in tables.keys() - {"loans"}:
        rows = tables[name].join(by_loan, on="loan_id", how="inner")
        share = (rows["amount"] / rows["loan_principal"]).where(rows["loan_principal"] > 0, 0.0)
        rows["micros"] = np.floor(np.minimum(share * rows["loan_micros"], 1e14) + 0.5).astype("int64")
        rows["visible_from"] = rows[["visible_from", "loan_visible_from"]].max(axis=1)
        rows["seller"] = rows["loan_seller"]
        yield name, rows


def _orders(rows: pd.DataFrame, seller_ids: pd.Index, store_ids: pd.Index) -> pd.DataFrame:
    rows["day"] = rows["ordered_at"].dt.normalize()
    rows["hour"] = rows["ordered_at"].dt.hour
    rows["buyer_as_seller"] = _codes(rows["buyer_id"], seller_ids)
    rows["buyer_as_store"] = _codes(rows["buyer_id"], store_ids)
    rows["buyer"] = pd.factorize(rows.pop("buyer_id"))[0]
    for column in ("channel", "buyer_country", "currency"):
        rows[column] = rows[column].astype("category")
    gross = rows["amount_micros"]
    rows["orders"] = 1
    rows["gross"] = gross
    rows["livestream_gross"] = gross.where(rows["channel"] == "livestream", 0)
    rows["festival_gross"] = gross.where(rows["day"].isin(festival_days(rows["day"])), 0)
    rows["weekend_gross"] = gross.where(rows["day"].dt.day_of_week >= 5, 0)
    return rows.drop(columns=["amount_micros", "amount", "known_at"])


def festival_days(days: pd.Series) -> pd.DatetimeIndex:
    """Return the festival days of all years from one before the first of `days` to one after the last."""
    if days.empty:
        return pd.DatetimeIndex([])
    spans = []
    for year in range(days.min().year - 1, days.max().year + 2):
        thanksgiving = pd.date_range(f"{year}-11-01", f"{year}-11-30", freq="W-THU")[3]
        spans += [
            pd.date_range(f"{year}-06-16", f"{year}-06-18"),
            pd.date_range(f"{year}-11-09", f"{year}-11-11"),
            pd.date_range(thanksgiving + pd.Timedelta(days=1), periods=4),
            pd.date_range(f"{year}-12-11", f"{year}-12-20"),
        ]
    return pd.DatetimeIndex(np.concatenate(spans))


_ORDER_COLUMNS: Final = [
    "order_id",
    "ordered_at",
    "day",
    "channel",
    "buyer_as_seller",
    "buyer_as_store",
    "visible_from",
]


def _with_orders(rows: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    with_order = rows[rows["order_id"].notna()].merge(orders[_ORDER_COLUMNS], on="order_id", suffixes=("", "_of_order"))
    with_order["visible_from"] = with_order[["visible_from", "visible_from_of_order"]].max(axis=1)
    return with_order


def _refunds(rows: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    with_order = _with_orders(rows, orders)
    without_order = rows[rows["order_id"].isna()].assign(buyer_as_seller=-1, buyer_as_store=-1)
    without_order["day"] = without_order["refunded_at"].dt.normalize()
    both = pd.concat([with_order, without_order], ignore_index=True)
    amount, reason = both["amount_micros"], both["reason"]
    returned = reason.isin(RETURNS)
    dated = returned & both["order_id"].notna()
    soon = both["refunded_at"] - both["ordered_at"] < 48 * _HOUR
    after = (both["refunded_at"].dt.normalize() - both["day"]).dt.days
    return both[["store", "day", "visible_from", "buyer_as_seller", "buyer_as_store"]].assign(
        refunds=1,
        refunded=amount,
        returned=amount.where(returned, 0),
        livestream_returned=amount.where(dated & (both["channel"] == "livestream"), 0),
        cancelled=amount.where(reason == "cancel", 0),
        disputed=amount.where(reason.isin(DISPUTES), 0),
        disputes=reason.isin(DISPUTES).astype("int64"),
        quickly_refunded=amount.where(soon & (reason != "cancel"), 0),
        dated_returns=dated.astype("int64"),
        return_days=after.where(dated, 0),
    )


def _fulfilments(rows: pd.DataFrame, orders: pd.DataFrame) -> pd.DataFrame:
    with_order = _with_orders(rows, orders)
    seconds = (with_order["at"].dt.floor("s") - with_order["ordered_at"].dt.floor("s")).dt.total_seconds()
    hours = (seconds // 3600).clip(lower=0).astype("int64")
    after = with_order["at"] - with_order["ordered_at"]
    shipped, delivered = with_order["event"] == "shipped", with_order["event"] == "delivered"
    return with_order[["store", "day", "visible_from", "buyer_as_seller", "buyer_as_store"]].assign(
        hours=hours,
        shipped=shipped.astype("int64"),
        shipping_hours=hours.where(shipped, 0),
        shipped_late=(shipped & (after > 72 * _HOUR)).astype("int64"),
        delivered=delivered.astype("int64"),
        delivery_hours=hours.where(delivered, 0),
        delivered_late=(delivered & (after > 504 * _HOUR)).astype("int64"),
        lost=(with_order["event"] == "lost").astype("int64"),
    )


def _traffic(rows: pd.DataFrame, _: pd.DataFrame) -> pd.DataFrame:
    return rows[["store", "day", "visible_from", "visits", "visitors"]].assign(
        carts=rows["add_to_carts"],
        paid_visits=rows["visits"].where(rows["channel"] == "ads", 0),
        search_visits=rows["visits"].where(rows["channel"] == "search", 0),
        ad_spend=rows["amount_micros"],
    )


def _ratings(rows: pd.DataFrame, _: pd.DataFrame) -> pd.DataFrame:
    # rounded as decimals: 4.395 stars are 4.40, although the double is slightly smaller
    hundredths = np.floor((rows["stars"] * 100).round(6) + 0.5).astype("int64")
    return rows[["store", "day", "visible_from", "ratings"]].assign(star_hundredths=hundredths * rows["ratings"])


def _purchases(rows: pd.DataFrame, _: pd.DataFrame) -> pd.DataFrame:
    return rows[["store", "visible_from"]].assign(
        day=rows["purchased_at"].dt.normalize(),
        purchased=rows["amount_micros"],
        supplier=pd.factorize(rows["supplier_id"])[0],
    )


_PREPARED: Final = {
    "orders": lambda _, orders: orders,
    "refunds": _refunds,
    "fulfilments": _fulfilments,
    "traffic": _traffic,
    "ratings": _ratings,
    "purchases": _purchases,
}
