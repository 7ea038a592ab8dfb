"""Quality and integrity: what comes back, what is disputed, and what only looks like a sale."""

from typing import Final

from features.catalogue.definition import Feature
from features.catalogue.sales import SETTLED
from features.expressions import Buyers, BuyerSquares, Expr, Total


def _share(fact: str, days: int, lag: int = SETTLED) -> Expr:
    return Total(fact, days, lag) / Total("gross", days, lag)


_SPENT: Final = Total("gross", 180)

QUALITY: Final = (
    Feature(
        "return_rate_90d",
        "Return rate, 90 days",
        "Value returned or refunded of the orders of 90 days that ended 30 days ago, over the value of those orders.",
        "ratio",
        120,
        _share("returned", 90),
        1,
        "Returned goods cost twice: the sale and the handling.",
        "returns",
        actionable=True,
    ),
    Feature(
        "return_rate_365d",
        "Return rate, 12 months",
        "Value returned or refunded of the orders of 365 days that ended 30 days ago, over the value of those orders.",
        "ratio",
        395,
        _share("returned", 365),
        1,
        "A long record of returns shows the quality of the goods.",
        "returns",
        actionable=True,
    ),
    Feature(
        "return_rate_change",
        "Change of the return rate",
        "Return rate of 90 days less that of 12 months.",
        "ratio",
        395,
        _share("returned", 90) - _share("returned", 365),
        1,
        "Quality that gets worse runs ahead of sales that get worse.",
        "returns",
        actionable=True,
    ),
    Feature(
        "cancel_rate_180d",
        "Cancellation rate, 180 days",
        "Value cancelled of the orders of 180 days that ended 30 days ago, over the value of those orders.",
        "ratio",
        210,
        _share("cancelled", 180),
        1,
        "Cancellations show stock that is not there and buyers who do not wait.",
        "cancellations",
        actionable=True,
    ),
    Feature(
        "dispute_rate_180d",
        "Dispute rate, 180 days",
        "Disputes and chargebacks on the orders of 180 days that ended 30 days ago, per order.",
        "ratio",
        210,
        Total("disputes", 180, SETTLED) / Total("orders", 180, SETTLED),
        1,
        "Disputes end in chargebacks, and in marketplaces that hold money back.",
        "disputes",
        actionable=True,
    ),
    Feature(
        "quick_refund_share_180d",
        "Refunds within two days, 180 days",
        "Value refunded within 48 hours of the order, not as a cancellation, over the value of all orders.",
        "ratio",
        210,
        _share("quickly_refunded", 180),
        1,
        "Money that goes back before goods can travel is a mark of fake orders.",
        "integrity",
    ),
    Feature(
        "own_store_share_180d",
        "Orders from own stores, 180 days",
        "Value of orders that the owner's own accounts placed, over the value of orders from others.",
        "ratio",
        180,
        Total("own_store_gross", 180) / _SPENT,
        1,
        "Whoever buys from himself has something to hide.",
        "integrity",
    ),
    Feature(
        "orders_per_buyer_180d",
        "Orders per buyer, 180 days",
        "Number of orders divided by the number of distinct buyers.",
        "count",
        180,
        Total("orders", 180) / Buyers(180),
        0,
        "Loyal buyers and few fake ones look alike here; other features tell them apart.",
        "loyalty",
    ),
    Feature(
        "buyer_concentration_180d",
        "Concentration of buyers, 180 days",
        "Sum over buyers of their squared share of sales (Herfindahl index): 1 is one buyer, near 0 is many.",
        "ratio",
        180,
        BuyerSquares(180) / _SPENT / _SPENT,
        1,
        "Who depends on one buyer falls with it.",
        "customers",
        actionable=True,
    ),
    Feature(
        "repeat_buyer_share_180d",
        "Returning buyers, 180 days",
        "Share of buyers who ordered at least twice.",
        "ratio",
        180,
        Buyers(180, orders=2) / Buyers(180),
        0,
        "Returning buyers are worth most, but are cheap to fake.",
        "loyalty",
    ),
)
