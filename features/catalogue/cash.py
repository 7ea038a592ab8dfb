"""Cash features: purchases of stock, suppliers, and the cash that trading leaves."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_any
from features.catalogue.sales import net_sales
from features.expressions import (
    AgeTotal,
    DaysSinceLast,
    Expr,
    GroupSquares,
    LargestGroup,
    Total,
    at_most,
)

_PAID_OUT: Final = 14
"""Days after which marketplaces have usually paid out a sale."""


def _age(fact: str, days: int, net: str | None = None) -> Expr:
    return AgeTotal(fact, days, net=net) / Total(fact, days, net=net)


_BUYS: Final = if_any("purchased", 365)
_ENOUGH: Final = 0.6
"""Purchases over net sales that replace the goods sold at a gross margin of 40%."""

_raises_risk = partial(Feature, sign=1, reason_group="stock", unit="days")
_lowers_risk = partial(Feature, sign=-1, reason_group="stock")
_either_way = partial(Feature, sign=0, reason_group="stock")

CASH: Final = (
    _either_way(
        name="purchases_over_sales_180d",
        label="Purchases against net sales, 180 days",
        meaning="Purchases of the last 180 days over net sales of 180 settled days; missing without purchases in 365.",
        expression=Total("purchased", 180) / net_sales(180) * _BUYS,
        sign_reason="Too much stock ties up cash; too little sells out.",
    ),
    _lowers_risk(
        name="stock_replacement_180d",
        label="Stock replacement, 180 days",
        meaning=(
            "Purchases of 180 days over net sales of 180 settled days, at most 0.6; missing without purchases in 365."
        ),
        expression=at_most(Total("purchased", 180) / net_sales(180) * _BUYS, _ENOUGH),
        sign_reason="A seller who cannot pay for new stock soon has less to sell; above 0.6, more stock is no better.",
    ),
    _either_way(
        name="purchases_over_sales_change",
        label="Purchases against net sales, change against 365 days",
        meaning="Purchases over settled net sales, 90 days less 365; missing without purchases in 365 days.",
        unit="pp",
        expression=(Total("purchased", 90) / net_sales(90) - Total("purchased", 365) / net_sales(365)) * _BUYS,
        sign_reason="A seller may stock up for a season or hold goods that do not sell.",
    ),
    _lowers_risk(
        name="purchase_trend_90d",
        label="Purchase trend, last 90 days",
        meaning="Purchases of the last 90 days divided by those of the 90 days before.",
        expression=Total("purchased", 90) / Total("purchased", 90, 90),
        sign_reason="A seller short of cash first stops buying stock.",
    ),
    _raises_risk(
        name="days_since_last_purchase",
        label="Days since the last purchase",
        meaning="Days since the latest day with a purchase, of the last 365.",
        expression=DaysSinceLast("purchases", 365) * 1.0,
        sign_reason="A seller who no longer buys stock soon has nothing to sell.",
    ),
    _raises_risk(
        name="payment_gap_180d",
        label="Average age of purchases less that of sales, 180 days",
        meaning="Average age of purchases, weighted by value, less that of gross sales, over the last 180 days.",
        expression=_age("purchased", 180) - _age("gross", 180),
        sign_reason="Purchases older than sales show that stock is running down.",
    ),
    _either_way(
        name="supplier_concentration_365d",
        label="Supplier concentration, last 365 days",
        meaning="Sum over suppliers of squared shares of purchases (Herfindahl index), last 365 days.",
        expression=GroupSquares("supplier_id", "purchased", 365) / Total("purchased", 365) / Total("purchased", 365),
        sign_reason="Few suppliers can mean good terms or dependence.",
    ),
    _either_way(
        name="top_supplier_share_365d",
        label="Largest supplier, share of purchases, last 365 days",
        meaning="Purchases from the largest supplier over all purchases of the last 365 days.",
        expression=LargestGroup("supplier_id", "purchased", 365) / Total("purchased", 365),
        sign_reason="One main supplier can mean good terms or dependence.",
    ),
    _either_way(
        name="operating_margin_180d",
        label="Net sales left after purchases and advertising, 180 days",
        meaning=(
            "Net sales of 180 settled days less purchases and advertising of the last 180 days, over those "
            "sales; missing without purchases in 365 days or visits in 180."
        ),
        expression=(net_sales(180) - Total("purchased", 180) - Total("ad_spend", 180))
        / net_sales(180)
        * _BUYS
        * if_any("visits", 180),
        sign_reason="The rest pays wages, rent and instalments; buying stock ahead lowers it for a while.",
    ),
    _either_way(
        name="cash_from_trading_90d",
        label="Cash from trading, 90 days",
        meaning=(
            "Gross sales of 90 days that ended 14 days ago less refunds of any kind, purchases and advertising "
            "of the last 90 days, over the gross sales of the last 365; missing without purchases in 365 days "
            "or visits in 90."
        ),
        expression=(
            Total("gross", 90, _PAID_OUT) - Total("refunded", 90) - Total("purchased", 90) - Total("ad_spend", 90)
        )
        / Total("gross", 365)
        * _BUYS
        * if_any("visits", 90),
        sign_reason="The cash of a quarter pays the next instalments; buying stock ahead lowers it for a while.",
    ),
)
