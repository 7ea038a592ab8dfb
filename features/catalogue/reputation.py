"""Reputation features: average ratings and their changes."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_any
from features.expressions import Expr, Total

_STARS: Final = 0.01


def _stars(days: int) -> Expr:
    return Total("star_hundredths", days) / Total("ratings", days) * _STARS


_lowers_risk = partial(Feature, sign=-1, reason_group="reputation", actionable=True, unit="stars")
_either_way = partial(Feature, sign=0, reason_group="reputation")

REPUTATION: Final = (
    _lowers_risk(
        name="rating_90d",
        label="Average rating, last 90 days",
        meaning="Average stars of all ratings of the last 90 days, 1 to 5.",
        expression=_stars(90),
        sign_reason="Satisfied buyers return and do not open disputes.",
        gameable="up",
    ),
    _lowers_risk(
        name="rating_change",
        label="Average rating, change against 365 days",
        meaning="Average stars of the last 90 days less those of the last 365.",
        expression=_stars(90) - _stars(365),
        sign_reason="Falling ratings precede returns and falling sales.",
        gameable="both",
    ),
    _lowers_risk(
        name="rating_change_recent",
        label="Average rating, change of the last 30 days",
        meaning="Average stars of the last 30 days less those of the last 90.",
        expression=_stars(30) - _stars(90),
        sign_reason="The latest ratings show current problems.",
        gameable="both",
    ),
    _either_way(
        name="ratings_per_order_180d",
        label="Ratings per order, last 180 days",
        meaning="Number of ratings per order of the last 180 days; missing without a rating.",
        expression=Total("ratings", 180) / Total("orders", 180) * if_any("ratings", 180),
        sign_reason="Buyers rate what they like and what they dislike.",
        gameable="both",
    ),
)
