"""Several hostile markets in one store, so that one build on Spark answers for all of them."""

from __future__ import annotations

from collections.abc import Iterable

from tests.oracles.market import Market, Shape, market

_IDS = (
    "seller_id",
    "store_id",
    "buyer_id",
    "order_id",
    "refund_id",
    "purchase_id",
    "supplier_id",
    "loan_id",
    "payment_id",
)


def together(shapes: Iterable[Shape]) -> Market:
    """Return the rows of all markets; who bears one id in two of them is not the same."""
    rows: Market = {}
    for number, shape in enumerate(shapes):
        for table, those in market(shape).items():
            rows.setdefault(table, []).extend(_renamed(row, f"{number}:") for row in those)
    return rows


def _renamed(row: dict[str, object], prefix: str) -> dict[str, object]:
    return {name: prefix + value if name in _IDS and isinstance(value, str) else value for name, value in row.items()}
