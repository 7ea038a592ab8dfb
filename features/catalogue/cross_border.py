"""Cross-border features: buyer countries and order currencies."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature
from features.expressions import Expr, Groups, GroupSquares, HomeTotal, LargestGroup, Total

_GROSS: Final = Total("gross", 180)


def _at_home(days: int) -> Expr:
    return HomeTotal("buyer_country", "country", "gross", days) / Total("gross", days)


_raises_risk = partial(Feature, sign=1, reason_group="markets")
_either_way = partial(Feature, sign=0, reason_group="markets")

CROSS_BORDER: Final = (
    _raises_risk(
        name="country_concentration_180d",
        label="Buyer country concentration, last 180 days",
        meaning="Sum over buyer countries of squared shares of gross sales (Herfindahl index), last 180 days.",
        expression=GroupSquares("buyer_country", "gross", 180) / _GROSS / _GROSS,
        sign_reason="A seller with one market depends on the rules of one country.",
    ),
    _raises_risk(
        name="top_country_share_180d",
        label="Largest buyer country, share of sales, last 180 days",
        meaning="Gross sales to the buyer country with the highest sales, over all of the last 180 days.",
        expression=LargestGroup("buyer_country", "gross", 180) / _GROSS,
        sign_reason="The closing of one market should not endanger the business.",
    ),
    _either_way(
        name="country_count_180d",
        label="Buyer countries, last 180 days",
        meaning="Number of countries from which orders came in the last 180 days.",
        unit="count",
        expression=Groups("buyer_country", "orders", 180) * 1.0,
        sign_reason="More countries mean more reach and more work.",
    ),
    _either_way(
        name="home_share_180d",
        label="Domestic sales, share of sales, last 180 days",
        meaning="Gross sales to buyers in the seller's own country, over all of the last 180 days.",
        expression=_at_home(180),
        sign_reason="Domestic and export markets carry different risks.",
    ),
    _either_way(
        name="home_share_change",
        label="Domestic sales, share of sales, change against 180 days",
        meaning="Domestic share of sales of the last 90 days less that of the last 180.",
        unit="pp",
        expression=HomeTotal("buyer_country", "country", "gross", 90) / Total("gross", 90)
        - HomeTotal("buyer_country", "country", "gross", 180) / _GROSS,
        sign_reason="A shift between markets can be growth or retreat.",
    ),
    _either_way(
        name="currency_count_180d",
        label="Order currencies, last 180 days",
        meaning="Number of currencies in which orders were paid in the last 180 days.",
        unit="count",
        expression=Groups("currency", "orders", 180) * 1.0,
        sign_reason="More currencies spread exchange-rate risk and add costs.",
        structural=True,
    ),
    _either_way(
        name="foreign_currency_share_180d",
        label="Foreign-currency sales, share of sales, last 180 days",
        meaning="Share of gross sales of the last 180 days that were paid in another currency than the seller's own.",
        expression=1 - HomeTotal("currency", "base_currency", "gross", 180) / _GROSS,
        sign_reason="Foreign currency can rise or fall against the seller's costs.",
        structural=True,
    ),
)
