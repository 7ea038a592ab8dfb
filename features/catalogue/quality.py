"""Quality features: returns, cancellations and disputes, mostly of settled orders."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature
from features.catalogue.sales import SETTLED, settled_share
from features.expressions import MedianOf, ProductTotal, Total

_REFUNDS_PER_ORDER: Final = Total("refunds", 180, SETTLED) / Total("orders", 180, SETTLED)
_RETURNS_BY_DAY_SIZE: Final = ProductTotal("gross", "returned", 180, SETTLED) / ProductTotal(
    "gross", "gross", 180, SETTLED
)

_raises_risk = partial(Feature, sign=1, reason_group="returns")
_either_way = partial(Feature, sign=0, reason_group="returns")

QUALITY: Final = (
    _raises_risk(
        name="return_rate_30d",
        label="Return rate, 30 settled days",
        meaning="Value returned or refunded over the value of the orders of 30 settled days.",
        expression=settled_share("returned", 30),
        sign_reason="The latest settled month is the first to show a quality problem.",
        actionable=True,
        gameable="both",
    ),
    _raises_risk(
        name="return_rate_90d",
        label="Return rate, 90 settled days",
        meaning="Value returned or refunded over the value of the orders of 90 settled days.",
        expression=settled_share("returned", 90),
        sign_reason="A return costs the sale and the handling.",
        actionable=True,
    ),
    _raises_risk(
        name="return_rate_365d",
        label="Return rate, 365 settled days",
        meaning="Value returned or refunded over the value of the orders of 365 settled days.",
        expression=settled_share("returned", 365),
        sign_reason="A full year of returns shows the quality of the goods.",
        actionable=True,
    ),
    _raises_risk(
        name="return_rate_change",
        label="Return rate, change against 365 settled days",
        meaning="Return rate of 90 settled days less that of 365 settled days.",
        unit="pp",
        expression=settled_share("returned", 90) - settled_share("returned", 365),
        sign_reason="Falling quality precedes falling sales.",
        actionable=True,
    ),
    _raises_risk(
        name="refund_count_rate_180d",
        label="Refunds per order, 180 settled days",
        meaning="Number of refunds of any kind per order of 180 settled days.",
        expression=_REFUNDS_PER_ORDER,
        sign_reason="Many small refunds cause as much work as a few large ones.",
        actionable=True,
        gameable="both",
    ),
    _either_way(
        name="refund_size_180d",
        label="Average refund against average order, 180 settled days",
        meaning="Average refund over the average order of 180 settled days.",
        expression=settled_share("refunded", 180) / _REFUNDS_PER_ORDER,
        sign_reason="Partial refunds can keep a customer; expensive goods are returned more often.",
        gameable="both",
    ),
    _either_way(
        name="return_lag_180d",
        label="Average days until return, 180 settled days",
        meaning="Average days from an order's day to that of its return or refund, orders of 180 settled days.",
        unit="days",
        expression=Total("return_days", 180, SETTLED) / Total("dated_returns", 180, SETTLED),
        sign_reason="Late refunds can mean slow shipping or patient buyers.",
        gameable="up",
    ),
    _either_way(
        name="median_return_lag_180d",
        label="Median days until return, 180 settled days",
        meaning="Lower median of the days from an order's day to its return's, orders of 180 settled days.",
        unit="days",
        expression=MedianOf("days_after", "dated_returns", 180, SETTLED) * 1.0,
        sign_reason="A few returns that took months do not move the median.",
        gameable="up",
    ),
    _raises_risk(
        name="returns_after_spikes_180d",
        label="Returns of busy days, 180 settled days",
        meaning="Return rate with each day weighted by its sales once more, less the plain rate, 180 settled days.",
        unit="pp",
        expression=_RETURNS_BY_DAY_SIZE - settled_share("returned", 180),
        sign_reason="Above-average returns of busy days show that a sales peak was worth less than it seemed.",
        gameable="both",
    ),
    _raises_risk(
        name="cancel_rate_180d",
        label="Cancellation rate, 180 settled days",
        meaning="Value cancelled over the value of the orders of 180 settled days.",
        expression=settled_share("cancelled", 180),
        sign_reason="Cancellations show missing stock or buyers who did not want to wait.",
        reason_group="cancellations",
        actionable=True,
    ),
    _raises_risk(
        name="recent_cancel_rate",
        label="Cancellations of the last 30 days against sales",
        meaning="Value cancelled of the orders of the last 30 days, times 3, over gross sales of the last 90 days.",
        expression=Total("cancelled", 30) * 3 / Total("gross", 90),
        sign_reason="Orders are cancelled within days when stock or cash runs out; recent orders already show it.",
        reason_group="cancellations",
        actionable=True,
    ),
    _raises_risk(
        name="cancel_rate_change",
        label="Cancellation rate, change against 365 settled days",
        meaning="Cancellation rate of 90 settled days less that of 365 settled days.",
        unit="pp",
        expression=settled_share("cancelled", 90) - settled_share("cancelled", 365),
        sign_reason="A rising cancellation rate shows that stock or buyers' patience is running out.",
        reason_group="cancellations",
        actionable=True,
    ),
    _raises_risk(
        name="dispute_rate_180d",
        label="Disputes per order, 180 settled days",
        meaning="Number of disputes and chargebacks per order of 180 settled days.",
        expression=Total("disputes", 180, SETTLED) / Total("orders", 180, SETTLED),
        sign_reason="Disputes lead to chargebacks and to payouts that marketplaces hold back.",
        reason_group="disputes",
        actionable=True,
        gameable="down",
    ),
    _raises_risk(
        name="disputed_value_365d",
        label="Disputes and chargebacks, share of sales, 365 settled days",
        meaning="Value disputed or charged back over the value of the orders of 365 settled days.",
        expression=settled_share("disputed", 365),
        sign_reason="With a chargeback the seller loses both the money and the goods.",
        reason_group="disputes",
        actionable=True,
    ),
)
