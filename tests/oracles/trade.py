"""The trade of one seller, built row by row, for tests that compute every number themselves."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from tests.oracles.market import Market
from tests.oracles.seller_view import LOAN_TABLES, OF_STORES, midnight

T = date(2024, 3, 1)
START = midnight(T) - timedelta(days=500)
USD = 1_000_000
TABLES = (*OF_STORES, *LOAN_TABLES)


def before(days: int) -> datetime:
    return midnight(T - timedelta(days=days))


class Trade:
    """Seller S from CN with currency CNY and stores A and A2 on two marketplaces; every table has a row."""

    def __init__(self) -> None:
        shop = {"seller_id": "S", "marketplace": "amazon", "opened_at": START, "known_at": START}
        party = {"seller_id": "S", "country": "CN", "base_currency": "CNY", "onboarded_at": START, "known_at": START}
        older = {"store_id": "A2", "marketplace": "ebay", "opened_at": START - timedelta(days=9)}
        self.rows: Market = {"sellers": [party], "stores": [shop | {"store_id": "A"}, shop | older]}
        self.rows |= {name: [] for name in TABLES}
        early = {"store_id": "elsewhere", "known_at": START}
        self.rows["refunds"].append(early | {"refund_id": "x", "order_id": "none", "refunded_at": START})
        self.rows["fulfilments"].append(early | {"order_id": "none", "event": "lost", "at": START})
        self.rows["traffic"].append(early | {"day": START.date(), "channel": "ads"})
        self.rows["ratings"].append(early | {"day": START.date()})
        self.rows["purchases"].append(early | {"purchase_id": "x", "purchased_at": START})
        other_loan = {"loan_id": "x", "seller_id": "nobody", "amount_micros": USD, "known_at": START}
        self.rows["loans"].append(other_loan | {"disbursed_at": START, "term_days": 1})
        self.rows["instalments"].append(other_loan | {"due_on": START.date()})
        self.rows["payments"].append(other_loan | {"payment_id": "x", "paid_at": START})

    def order(self, ago: int, dollars: int, **other: Any) -> dict[str, Any]:
        """Add an order at 10:00, `ago` days before T."""
        at = other.pop("at", before(ago) + timedelta(hours=10))
        row = {"order_id": f"O{len(self.rows['orders'])}", "store_id": "A", "buyer_id": "B", "ordered_at": at}
        row |= {"amount_micros": dollars * USD, "currency": "USD", "channel": "search", "buyer_country": "US"}
        self.rows["orders"].append(row | {"items": 1, "known_at": at} | other)
        return self.rows["orders"][-1]

    def refund(self, order: dict[str, Any] | None, at: datetime, dollars: int, reason: str = "return") -> None:
        row = {"refund_id": f"R{len(self.rows['refunds'])}", "store_id": "A", "amount_micros": dollars * USD}
        row |= {"order_id": order and order["order_id"], "refunded_at": at, "reason": reason, "known_at": at}
        self.rows["refunds"].append(row)

    def event(self, order: dict[str, Any], name: str, after: timedelta) -> None:
        at = order["ordered_at"] + after
        row = {"order_id": order["order_id"], "store_id": "A", "event": name, "at": at, "known_at": at}
        self.rows["fulfilments"].append(row)

    def visits(self, ago: int, visits: int, channel: str = "search", dollars: int = 0) -> None:
        day = T - timedelta(days=ago)
        row = {"store_id": "A", "day": day, "channel": channel, "visits": visits, "visitors": 1, "add_to_carts": 1}
        self.rows["traffic"].append(row | {"amount_micros": dollars * USD, "known_at": midnight(day)})

    def purchase(self, ago: int, dollars: int, supplier: str = "U") -> None:
        """Add a purchase at noon, `ago` days before T."""
        at = before(ago) + timedelta(hours=12)
        row = {"purchase_id": f"P{ago}{supplier}", "store_id": "A2", "supplier_id": supplier, "purchased_at": at}
        self.rows["purchases"].append(row | {"amount_micros": dollars * USD, "known_at": at})

    def loan(self, ago: int, dollars: int, *due: int) -> None:
        """Add the loan L at noon, `ago` days before T, with equal instalments due on these days before T."""
        at = before(ago) + timedelta(hours=12)
        loan = {"loan_id": "L", "known_at": at}
        term = ago - min(due)
        terms = {"seller_id": "S", "disbursed_at": at, "term_days": term, "principal": dollars}
        self.rows["loans"].append(loan | terms | {"amount_micros": dollars * USD})
        part = {"amount": dollars / len(due), "amount_micros": dollars * USD // len(due)}
        self.rows["instalments"] += [loan | part | {"due_on": T - timedelta(days=days)} for days in due]

    def payment(self, ago: int, dollars: int) -> None:
        """Add a payment of the loan L in the last second of a day."""
        at = before(ago - 1) - timedelta(seconds=1)
        row = {"payment_id": f"Y{ago}", "loan_id": "L", "paid_at": at, "known_at": at}
        self.rows["payments"].append(row | {"amount": dollars, "amount_micros": dollars * USD})
