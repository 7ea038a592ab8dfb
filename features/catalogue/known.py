"""Where a seller's silence in a delivered table is unknown, not zero."""

from features.expressions import Buyers, DaysSinceFirst, Expr, Number, Total


def if_any(fact: str, days: int) -> Expr:
    """One where the seller has some of a fact in a window, else missing; a value times it is missing with it.

    No advertising says something beside visits. Beside sales without a single visit, nobody has told of the traffic.

    Example: `Total("ad_spend", 90) / Total("gross", 90) * if_any("visits", 90)`.
    """
    return Total(fact, days) / Total(fact, days)


def if_buyers(days: int) -> Expr:
    """One where an order of a window names its buyer, else missing; a value times it is missing with it.

    A platform that records no buyer ids says nothing about loyal buyers, dependence on one, or own accounts.

    Example: `TopBuyer(180) / Total("gross", 180) * if_buyers(180)`.
    """
    return Buyers(days) / Buyers(days)


def if_sold_since(days: int) -> Expr:
    """One where the first order is at least so many days ago, else missing; a value times it is missing with it.

    Months before a seller began are no months without sales.

    Example: `Least(months) * if_sold_since(390)`.
    """
    beyond = DaysSinceFirst() - Number(days - 1.0)
    return beyond / beyond
