"""Reputation: how ratings change; their level says less."""

from typing import Final

from features.catalogue.definition import Feature, if_any
from features.expressions import Expr, Number, Total

_STARS: Final = Number(0.01)


def _stars(days: int) -> Expr:
    return Total("star_hundredths", days) / Total("ratings", days) * _STARS


REPUTATION: Final = (
    Feature(
        "rating_90d",
        "Rating, 90 days",
        "Average stars of all ratings of the last 90 days, 1 to 5.",
        "stars",
        90,
        _stars(90),
        -1,
        "Satisfied buyers come back and do not dispute.",
        "reputation",
        actionable=True,
        bought="up",
    ),
    Feature(
        "rating_change",
        "Change of the rating",
        "Average stars of the last 90 days less those of the last 365.",
        "stars",
        365,
        _stars(90) - _stars(365),
        -1,
        "Ratings that slip run ahead of returns and of sales.",
        "reputation",
        actionable=True,
        bought="both",
    ),
    Feature(
        "rating_change_recent",
        "Recent change of the rating",
        "Average stars of the last 30 days less those of the last 90.",
        "stars",
        90,
        _stars(30) - _stars(90),
        -1,
        "The last weeks show what is going wrong now.",
        "reputation",
        actionable=True,
        bought="both",
    ),
    Feature(
        "ratings_per_order_180d",
        "Ratings per order, 180 days",
        "Number of ratings divided by the number of orders in the last 180 days; missing without a rating in them.",
        "ratio",
        180,
        Total("ratings", 180) / Total("orders", 180) * if_any("ratings", 180),
        0,
        "Buyers rate what delights and what annoys them.",
        "reputation",
        bought="both",
    ),
)
