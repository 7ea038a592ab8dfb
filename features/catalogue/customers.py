"""Customer features: number, loyalty and concentration of buyers, counted exactly."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_buyers
from features.expressions import BuyerOrders, Buyers, BuyerSales, BuyerSquares, ReturningBuyers, TopBuyer, Total

_SPENT: Final = Total("gross", 180)

_raises_risk = partial(Feature, sign=1, reason_group="customers", actionable=True)
_lowers_risk = partial(Feature, sign=-1, reason_group="customers")
_either_way = partial(Feature, sign=0, reason_group="customers")

CUSTOMERS: Final = (
    _either_way(
        name="orders_per_buyer_180d",
        label="Orders per buyer, last 180 days",
        meaning="Orders of the last 180 days that name their buyer, divided by the number of distinct buyers.",
        unit="count",
        expression=BuyerOrders(180) / Buyers(180),
        sign_reason="Loyal buyers and a few fake buyers look alike here; other features tell them apart.",
        gameable="down",
    ),
    _raises_risk(
        name="buyer_concentration_180d",
        label="Buyer concentration, last 180 days",
        meaning="Sum over buyers of squared shares of gross sales (Herfindahl index), last 180 days; 1 is one buyer.",
        expression=BuyerSquares(180) / _SPENT / _SPENT * if_buyers(180),
        sign_reason="A seller who depends on one buyer fails when that buyer leaves.",
    ),
    _raises_risk(
        name="top_buyer_share_180d",
        label="Largest buyer, share of sales, last 180 days",
        meaning="Sales to the largest buyer over the gross sales of the last 180 days.",
        expression=TopBuyer(180) / _SPENT * if_buyers(180),
        sign_reason="The loss of one buyer should not endanger the business.",
    ),
    _either_way(
        name="repeat_buyer_share_180d",
        label="Repeat buyers, share of buyers, last 180 days",
        meaning="Share of the buyers of the last 180 days who ordered at least twice in that period.",
        expression=Buyers(180, orders=2) / Buyers(180),
        sign_reason="Repeat buyers are the most valuable ones, but cheap to fake.",
        gameable="both",
    ),
    _lowers_risk(
        name="repeat_sales_share_180d",
        label="Repeat buyers, share of sales, last 180 days",
        meaning="Gross sales to buyers with at least two orders in the last 180 days, over all gross sales.",
        expression=BuyerSales(180, orders=2) / _SPENT * if_buyers(180),
        sign_reason="Sales to repeat buyers need no new advertising.",
    ),
    _either_way(
        name="new_buyer_share_90d",
        label="New buyers, share of buyers, last 90 days",
        meaning="Share of the buyers of the last 90 days who had not ordered in the 90 days before.",
        expression=1 - ReturningBuyers(90, before=90) / Buyers(90),
        sign_reason="New buyers can be growth, or growth that was paid for.",
        gameable="up",
    ),
    _either_way(
        name="buyer_trend_90d",
        label="Buyer trend, last 90 days",
        meaning="Number of buyers of the last 90 days divided by that of the 90 days before.",
        expression=Buyers(90) / Buyers(90, lag=90),
        sign_reason="Losing customers precedes losing sales, but new customers can be faked.",
        gameable="both",
    ),
)
