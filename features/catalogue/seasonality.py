"""Season and spikes: festivals, weekends, livestreams, and what remains without them."""

from typing import Final

from features.catalogue.definition import Feature, if_sold_since
from features.catalogue.sales import SETTLED
from features.expressions import Expr, FestivalDays, Number, PeakDays, Total


def _plain_daily(days: int, lag: int = 0) -> Expr:
    # gross sales of a day that is no festival, in micro-USD
    return (Total("gross", days, lag) - Total("festival_gross", days, lag)) / (
        Number(float(days)) - FestivalDays(days, lag)
    )


SEASONALITY: Final = (
    Feature(
        "livestream_share_180d",
        "Livestream share of sales, 180 days",
        "Gross sales through livestreams divided by all gross sales of the last 180 days.",
        "ratio",
        180,
        Total("livestream_gross", 180) / Total("gross", 180),
        0,
        "Livestreams bring both growth and returns.",
        "stability",
    ),
    Feature(
        "livestream_share_change",
        "Change of the livestream share",
        "Livestream share of sales of the last 90 days less that of the last 365.",
        "pp",
        365,
        Total("livestream_gross", 90) / Total("gross", 90) - Total("livestream_gross", 365) / Total("gross", 365),
        0,
        "Livestreams bring both growth and returns.",
        "stability",
    ),
    Feature(
        "livestream_return_rate_180d",
        "Return rate of livestream sales, 180 days",
        "Value returned or refunded of livestream orders over their value, orders of 180 days that ended 30 days ago.",
        "ratio",
        210,
        Total("livestream_returned", 180, SETTLED) / Total("livestream_gross", 180, SETTLED),
        1,
        "Goods bought in minutes come back in weeks.",
        "returns",
        actionable=True,
        bought="down",  # few sales are made live, so that few fake ones outweigh them
    ),
    Feature(
        "top_days_share_365d",
        "Share of the best 4 days, 12 months",
        "Gross sales of the best 4 of the last 365 days over those of all; missing where the first order is less than "
        "365 days ago.",
        "ratio",
        365,
        PeakDays("gross", 4, 365) / Total("gross", 365) * if_sold_since(365),
        1,
        "A year that rests on four days leaves little for the instalments of the others.",
        "stability",
    ),
    Feature(
        "festival_share_365d",
        "Festival share of sales, 12 months",
        "Gross sales on festival days (see docs/features.md) over those of the last 365 days.",
        "ratio",
        365,
        Total("festival_gross", 365) / Total("gross", 365),
        0,
        "Festival sales are real, but come once a year.",
        "stability",
    ),
    Feature(
        "plain_sales_trend_90d",
        "Sales trend without festivals, 90 days",
        "Gross sales on days that are no festival per such day, last 90 days, over the same of the 90 days before.",
        "ratio",
        180,
        _plain_daily(90) / _plain_daily(90, 90),
        0,
        "What remains of a trend when the festivals are taken out; not settled, so it earns nothing by rule.",
        "stability",
    ),
    Feature(
        "weekend_share_180d",
        "Weekend share of sales, 180 days",
        "Gross sales on Saturdays and Sundays (UTC) divided by all of the last 180 days.",
        "ratio",
        180,
        Total("weekend_gross", 180) / Total("gross", 180),
        0,
        "Trades differ in when their buyers have time.",
        "stability",
    ),
)
