"""Cash: what is spent on stock, when, with whom, and what is left."""

from typing import Final

from features.catalogue.definition import Feature, if_any
from features.catalogue.sales import net_sales
from features.expressions import AgeTotal, DaysSinceLast, Expr, GroupSquares, LargestGroup, Least, Number, Total

_PAID_OUT: Final = 14
"""Days after which marketplaces have commonly paid out a sale."""


def _age(fact: str, days: int, net: str | None = None) -> Expr:
    return AgeTotal(fact, days, net=net) / Total(fact, days, net=net)


_BUYS: Final = if_any("purchased", 365)
_ENOUGH: Final = Number(0.6)
"""Purchases over sales that replace what is sold at a gross margin of 40%; more than that is a choice, not a need."""

CASH: Final = (
    Feature(
        "purchases_over_sales_180d",
        "Purchases over sales, 180 days",
        "Value bought from suppliers in the last 180 days over settled net sales of 180 days; missing where nothing "
        "was bought in 365 days.",
        "ratio",
        365,
        Total("purchased", 180) / net_sales(180) * _BUYS,
        0,
        "Too much stock ties up cash, too little sells out.",
        "stock",
    ),
    Feature(
        "stock_replacement_180d",
        "Stock replacement, 180 days",
        "Value bought from suppliers in the last 180 days over settled net sales of 180 days, counted up to 0.6; "
        "missing where nothing was bought in 365 days.",
        "ratio",
        365,
        Least((Total("purchased", 180) / net_sales(180) * _BUYS, _ENOUGH)),
        -1,
        "A seller who cannot pay for new stock soon has less to sell; beyond 0.6 more stock is no better.",
        "stock",
    ),
    Feature(
        "purchases_over_sales_change",
        "Change of purchases over sales",
        "Purchases over sales of 90 days less that of 365, sales settled; missing where nothing was bought in 365.",
        "pp",
        395,
        (Total("purchased", 90) / net_sales(90) - Total("purchased", 365) / net_sales(365)) * _BUYS,
        0,
        "Stocking up may be for a season or for goods that do not sell.",
        "stock",
    ),
    Feature(
        "purchase_trend_90d",
        "Trend of purchases, 90 days",
        "Value bought from suppliers in the last 90 days divided by that of the 90 days before.",
        "ratio",
        180,
        Total("purchased", 90) / Total("purchased", 90, 90),
        -1,
        "Who has no cash stops buying stock first.",
        "stock",
    ),
    Feature(
        "days_since_last_purchase",
        "Days since the last purchase",
        "Days from the latest day with a purchase to the score's date, looking back 365 days.",
        "days",
        365,
        DaysSinceLast("purchases", 365) * Number(1.0),
        1,
        "Who no longer buys will soon have nothing to sell.",
        "stock",
    ),
    Feature(
        "payment_gap_180d",
        "Age of purchases less age of sales, 180 days",
        "Average age of purchases, weighed by value, less that of gross sales, of the last 180 days.",
        "days",
        180,
        _age("purchased", 180) - _age("gross", 180),
        1,
        "Purchases that lie further back than sales show that stock is running down.",
        "stock",
    ),
    Feature(
        "supplier_concentration_365d",
        "Concentration of suppliers, 12 months",
        "Sum over suppliers of their squared share of purchases (Herfindahl index), last 365 days.",
        "ratio",
        365,
        GroupSquares("supplier_id", "purchased", 365) / Total("purchased", 365) / Total("purchased", 365),
        0,
        "One good supplier may be strength or dependence.",
        "stock",
    ),
    Feature(
        "top_supplier_share_365d",
        "Largest supplier's share, 12 months",
        "What was bought from the largest supplier, over all purchases of the last 365 days.",
        "ratio",
        365,
        LargestGroup("supplier_id", "purchased", 365) / Total("purchased", 365),
        0,
        "One good supplier may be strength or dependence.",
        "stock",
    ),
    Feature(
        "operating_margin_180d",
        "Sales left after stock and advertising, 180 days",
        "Settled net sales of 180 days less purchases and advertising of the last 180 days, over those sales; missing "
        "where nothing was bought in 365 days or nobody visited in 180.",
        "ratio",
        365,
        (net_sales(180) - Total("purchased", 180) - Total("ad_spend", 180))
        / net_sales(180)
        * _BUYS
        * if_any("visits", 180),
        0,
        "What is left pays wages, rent and instalments; buying stock ahead lowers it for a while.",
        "stock",
    ),
    Feature(
        "cash_from_trading_90d",
        "Cash from trading, 90 days",
        "Gross sales of 90 days that ended 14 days ago less refunds of any kind, purchases and advertising of the last "
        "90 days, over the gross sales of the last 365 days; missing where nothing was bought in 365 days or nobody "
        "visited in 90.",
        "ratio",
        365,
        (Total("gross", 90, _PAID_OUT) - Total("refunded", 90) - Total("purchased", 90) - Total("ad_spend", 90))
        / Total("gross", 365)
        * _BUYS
        * if_any("visits", 90),
        0,
        "What a quarter left in cash meets the next instalments; stock bought ahead lowers it for a while.",
        "stock",
    ),
)
