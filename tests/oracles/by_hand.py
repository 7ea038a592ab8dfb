"""One seller's trade made by hand, for tests that work out every number themselves."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from tests.oracles.features_oracle import oracle
from tests.oracles.market import Market
from tests.oracles.seller_sight import midnight

T = date(2024, 3, 1)
START = midnight(T) - timedelta(days=500)
USD = 1_000_000
TABLES = ("orders", "refunds", "fulfilments", "traffic", "ratings", "purchases", "loans", "instalments", "payments")


class Trade:
    """Seller S, at home in CN with CNY, of stores A and A2 on two marketplaces; every table was delivered once."""

    def __init__(self) -> None:
        shop = {"seller_id": "S", "marketplace": "amazon", "opened_at": START, "known_at": START}
        party = {"seller_id": "S", "country": "CN", "base_currency": "CNY", "onboarded_at": START, "known_at": START}
        older = {"store_id": "A2", "marketplace": "ebay", "opened_at": START - timedelta(days=9)}
        self.rows: Market = {"sellers": [party], "stores": [shop | {"store_id": "A"}, shop | older]}
        self.rows |= {name: [] for name in TABLES}
        long_ago = {"store_id": "elsewhere", "known_at": START}
        self.rows["refunds"].append(long_ago | {"refund_id": "x", "order_id": "none", "refunded_at": START})
        self.rows["fulfilments"].append(long_ago | {"order_id": "none", "event": "lost", "at": START})
        self.rows["traffic"].append(long_ago | {"day": START.date(), "channel": "ads"})
        self.rows["ratings"].append(long_ago | {"day": START.date()})
        self.rows["purchases"].append(long_ago | {"purchase_id": "x", "purchased_at": START})
        elsewhere = {"loan_id": "x", "seller_id": "nobody", "amount_micros": USD, "known_at": START}
        self.rows["loans"].append(elsewhere | {"disbursed_at": START, "term_days": 1})
        self.rows["instalments"].append(elsewhere | {"due_on": START.date()})
        self.rows["payments"].append(elsewhere | {"payment_id": "x", "paid_at": START})

    def order(self, ago: int, dollars: int, **other: Any) -> dict[str, Any]:
        """Add an order of ten o'clock `ago` days before T."""
        at = other.pop("at", midnight(T - timedelta(days=ago)) + timedelta(hours=10))
        row = {"order_id": f"O{len(self.rows['orders'])}", "store_id": "A", "buyer_id": "B", "ordered_at": at}
        row |= {"amount_micros": dollars * USD, "currency": "USD", "channel": "search", "buyer_country": "US"}
        self.rows["orders"].append(row | {"items": 1, "known_at": at} | other)
        return self.rows["orders"][-1]

    def refund(self, order: dict[str, Any] | None, at: datetime, dollars: int, reason: str = "return") -> None:
        """Add a refund, known at once."""
        row = {"refund_id": f"R{len(self.rows['refunds'])}", "store_id": "A", "amount_micros": dollars * USD}
        row |= {"order_id": order and order["order_id"], "refunded_at": at, "reason": reason, "known_at": at}
        self.rows["refunds"].append(row)

    def event(self, order: dict[str, Any], name: str, after: timedelta) -> None:
        """Add what happened to a parcel so long after its order."""
        at = order["ordered_at"] + after
        row = {"order_id": order["order_id"], "store_id": "A", "event": name, "at": at, "known_at": at}
        self.rows["fulfilments"].append(row)

    def visits(self, ago: int, visits: int, channel: str = "search", dollars: int = 0) -> None:
        """Add a day's traffic of one channel."""
        day = T - timedelta(days=ago)
        row = {"store_id": "A", "day": day, "channel": channel, "visits": visits, "visitors": 1, "add_to_carts": 1}
        self.rows["traffic"].append(row | {"amount_micros": dollars * USD, "known_at": midnight(day)})

    def bought(self, ago: int, dollars: int, supplier: str = "U") -> None:
        """Add a purchase of noon `ago` days before T."""
        at = midnight(T - timedelta(days=ago)) + timedelta(hours=12)
        row = {"purchase_id": f"P{ago}{supplier}", "store_id": "A2", "supplier_id": supplier, "purchased_at": at}
        self.rows["purchases"].append(row | {"amount_micros": dollars * USD, "known_at": at})

    def lent(self, ago: int, dollars: int, *due: int) -> None:
        """Add the loan L of noon `ago` days before T, which falls due in equal parts so many days before T."""
        at = midnight(T - timedelta(days=ago)) + timedelta(hours=12)
        loan = {"loan_id": "L", "known_at": at}
        term = ago - min(due)
        given = {"seller_id": "S", "disbursed_at": at, "term_days": term, "amount_micros": dollars * USD}
        self.rows["loans"].append(loan | given)
        part = {"amount_micros": dollars * USD // len(due)}
        self.rows["instalments"] += [loan | part | {"due_on": T - timedelta(days=each)} for each in due]

    def paid(self, ago: int, dollars: int) -> None:
        """Add a payment of the loan L of the last second of a day."""
        at = midnight(T - timedelta(days=ago - 1)) - timedelta(seconds=1)
        row = {"payment_id": f"Y{ago}", "loan_id": "L", "paid_at": at, "amount_micros": dollars * USD}
        self.rows["payments"].append(row | {"known_at": at})

    def now(self) -> dict[str, float | None]:
        """Return the features as of T."""
        return oracle(self.rows, "S", T)
