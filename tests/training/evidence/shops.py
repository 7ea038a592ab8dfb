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
SOLD = {"amount_micros": 50 * USD, "amount": 50.0, "currency": "USD"}
ORDERED = SOLD | {"channel": "social", "buyer_country": "US", "items": 2}
SPENT = {"channel": "ads", "ad_spend": 1.0, "amount_micros": USD, "currency": "USD"}
VISITS = SPENT | {"visits": 10, "visitors": 8, "add_to_carts": 2}


def days_ago(days: int) -> date:
    return T - timedelta(days=days)


def marketplace() -> Market:
    """S sells $50 every second day, L every day, and all that is measured of them is the same every day.

    Each order is by another buyer at noon, shipped after two days, delivered ten days later; every eighth is refunded
    after ten days. Both buy stock every ten days and paid back a loan. P makes purchases known of all.
    """
    names = ("sellers", "stores", "orders", "refunds", "traffic", "fulfilments", "ratings", "purchases")
    rows: Market = {name: [] for name in (*names, "loans", "instalments", "payments")}
    for seller, store, every in (("S", "A", 2), ("L", "Z", 1), ("P", "Y", 100)):
        rows["sellers"].append({"seller_id": seller, "onboarded_at": LONG_AGO, "known_at": LONG_AGO} | HOME)
        rows["stores"].append({"store_id": store, "seller_id": seller, "known_at": LONG_AGO} | OPENED)
        for ago in range(1, 401):
            day = {"store_id": store, "day": days_ago(ago), "known_at": midnight(days_ago(ago - 1))}
            rows["traffic"].append(day | VISITS)
            rows["ratings"].append(day | {"ratings": 1, "stars": 4.0})
        for number, ago in enumerate(range(1, 401, every)):
            at, order = midnight(days_ago(ago)) + 12 * HOUR, {"order_id": f"O-{seller}-{ago}", "store_id": store}
            buyer = {"buyer_id": f"B-{seller}-{ago}", "ordered_at": at, "known_at": at + HOUR}
            rows["orders"].append(order | buyer | ORDERED)
            for event, hours in (("shipped", 49), ("delivered", 289)):
                rows["fulfilments"].append(order | {"event": event} | _known("at", at + hours * HOUR))
            if number % 8 == 0:
                refund = {"refund_id": f"R-O-{seller}-{ago}", "reason": "return"}
                rows["refunds"].append(order | refund | SOLD | _known("refunded_at", at + 240 * HOUR))
    for seller, store in (("S", "A"), ("L", "Z")):
        add_loan(rows, seller)
        for ago in range(1, 401, 10):
            rows["purchases"].append(purchase(f"{store}-{ago}", store, midnight(days_ago(ago)) + 9 * HOUR, 200))
    rows["purchases"] += [purchase("long ago", "Y", LONG_AGO), purchase("late", "Y", midnight(T) + 72 * HOUR)]
    return rows


def add_loan(rows: Market, seller: str) -> None:
    """Two instalments of $150, each paid ten days late."""
    lent, at = {"loan_id": f"of-{seller}"}, midnight(days_ago(200))
    known = lent | _known("disbursed_at", at)
    money = {"currency": "USD", "principal": 300.0, "amount_micros": 300 * USD}
    rows["loans"].append(known | money | {"seller_id": seller, "term_days": 60})
    for ago in (170, 140):
        rows["instalments"].append(lent | {"due_on": days_ago(ago), "amount": 150.0, "known_at": at})
        paid = {"payment_id": f"{seller}-{ago}", "amount": 150.0}
        rows["payments"].append(lent | paid | _known("paid_at", midnight(days_ago(ago - 10)) + 9 * HOUR))


def purchase(name: str, store: str, at: datetime, usd: int = 1) -> dict[str, Any]:
    bought = {"purchase_id": name, "store_id": store, "supplier_id": f"U{at.day % 3}", "amount_micros": usd * USD}
    return bought | _known("purchased_at", at)


def _known(column: str, at: datetime) -> dict[str, datetime]:
    return {column: at, "known_at": at}


PAIRS = pd.DataFrame({"seller_id": ["S", "L"], "as_of": pd.to_datetime([T, days_ago(20)])})
