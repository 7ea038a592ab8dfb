"""Features of the latest weeks: a fall below the weeks before, and the weakest period since the first order.

They use amounts, not counts, and are capped at the usual level, so that fake orders cost their full price.
"""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_sold_since
from features.catalogue.sales import net_sales
from features.expressions import DaysSinceFirst, Expr, LeastKnown, Total, at_most

_FORTNIGHT: Final = 14
"""Days. Fake orders for two weeks cost twice those for one, and two weeks rank real merchants equally well."""
_MONTH: Final = 28
"""Days: four whole weeks, so that each period has the same weekdays."""


def _so_far(days: int, lag: int = 0) -> Total:
    """Net sales of the window with the refunds known as of T."""
    return net_sales(days, lag)


def _hold(days: int, before: int) -> Expr:
    """Daily net sales of the last days over those of the days before, at most 1."""
    return at_most(_so_far(days) * (before / days) / _so_far(before, days), 1)


def _weakest(length: int, days: int) -> Expr:
    """Net sales of the weakest period of a window over the average period.

    Periods that begin before the first order are left out. Missing until two months after the first order.
    """
    parts = tuple(_so_far(length, lag) * if_sold_since(lag + length) for lag in range(0, days, length))
    sold_days = at_most(DaysSinceFirst(), days)
    return LeastKnown(parts) * (sold_days / length) / _so_far(days) * if_sold_since(2 * _MONTH)


_lowers_risk = partial(Feature, sign=-1, reason_group="stability")

RECENT: Final = (
    _lowers_risk(
        name="fortnight_hold_28d",
        label="Sales of the last 2 weeks against the 4 weeks before",
        meaning="Daily net sales so far of the last 14 days divided by those of the 28 days before, at most 1.",
        expression=_hold(_FORTNIGHT, _MONTH),
        sign_reason="A fall over two weeks is an early sign of distress; a rise can be faked and earns nothing.",
        reason_group="sales_trend",
        actionable=True,
    ),
    _lowers_risk(
        name="month_hold_56d",
        label="Sales of the last 4 weeks against the 8 weeks before",
        meaning="Daily net sales so far of the last 28 days divided by those of the 56 days before, at most 1.",
        expression=_hold(_MONTH, 2 * _MONTH),
        sign_reason="A month below the two months before it is a turn for the worse.",
        reason_group="sales_trend",
        actionable=True,
    ),
    _lowers_risk(
        name="weakest_fortnight_56d",
        label="Weakest of the last 4 two-week periods",
        meaning="Weakest net sales so far of the last 4 two-week periods, over their mean.",
        expression=_weakest(_FORTNIGHT, 2 * _MONTH),
        sign_reason="Income that failed for two of the last eight weeks may fail again when an instalment is due.",
    ),
    _lowers_risk(
        name="weakest_fortnight_182d",
        label="Weakest of the last 13 two-week periods",
        meaning="Weakest net sales so far of the last 13 two-week periods since the first order, over their mean.",
        expression=_weakest(_FORTNIGHT, 182),
        sign_reason="A store that closed for two weeks within half a year may close again.",
    ),
    _lowers_risk(
        name="weakest_month_196d",
        label="Weakest of the last 7 four-week periods",
        meaning="Weakest net sales so far of the last 7 four-week periods since the first order, over their mean.",
        expression=_weakest(_MONTH, 196),
        sign_reason="An instalment must also be paid after the weakest month.",
    ),
)
