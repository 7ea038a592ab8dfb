"""Season and spike features: festivals, weekends, livestreams, and the trend without them."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_sold_since
from features.catalogue.sales import SETTLED
from features.expressions import Expr, FestivalDays, PeakDays, Total


def _plain_daily(days: int, lag: int = 0) -> Expr:
    # gross sales of a day that is no festival, in micro-USD
    return (Total("gross", days, lag) - Total("festival_gross", days, lag)) / (float(days) - FestivalDays(days, lag))


_raises_risk = partial(Feature, sign=1, reason_group="stability")
_either_way = partial(Feature, sign=0, reason_group="stability")

SEASONALITY: Final = (
    _either_way(
        name="livestream_share_180d",
        label="Livestream sales, share of sales, last 180 days",
        meaning="Gross sales through livestreams divided by all gross sales of the last 180 days.",
        expression=Total("livestream_gross", 180) / Total("gross", 180),
        sign_reason="Livestreams bring both growth and returns.",
    ),
    _either_way(
        name="livestream_share_change",
        label="Livestream sales, share of sales, change against 365 days",
        meaning="Livestream share of sales of the last 90 days less that of the last 365.",
        unit="pp",
        expression=Total("livestream_gross", 90) / Total("gross", 90)
        - Total("livestream_gross", 365) / Total("gross", 365),
        sign_reason="A shift to livestreams brings both growth and returns.",
    ),
    _raises_risk(
        name="livestream_return_rate_180d",
        label="Return rate of livestream sales, 180 settled days",
        meaning="Value returned or refunded over the value of the livestream orders of 180 settled days.",
        expression=Total("livestream_returned", 180, SETTLED) / Total("livestream_gross", 180, SETTLED),
        sign_reason="Impulse purchases are returned more often.",
        reason_group="returns",
        actionable=True,
        gameable="down",  # there are few livestream sales, so that a few fake orders outweigh them
    ),
    _raises_risk(
        name="top_days_share_365d",
        label="Best 4 days, share of sales, last 365 days",
        meaning=(
            "Gross sales of the best 4 of the last 365 days over all; missing until 365 days after the first order."
        ),
        expression=PeakDays("gross", 4, 365) / Total("gross", 365) * if_sold_since(365),
        sign_reason="Sales concentrated on four days leave little for the instalments of the other months.",
    ),
    _either_way(
        name="festival_share_365d",
        label="Festival sales, share of sales, last 365 days",
        meaning="Gross sales on festival days (see docs/features.md) over those of the last 365 days.",
        expression=Total("festival_gross", 365) / Total("gross", 365),
        sign_reason="Festival sales are real, but come once a year.",
    ),
    _either_way(
        name="plain_sales_trend_90d",
        label="Sales trend without festivals, last 90 days",
        meaning="Gross sales per day without a festival, last 90 days, over the same of the 90 days before.",
        expression=_plain_daily(90) / _plain_daily(90, 90),
        sign_reason="The trend without festival days; the sales are not settled yet, so a rise proves little.",
    ),
    _either_way(
        name="weekend_share_180d",
        label="Weekend sales, share of sales, last 180 days",
        meaning="Gross sales on Saturdays and Sundays (UTC) divided by all of the last 180 days.",
        expression=Total("weekend_gross", 180) / Total("gross", 180),
        sign_reason="Shopping days depend on the trade, not on risk.",
    ),
)
