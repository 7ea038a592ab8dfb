"""Two shops whose every number is plain, and a third that made purchases known."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from tests.oracles.market import Market
from tests.oracles.seller_view import midnight

USD = 1_000_000
T = date(2024, 3, 1)
HOUR = timedelta(hours=1)
LONG_AGO = datetime(2022, 10, 1)  # noqa: DTZ001 - as in the store, UTC without saying so
HOME = {"country": "CN", "base_currency": "CNY", "category": "toys"}
OPENED = {"marketplace": "us-bazaar", "opened_at": LONG_AGO}
SPENT = {"channel": "ads", "ad_spend": 1.0, "amount_micros": USD, "currency": "USD"}
VISITS = SPENT | {"visits": 10, "visitors": 8, "add_to_carts": 2}


def days_ago(days: int) -> date:
    return T - timedelta(days=days)


def orders_of(seller: str, store: str, every: int) -> list[dict[str, Any]]:
    """One order of $50 every few days for 400 days, each by another buyer, the latest the day before T."""
    return [
        {
            "order_id": f"O-{seller}-{ago}",
            "store_id": store,
            "buyer_id": f"B-{seller}-{ago}",
            "ordered_at": midnight(days_ago(ago)) + 12 * HOUR,
            "known_at": midnight(days_ago(ago)) + 13 * HOUR,
            "amount_micros": 50 * USD,
            "amount": 50.0,
            "currency": "USD",
            "channel": "social",
            "buyer_country": "US",
            "items": 2,
        }
        for ago in range(1, 401, every)
    ]


def marketplace() -> Market:
    """S sells $50 every second day, L every day, and all that is measured of them is the same every day.

    P has bought stock long ago, which makes purchases known of all, and once more after T.
    """
    names = ("sellers", "stores", "orders", "refunds", "traffic", "fulfilments", "ratings", "purchases")
    names += ("loans", "instalments", "payments")
    rows: Market = {name: [] for name in names}
    for seller, store, every in (("S", "A", 2), ("L", "Z", 1), ("P", "Y", 100)):
        placed = orders_of(seller, store, every)
        rows["sellers"].append({"seller_id": seller, "onboarded_at": LONG_AGO, "known_at": LONG_AGO} | HOME)
        rows["stores"].append({"store_id": store, "seller_id": seller, "known_at": LONG_AGO} | OPENED)
        rows["orders"] += placed
        rows["refunds"] += [refund_of(order) for order in placed[::8]]
        rows["fulfilments"] += [event for order in placed for event in parcel_of(order)]
        for ago in range(1, 401):
            day = {"store_id": store, "day": days_ago(ago), "known_at": midnight(days_ago(ago - 1))}
            rows["traffic"].append(day | VISITS)
            rows["ratings"].append(day | {"ratings": 1, "stars": 4.0})
    rows["purchases"] = [purchase("long ago", LONG_AGO), purchase("late", midnight(T) + 72 * HOUR)]
    return rows


def refund_of(order: dict[str, Any]) -> dict[str, Any]:
    """All of it, ten days later."""
    at = order["ordered_at"] + 240 * HOUR
    name = {"refund_id": f"R-{order['order_id']}", "reason": "return", "refunded_at": at, "known_at": at}
    return name | {each: order[each] for each in ("order_id", "store_id", "amount", "amount_micros", "currency")}


def parcel_of(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Shipped after two days, delivered ten days later."""
    shipped = order["known_at"] + 48 * HOUR
    parcel = {"order_id": order["order_id"], "store_id": order["store_id"]}
    events = {"shipped": shipped, "delivered": shipped + 240 * HOUR}
    return [parcel | {"event": event, "at": at, "known_at": at} for event, at in events.items()]


def purchase(name: str, at: datetime) -> dict[str, Any]:
    """P's."""
    bought = {"purchase_id": name, "store_id": "Y", "supplier_id": "U", "amount_micros": USD}
    return bought | {"purchased_at": at, "known_at": at}


PAIRS = pd.DataFrame({"seller_id": ["S", "L"], "as_of": pd.to_datetime([T, days_ago(20)])})
