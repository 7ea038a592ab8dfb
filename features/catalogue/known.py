"""Where a seller's silence in a delivered table is unknown, not zero."""

from features.expressions import Expr, Total


def if_any(fact: str, days: int) -> Expr:
    """One where the seller has some of a fact in a window, else missing; a value times it is missing with it.

    No advertising says something beside visits. Beside sales without a single visit, nobody has told of the traffic.

    Example: `Total("ad_spend", 90) / Total("gross", 90) * if_any("visits", 90)`.
    """
    return Total(fact, days) / Total(fact, days)
