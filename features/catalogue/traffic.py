"""Traffic and advertising features: visits, conversion and advertising cost."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_any
from features.catalogue.sales import USD
from features.expressions import Expr, Total


def _rate(fact: str, of: str, days: int, lag: int = 0) -> Expr:
    return Total(fact, days, lag) / Total(of, days, lag)


def _spent(of: str, days: int) -> Expr:
    return _rate("ad_spend", of, days) * if_any("visits", days)


_raises_risk = partial(Feature, sign=1, reason_group="traffic", actionable=True)
_lowers_risk = partial(Feature, sign=-1, reason_group="traffic")
_either_way = partial(Feature, sign=0, reason_group="traffic")

TRAFFIC: Final = (
    _either_way(
        name="visits_90d",
        label="Visits, last 90 days",
        meaning="Visits to all stores in the last 90 days; missing without any.",
        unit="count",
        expression=Total("visits", 90) * if_any("visits", 90),
        sign_reason="Visits show demand, but can be bought.",
        gameable="up",
    ),
    _lowers_risk(
        name="visit_trend_90d",
        label="Visit trend, last 90 days",
        meaning="Visits of the last 90 days divided by those of the 90 days before.",
        expression=Total("visits", 90) / Total("visits", 90, 90),
        sign_reason="Fewer visits today mean fewer orders later.",
        actionable=True,
        gameable="both",
    ),
    _either_way(
        name="visits_per_visitor_90d",
        label="Visits per visitor, last 90 days",
        meaning="Visits divided by visitors in the last 90 days.",
        unit="count",
        expression=_rate("visits", "visitors", 90),
        sign_reason="Visitors who return may be loyal or undecided.",
        gameable="both",
    ),
    _either_way(
        name="search_visit_share_90d",
        label="Visits from search, share of visits, last 90 days",
        meaning="Visits that came by search divided by all visits of the last 90 days.",
        expression=_rate("search_visits", "visits", 90),
        sign_reason="Search visits are free, but depend on the marketplace's ranking rules.",
        gameable="both",
    ),
    _either_way(
        name="conversion_90d",
        label="Orders per visit, last 90 days",
        meaning="Orders divided by visits in the last 90 days.",
        expression=_rate("orders", "visits", 90),
        sign_reason="Good stores convert well, and so do fake orders, which need no visit.",
        gameable="both",
    ),
    _either_way(
        name="conversion_trend_90d",
        label="Trend of orders per visit, last 90 days",
        meaning="Orders per visit of the last 90 days divided by those of the 90 days before.",
        expression=_rate("orders", "visits", 90) / _rate("orders", "visits", 90, 90),
        sign_reason="A falling rate shows weaker offers; a rising one shows better offers or fake orders.",
        gameable="both",
    ),
    _either_way(
        name="cart_rate_90d",
        label="Carts per visit, last 90 days",
        meaning="Additions to the cart divided by visits in the last 90 days.",
        expression=_rate("carts", "visits", 90),
        sign_reason="A filled cart shows interest, not a sale.",
        gameable="both",
    ),
    _either_way(
        name="orders_per_cart_90d",
        label="Orders per cart, last 90 days",
        meaning="Orders divided by additions to the cart in the last 90 days.",
        expression=_rate("orders", "carts", 90),
        sign_reason="Abandoned carts point to prices or shipping; orders without carts point to fake orders.",
        gameable="both",
    ),
    _raises_risk(
        name="paid_visit_share_90d",
        label="Paid visits, share of visits, last 90 days",
        meaning="Visits through advertisements divided by all visits of the last 90 days.",
        expression=_rate("paid_visits", "visits", 90),
        sign_reason="Paid demand stops when the advertising budget ends.",
        reason_group="advertising",
        gameable="down",
    ),
    _raises_risk(
        name="paid_visit_share_change",
        label="Paid visits, share of visits, change against 365 days",
        meaning="Paid share of visits of the last 90 days less that of the last 365.",
        unit="pp",
        expression=_rate("paid_visits", "visits", 90) - _rate("paid_visits", "visits", 365),
        sign_reason="A rising share means that unpaid visits are being lost.",
        reason_group="advertising",
        gameable="both",
    ),
    _raises_risk(
        name="ad_spend_share_90d",
        label="Advertising cost, share of sales, last 90 days",
        meaning="Advertising cost over gross sales of the last 90 days; missing without a visit.",
        expression=_spent("gross", 90),
        sign_reason="Money spent on advertising is not available for instalments.",
        reason_group="advertising",
    ),
    _raises_risk(
        name="ad_spend_share_change",
        label="Advertising cost, share of sales, change against 365 days",
        meaning="Advertising cost over gross sales of the last 90 days less that of the last 365.",
        unit="pp",
        expression=_spent("gross", 90) - _spent("gross", 365),
        sign_reason="Spending more to keep the same demand is a sign of trouble.",
        reason_group="advertising",
    ),
    _raises_risk(
        name="ad_cost_per_order_90d",
        label="Advertising cost per order, last 90 days",
        meaning="Advertising cost per order of the last 90 days; missing without a visit.",
        unit="USD",
        expression=_spent("orders", 90) * USD,
        sign_reason="A higher advertising cost per order leaves less margin for instalments.",
        reason_group="advertising",
        gameable="down",
    ),
    _either_way(
        name="cost_per_paid_visit_90d",
        label="Cost per paid visit, last 90 days",
        meaning="Advertising cost per visit through advertisements, last 90 days.",
        unit="USD",
        expression=_rate("ad_spend", "paid_visits", 90) * USD,
        sign_reason="Expensive clicks may bring expensive orders.",
        reason_group="advertising",
    ),
)
