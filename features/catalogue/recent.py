"""The latest weeks: a fall below the weeks before, and the weakest two weeks or month since the seller began.

Amounts rather than counts or days, and never more than the usual level: a fake order that lifts them costs its price.
"""

from typing import Final

from features.catalogue.definition import Feature, if_sold_since
from features.catalogue.sales import net_sales
from features.expressions import DaysSinceFirst, Expr, Least, LeastKnown, Number, Total

_ONE: Final = Number(1.0)
_FORTNIGHT: Final = 14
"""Two weeks cost twice as much to fill with fake orders as one, and ranked real merchants as well."""
_MONTH: Final = 28
"""Four whole weeks, so that each holds the same weekdays."""


def _so_far(days: int, lag: int = 0) -> Total:
    """Return gross sales of the window less what was refunded of them by now."""
    return net_sales(days, lag)


def _hold(days: int, before: int) -> Expr:
    """Daily sales of the last days over those of the days before, at most 1: only a fall counts."""
    return Least((_so_far(days) * Number(before / days) / _so_far(before, days), _ONE))


def _weakest(length: int, days: int) -> Expr:
    """Sales of the weakest of several equal parts of a window over the average part, since the seller's first order.

    Parts that begin before the first order are left out; so are sellers who began less than two months ago.
    """
    parts = tuple(_so_far(length, lag) * if_sold_since(lag + length) for lag in range(0, days, length))
    sold_days = Least((DaysSinceFirst(), Number(float(days))))
    return LeastKnown(parts) * (sold_days / Number(float(length))) / _so_far(days) * if_sold_since(2 * _MONTH)


RECENT: Final = (
    Feature(
        "fortnight_hold_28d",
        "Last two weeks against the four weeks before",
        "Daily net sales of the last 14 days, with the refunds known so far, divided by those of the 28 days before, "
        "at most 1.",
        "ratio",
        42,
        _hold(_FORTNIGHT, _MONTH),
        -1,
        "A fall of two weeks shows distress first; a rise can be bought, so it earns nothing.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "month_hold_56d",
        "Last four weeks against the eight weeks before",
        "Daily net sales of the last 28 days, with the refunds known so far, divided by those of the 56 days before, "
        "at most 1.",
        "ratio",
        84,
        _hold(_MONTH, 2 * _MONTH),
        -1,
        "A month below the two before it is a turn for the worse.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "weakest_fortnight_56d",
        "Weakest of 4 two-week periods against the average",
        "Net sales of the weakest of the last 4 two-week periods, with the refunds known so far, divided by the "
        "average one.",
        "ratio",
        56,
        _weakest(_FORTNIGHT, 2 * _MONTH),
        -1,
        "Income that failed for two weeks of the last two months may fail again when an instalment is due.",
        "stability",
    ),
    Feature(
        "weakest_fortnight_182d",
        "Weakest of 13 two-week periods against the average",
        "Net sales of the weakest of the last 13 two-week periods, or of those since the first order, with the refunds "
        "known so far, divided by the average one.",
        "ratio",
        182,
        _weakest(_FORTNIGHT, 182),
        -1,
        "A shop that closed for two weeks or more within half a year may close again.",
        "stability",
    ),
    Feature(
        "weakest_month_196d",
        "Weakest of 7 months against the average",
        "Net sales of the weakest of the last 7 months of 28 days, or of those since the first order, with the refunds "
        "known so far, divided by the average month.",
        "ratio",
        196,
        _weakest(_MONTH, 196),
        -1,
        "An instalment falls due in the weakest month too.",
        "stability",
    ),
)
"""Features of the latest weeks, and of the weakest."""
