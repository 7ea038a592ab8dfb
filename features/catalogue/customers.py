"""Customers: how many, how loyal, how concentrated. Buyers are counted exactly."""

from typing import Final

from features.catalogue.definition import Feature, if_buyers
from features.expressions import BuyerOrders, Buyers, BuyerSales, BuyerSquares, Number, ReturningBuyers, TopBuyer, Total

_SPENT: Final = Total("gross", 180)

CUSTOMERS: Final = (
    Feature(
        "orders_per_buyer_180d",
        "Orders per buyer, 180 days",
        "Number of orders of the last 180 days that name their buyer, divided by the number of distinct buyers.",
        "count",
        180,
        BuyerOrders(180) / Buyers(180),
        0,
        "Loyal buyers and few fake ones look alike here; other features tell them apart.",
        "customers",
        bought="down",
    ),
    Feature(
        "buyer_concentration_180d",
        "Concentration of buyers, 180 days",
        "Sum over buyers of their squared share of gross sales (Herfindahl index), last 180 days: 1 is one buyer.",
        "ratio",
        180,
        BuyerSquares(180) / _SPENT / _SPENT * if_buyers(180),
        1,
        "Who depends on one buyer falls with it.",
        "customers",
        actionable=True,
    ),
    Feature(
        "top_buyer_share_180d",
        "Largest buyer's share, 180 days",
        "What the largest buyer spent, over the gross sales of the last 180 days.",
        "ratio",
        180,
        TopBuyer(180) / _SPENT * if_buyers(180),
        1,
        "One buyer who leaves should not take the firm along.",
        "customers",
        actionable=True,
    ),
    Feature(
        "repeat_buyer_share_180d",
        "Returning buyers, 180 days",
        "Share of the buyers of the last 180 days who ordered at least twice in them.",
        "ratio",
        180,
        Buyers(180, orders=2) / Buyers(180),
        0,
        "Returning buyers are worth most, but are cheap to fake.",
        "customers",
        bought="both",
    ),
    Feature(
        "repeat_sales_share_180d",
        "Repeat buyers' share of sales, 180 days",
        "Gross sales to buyers who ordered at least twice in the last 180 days, over all of those days.",
        "ratio",
        180,
        BuyerSales(180, orders=2) / _SPENT * if_buyers(180),
        -1,
        "Buyers who come back are sales that need not be won anew.",
        "customers",
    ),
    Feature(
        "new_buyer_share_90d",
        "New buyers, 90 days",
        "Share of the buyers of the last 90 days who had not ordered in the 90 days before.",
        "ratio",
        180,
        Number(1.0) - ReturningBuyers(90, before=90) / Buyers(90),
        0,
        "New buyers are growth, or a purchase of it.",
        "customers",
        bought="up",
    ),
    Feature(
        "buyer_trend_90d",
        "Trend of buyers, 90 days",
        "Number of buyers of the last 90 days divided by that of the 90 days before.",
        "ratio",
        180,
        Buyers(90) / Buyers(90, lag=90),
        0,
        "A shop that loses its customers loses its sales next; but new ones can be bought.",
        "customers",
        bought="both",
    ),
)
