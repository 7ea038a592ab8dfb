"""What docs/data-contract.md shows of each column: its meaning, and example rows of each table.

The examples form one delivery that `sellerscore ingest` accepts without a rejected row; a test ingests it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

MEANINGS: Final[Mapping[str, str]] = {
    "known_at": "when your platform recorded the row; no feature of an earlier day uses the row",
    "seller_id": "the seller; one legal person",
    "store_id": "the store",
    "currency": "currency of the amount",
    "country": "country in which the seller is established",
    "base_currency": "currency of the seller's accounts",
    "category": "what the seller sells, in your platform's terms; sellers are compared within a category",
    "onboarded_at": "when the seller joined the platform",
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
    "constant_rate": {"currency": "EUR", "usd_per_unit": 1.08},
    "absent": ["buyer_ids"],
    "begins": {"traffic": "2024-11-01"},
}
"""An example of `delivery.json` with every field."""

_AT: Final = "2025-05-30T10:12:00Z"
_JOINED: Final = "2023-02-01T09:00:00Z"

EXAMPLES: Final[Mapping[str, Sequence[Mapping[str, str]]]] = {
    "sellers": [
        {
            "seller_id": "S-1",
            "country": "CN",
            "base_currency": "CNY",
            "category": "home",
            "onboarded_at": _JOINED,
            "known_at": _JOINED,
        }
    ],
    "stores": [
        {
            "store_id": "T-1",
            "seller_id": "S-1",
            "marketplace": "marketplace-x.com",
            "opened_at": _JOINED,
            "known_at": _JOINED,
        }
    ],
    "fx_rates": [
        {"day": "2025-05-30", "currency": "CNY", "usd_per_unit": "0.139", "known_at": "2025-05-30T06:00:00Z"},
    ],
    "orders": [
        {
            "order_id": "O-1001",
            "store_id": "T-1",
            "buyer_id": "B-77",
            "ordered_at": _AT,
            "amount": "48.50",
            "currency": "USD",
            "channel": "search",
            "buyer_country": "US",
            "items": "2",
            "known_at": _AT,
        },
        {
            "order_id": "O-1002",
            "store_id": "T-1",
            "buyer_id": "",
            "ordered_at": "2025-05-31T18:40:00Z",
            "amount": "19.00",
            "currency": "USD",
            "channel": "direct",
            "buyer_country": "CA",
            "items": "1",
            "known_at": "2025-05-31T18:40:00Z",
        },
    ],
    "refunds": [
        {
            "refund_id": "R-55",
            "order_id": "O-1001",
            "store_id": "T-1",
            "refunded_at": "2025-06-04T08:30:00Z",
            "amount": "24.25",
            "currency": "USD",
            "reason": "return",
            "known_at": "2025-06-05T02:00:00Z",
        }
    ],
    "traffic": [
        {
            "store_id": "T-1",
            "day": "2025-05-30",
            "channel": "search",
            "visits": "140",
            "visitors": "118",
            "add_to_carts": "9",
            "ad_spend": "0",
            "currency": "USD",
            "known_at": "2025-05-31T02:00:00Z",
        }
    ],
    "fulfilments": [
        {
            "order_id": "O-1001",
            "store_id": "T-1",
            "event": "shipped",
            "at": "2025-05-31T07:00:00Z",
            "known_at": "2025-05-31T07:00:00Z",
        }
    ],
    "ratings": [
        {
            "store_id": "T-1",
            "day": "2025-05-30",
            "ratings": "3",
            "stars": "4.67",
            "known_at": "2025-05-31T02:00:00Z",
        }
    ],
    "purchases": [
        {
            "purchase_id": "P-9",
            "store_id": "T-1",
            "supplier_id": "V-3",
            "purchased_at": "2025-05-30T03:15:00Z",
            "amount": "1250.00",
            "currency": "CNY",
            "known_at": "2025-05-30T08:00:00Z",
        }
    ],
    "loans": [
        {
            "loan_id": "L-7",
            "seller_id": "S-1",
            "disbursed_at": "2024-09-02T10:00:00Z",
            "principal": "5000",
            "currency": "USD",
            "term_days": "180",
            "known_at": "2024-09-02T10:00:00Z",
        }
    ],
    "instalments": [
        {"loan_id": "L-7", "due_on": "2024-10-02", "amount": "866.67", "known_at": "2024-09-02T10:00:00Z"},
    ],
    "payments": [
        {
            "payment_id": "Y-31",
            "loan_id": "L-7",
            "paid_at": "2024-10-01T16:20:00Z",
            "amount": "866.67",
            "known_at": "2024-10-02T02:00:00Z",
        }
    ],
}
"""Example rows of each table."""
