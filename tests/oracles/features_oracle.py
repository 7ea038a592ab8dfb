"""Naive oracle of all features: loops and fractions, written from docs/features.md and the design alone.

It shares no code with `features`, so that agreement is evidence; it is simple and slow.
"""

from __future__ import annotations

from datetime import date

from tests.oracles.features.buyers import buyers
from tests.oracles.features.operations import operations
from tests.oracles.features.quality import quality
from tests.oracles.features.repayment import repayment
from tests.oracles.features.sales import sales
from tests.oracles.features.window_sums import WindowSums
from tests.oracles.seller_view import Rows, SellerView, seller_view, visible


def oracle(rows: Rows, seller_id: str, as_of: date) -> dict[str, float | None]:
    """Return every feature of one seller as of T, from contract rows by table with amounts as `amount_micros`."""
    return features_of(seller_view(visible(rows, as_of), seller_id, as_of))


def features_of(view: SellerView) -> dict[str, float | None]:
    """Return every feature by name, exact until the last step; None means missing."""
    sums = WindowSums(view)
    exact = {**sales(sums), **quality(sums), **buyers(sums), **operations(sums), **repayment(sums)}
    return {name: None if value is None else float(value) for name, value in exact.items()}
