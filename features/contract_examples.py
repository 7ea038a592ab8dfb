"""What docs/data-contract.md shows of each column: its meaning, and example rows of each table.

The examples form one delivery that `sellerscore ingest` accepts without a rejected row; a test ingests it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[str, str]] = {
    "known_at": "when your platform recorded the row; no feature of an earlier day uses the row",
    "seller_id": "the seller; one legal person",
    "store_id": "the store",
    "currency": "currency of the amount",
    "country": "country in which the seller is established",
    "base_currency": "currency of the seller's accounts",
    "category": "what the seller sells, in your platform's terms; sellers are compared within a category",
    "onboarded_at": "when the seller joined the platform; of several versions, the earliest counts",
    "marketplace": "the marketplace of the store",
    "opened_at": "when the store opened",
    "order_id": "the order; unique across all stores",
    "buyer_id": "a stable pseudonym of the buyer; empty for a guest",
    "ordered_at": "when the buyer ordered",
    "amount": "what the buyer paid, with tax and shipping",
    "channel": "the channel through which the buyer came",
    "buyer_country": "country to which the order is shipped",
    "items": "number of items",
    "refund_id": "the refund",
    "refunded_at": "when the money was paid back, or the order was cancelled",
    "reason": "the reason of the refund",
    "day": "the day in UTC",
    "visits": "visits on that day",
    "visitors": "distinct visitors on that day",
    "add_to_carts": "number of times that an item was added to a cart",
    "ad_spend": "what the seller spent on advertisements in that channel",
    "event": "what happened to the parcel",
    "at": "when it happened",
    "ratings": "number of ratings on that day",
    "stars": "average of these ratings",
    "purchase_id": "the purchase",
    "supplier_id": "a stable pseudonym of the supplier",
    "purchased_at": "when the seller bought the goods",
    "usd_per_unit": "US dollars for one unit of the currency",
    "loan_id": "the loan",
    "disbursed_at": "when the loan was paid out",
    "principal": "the amount of the loan",
    "term_days": "days from disbursement to the last instalment",
    "due_on": "the day on which the instalment is due",
    "payment_id": "the payment",
    "paid_at": "when the borrower paid",
}
"""Meaning of each column, for all tables with a column of that name."""

MEANINGS_BY_TABLE: Final[Mapping[tuple[str, str], str]] = {
    ("refunds", "order_id"): "the refunded order; empty if it is not known",
    ("refunds", "amount"): "the amount paid back, as a positive number",
    ("purchases", "amount"): "what the seller paid",
    ("instalments", "amount"): "the amount due",
    ("payments", "amount"): "the amount paid",
    ("fx_rates", "currency"): "the currency",
}
"""Meaning of a column in one table, where it differs from `MEANINGS`."""

DELIVERY: Final[Mapping[str, object]] = {
    "source": "orders of marketplace X, nightly export",
    "covers_through": {"orders": "2025-06-01", "refunds": "2025-06-01", "traffic": "2025-05-31"},
    "covers_stores": "all",
    "constant_rate": {"currency": "EUR", "usd_per_unit": 1.08},
    "absent": ["buyer_ids"],
    "begins": {"traffic": "2024-11-01"},
}
"""An example of `delivery.json` with every field."""

EXAMPLES: Final[Mapping[str, str]] = {
    "sellers": """\
seller_id,country,base_currency,category,onboarded_at,known_at
S-1,CN,CNY,home,2023-02-01T09:00:00Z,2023-02-01T09:00:00Z
""",
    "stores": """\
store_id,seller_id,marketplace,opened_at,known_at
T-1,S-1,marketplace-x.com,2023-02-01T09:00:00Z,2023-02-01T09:00:00Z
""",
    "fx_rates": """\
day,currency,usd_per_unit,known_at
2025-05-30,CNY,0.139,2025-05-30T06:00:00Z
""",
    "orders": """\
order_id,store_id,buyer_id,ordered_at,amount,currency,channel,buyer_country,items,known_at
O-1001,T-1,B-77,2025-05-30T10:12:00Z,48.50,USD,search,US,2,2025-05-30T10:12:00Z
O-1002,T-1,,2025-05-31T18:40:00Z,19.00,USD,direct,CA,1,2025-05-31T18:40:00Z
""",
    "refunds": """\
refund_id,order_id,store_id,refunded_at,amount,currency,reason,known_at
R-55,O-1001,T-1,2025-06-04T08:30:00Z,24.25,USD,return,2025-06-05T02:00:00Z
""",
    "traffic": """\
store_id,day,channel,visits,visitors,add_to_carts,ad_spend,currency,known_at
T-1,2025-05-30,search,140,118,9,0,USD,2025-05-31T02:00:00Z
""",
    "fulfilments": """\
order_id,store_id,event,at,known_at
O-1001,T-1,shipped,2025-05-31T07:00:00Z,2025-05-31T07:00:00Z
""",
    "ratings": """\
store_id,day,ratings,stars,known_at
T-1,2025-05-30,3,4.67,2025-05-31T02:00:00Z
""",
    "purchases": """\
purchase_id,store_id,supplier_id,purchased_at,amount,currency,known_at
P-9,T-1,V-3,2025-05-30T03:15:00Z,1250.00,CNY,2025-05-30T08:00:00Z
""",
    "loans": """\
loan_id,seller_id,disbursed_at,principal,currency,term_days,known_at
L-7,S-1,2024-09-02T10:00:00Z,5000,USD,180,2024-09-02T10:00:00Z
""",
    "instalments": """\
loan_id,due_on,amount,known_at
L-7,2024-10-02,866.67,2024-09-02T10:00:00Z
""",
    "payments": """\
payment_id,loan_id,paid_at,amount,known_at
Y-31,L-7,2024-10-01T16:20:00Z,866.67,2024-10-02T02:00:00Z
""",
}
"""Example rows of each table, as a CSV file."""
