"""Across borders: where buyers are, and in what money they pay."""

from typing import Final

from features.catalogue.definition import Feature
from features.expressions import Expr, Groups, GroupSquares, HomeTotal, LargestGroup, Number, Total

_GROSS: Final = Total("gross", 180)
_ONE: Final = Number(1.0)


def _at_home(days: int) -> Expr:
    return HomeTotal("buyer_country", "country", "gross", days) / Total("gross", days)


CROSS_BORDER: Final = (
    Feature(
        "country_concentration_180d",
        "Concentration of buyer countries, 180 days",
        "Sum over buyer countries of their squared share of gross sales (Herfindahl index), last 180 days.",
        "ratio",
        180,
        GroupSquares("buyer_country", "gross", 180) / _GROSS / _GROSS,
        1,
        "Who sells to one country stands and falls with its rules.",
        "markets",
    ),
    Feature(
        "top_country_share_180d",
        "Largest buyer country's share, 180 days",
        "Gross sales to the country that buys most, over all of the last 180 days.",
        "ratio",
        180,
        LargestGroup("buyer_country", "gross", 180) / _GROSS,
        1,
        "One corridor that closes should not close the firm.",
        "markets",
    ),
    Feature(
        "country_count_180d",
        "Buyer countries, 180 days",
        "Number of countries from which orders came in the last 180 days.",
        "count",
        180,
        Groups("buyer_country", "orders", 180) * _ONE,
        0,
        "More countries are reach, and more work.",
        "markets",
    ),
    Feature(
        "home_share_180d",
        "Sales at home, 180 days",
        "Gross sales to buyers in the seller's own country, over all of the last 180 days.",
        "ratio",
        180,
        _at_home(180),
        0,
        "Home and export markets carry different risks.",
        "markets",
    ),
    Feature(
        "home_share_change",
        "Change of sales at home",
        "Share of sales at home of the last 90 days less that of the last 180.",
        "pp",
        180,
        HomeTotal("buyer_country", "country", "gross", 90) / Total("gross", 90)
        - HomeTotal("buyer_country", "country", "gross", 180) / _GROSS,
        0,
        "A shift of markets can be growth or retreat.",
        "markets",
    ),
    Feature(
        "currency_count_180d",
        "Currencies, 180 days",
        "Number of currencies in which orders were paid in the last 180 days.",
        "count",
        180,
        Groups("currency", "orders", 180) * _ONE,
        0,
        "More currencies spread the risk of each and add their costs.",
        "markets",
        structural=True,
    ),
    Feature(
        "foreign_currency_share_180d",
        "Sales in foreign money, 180 days",
        "Share of gross sales of the last 180 days that were paid in another currency than the seller's own.",
        "ratio",
        180,
        _ONE - HomeTotal("currency", "base_currency", "gross", 180) / _GROSS,
        0,
        "Foreign money can rise or fall against the costs at home.",
        "markets",
        structural=True,
    ),
)
