"""Every feature of the catalogue by hand: loops and fractions, from docs/features.md and the design alone.

It shares no code with `features`, so that agreeing with it says something; it is as slow as it is plain.
"""

from __future__ import annotations

from datetime import date

from tests.oracles.features.books import Books
from tests.oracles.features.buyers import buyers
from tests.oracles.features.quality import quality
from tests.oracles.features.repayment import repayment
from tests.oracles.features.sales import sales
from tests.oracles.features.standing import standing
from tests.oracles.seller_sight import Rows, Sight, sight, visible


def oracle(rows: Rows, seller_id: str, as_of: date) -> dict[str, float | None]:
    """Return every feature of one seller as of the midnight that begins `as_of`.

    Args:
        rows: contract rows by table, amounts in micro-USD as `amount_micros`; times are naive UTC.
        seller_id: whose features.
        as_of: T.
    """
    return features_of(sight(visible(rows, as_of), seller_id, as_of))


def features_of(sight: Sight) -> dict[str, float | None]:
    """Return every feature by name, exact until the last step; None is missing."""
    books = Books(sight)
    exact = {**sales(books), **quality(books), **buyers(books), **standing(books), **repayment(books)}
    return {name: None if value is None else float(value) for name, value in exact.items()}
