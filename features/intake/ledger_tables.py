"""The contract's tables out of an opened ledger of invoices."""

from __future__ import annotations

from typing import Final

import ibis
import ibis.expr.types as ir

from features.intake import casting
from features.intake.ledgers import CANCELLED, ORDER, PURCHASE, REFUND, SELLER, Ledgers

_COUNTRY: Final = ibis.literal("CN")
_UNKNOWN: Final = ibis.literal("unknown")
"""What an invoice does not tell: the category and the marketplace."""


def tables_of(ledgers: Ledgers, currency: str) -> dict[str, ir.Table]:
    """Return the contract's tables, each sorted by its key, so that equal ledgers give equal files."""
    firms = ledgers.enterprises.rows.filter(ibis._.fate == SELLER)
    sales, purchases = ledgers.sales.rows, ledgers.purchases.rows
    return {
        "sellers": _sellers(firms, currency),
        "stores": _stores(firms),
        "orders": _orders(sales.filter(sales.fate.isin([ORDER, CANCELLED])), currency),
        "refunds": _refunds(sales.filter(sales.fate.isin([REFUND, CANCELLED])), currency),
        "purchases": _purchases(purchases.filter(purchases.fate == PURCHASE), currency),
    }


def _sellers(firms: ir.Table, currency: str) -> ir.Table:
    since = firms.first_day.cast(casting.TIMESTAMP)
    sellers = firms.select(
        seller_id=firms.enterprise_id,
        country=_COUNTRY,
        base_currency=ibis.literal(currency),
        category=_UNKNOWN,
        onboarded_at=since,
        known_at=since,
    )
    return sellers.order_by("seller_id")


def _stores(firms: ir.Table) -> ir.Table:
    since = firms.first_day.cast(casting.TIMESTAMP)
    stores = firms.select(
        store_id=_store(firms),
        seller_id=firms.enterprise_id,
        marketplace=_UNKNOWN,
        opened_at=since,
        known_at=since,
    )
    return stores.order_by("store_id")


def _store(rows: ir.Table) -> ir.StringValue:
    return rows.enterprise_id + "-1"


def _orders(rows: ir.Table, currency: str) -> ir.Table:
    at = rows.day.cast(casting.TIMESTAMP)
    orders = rows.select(
        order_id=rows.id,
        store_id=_store(rows),
        buyer_id=rows.partner,
        ordered_at=at,
        amount=rows.amount,
        currency=ibis.literal(currency),
        channel=ibis.literal("other"),
        buyer_country=_COUNTRY,
        items=ibis.literal(1),
        known_at=at,
    )
    return orders.order_by("order_id")


def _refunds(rows: ir.Table, currency: str) -> ir.Table:
    at, cancelled = rows.day.cast(casting.TIMESTAMP), rows.fate == CANCELLED
    refunds = rows.select(
        refund_id=ibis.ifelse(cancelled, rows.id + "-cancel", rows.id),
        order_id=ibis.ifelse(cancelled, rows.id, None),
        store_id=_store(rows),
        refunded_at=at,
        amount=rows.amount.abs(),
        currency=ibis.literal(currency),
        reason=ibis.ifelse(cancelled, "cancel", "refund"),
        known_at=at,
    )
    return refunds.order_by("refund_id")


def _purchases(rows: ir.Table, currency: str) -> ir.Table:
    at = rows.day.cast(casting.TIMESTAMP)
    purchases = rows.select(
        purchase_id=rows.id,
        store_id=_store(rows),
        supplier_id=rows.partner,
        purchased_at=at,
        amount=rows.amount,
        currency=ibis.literal(currency),
        known_at=at,
    )
    return purchases.order_by("purchase_id")
