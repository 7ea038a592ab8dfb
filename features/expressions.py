"""The expression language of features: measures over time windows and arithmetic on them, without engine code.

A measure is one number for a seller as of T. A window of `days` with a `lag` is [T - lag - days, T - lag).
Arithmetic uses doubles. A value that cannot be computed is missing, and so is everything computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Expr:
    """Base of all expressions: a value for a seller as of T. `+ - * /` combine expressions and plain numbers.

    Attributes:
        tag: names the kind of expression in digests and column names. It stays when the class is renamed, and changes
            when the kind is computed differently.
    """

    tag: ClassVar[str]

    def __init_subclass__(cls, *, tag: str) -> None:
        super().__init_subclass__()
        cls.tag = tag

    def __add__(self, other: Expr | float) -> Expr:
        return Arithmetic("+", self, _as_expression(other))

    def __sub__(self, other: Expr | float) -> Expr:
        return Arithmetic("-", self, _as_expression(other))

    def __rsub__(self, other: float) -> Expr:
        return Arithmetic("-", Number(float(other)), self)

    def __mul__(self, other: Expr | float) -> Expr:
        return Arithmetic("*", self, _as_expression(other))

    def __truediv__(self, other: Expr | float) -> Expr:
        """Divide; missing if the divisor is zero or negative, because a rate of nothing is unknown."""
        return Arithmetic("/", self, _as_expression(other))


@dataclass(frozen=True)
class Number(Expr, tag="number"):
    """A constant."""

    value: float


@dataclass(frozen=True)
class Arithmetic(Expr, tag="arithmetic"):
    """Two expressions and one of `+ - * /`."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Root(Expr, tag="root"):
    """The square root of a value that is never negative."""

    of: Expr


@dataclass(frozen=True)
class Several(Expr, tag="several"):
    """Base of the expressions that choose one of several values."""

    of: tuple[Expr, ...]


class Least(Several, tag="least"):
    """The smallest of several values; missing if one is missing."""


class LeastKnown(Several, tag="least_known"):
    """The smallest of the values that are not missing; missing if all are."""


class Greatest(Several, tag="greatest"):
    """The largest of several values; missing if one is missing."""


@dataclass(frozen=True)
class Measure(Expr, tag="measure"):
    """Base of everything that is aggregated from rows."""

    @property
    def reach(self) -> int:
        """The number of days that the measure looks back from T; 0 if it has no window.

        Example:
            >>> Total("gross", 90, 30).reach
            120
        """
        return sum(getattr(self, name, 0) for name in ("days", "lag", "before"))

    @property
    def span(self) -> tuple[int, int]:
        """The `days` and the `lag` of the window."""
        return getattr(self, "days", 0), getattr(self, "lag", 0)

    @property
    def facts(self) -> frozenset[str]:
        """The names of the daily facts that the measure adds up."""
        return frozenset(filter(None, (getattr(self, name, None) for name in ("fact", "other", "net"))))


# Measures of daily facts


@dataclass(frozen=True)
class FactMeasure(Measure, tag="fact_measure"):
    """Base of the measures of one fact over a window."""

    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class NetMeasure(FactMeasure, tag="net_measure"):
    """Base of the measures of a fact less another, `net`: `Total("gross", 90, 30, net="refunded")`."""

    net: str | None = None


class Total(NetMeasure, tag="total"):
    """The sum of a fact over a window."""


class AgeTotal(NetMeasure, tag="age_total"):
    """The sum of a fact times its age in days (1 for the day before T) over a window."""


@dataclass(frozen=True)
class DaysSinceLast(Measure, tag="days_since_last"):
    """Days from the latest of the last `days` with a fact above zero to T; missing without such a day."""

    fact: str
    days: int


# Measures of a seller's daily totals over all stores


class Spread(NetMeasure, tag="spread"):
    """n times the sum of squared daily totals less the square of their sum, exact: n^2 times their variance."""


@dataclass(frozen=True)
class ProductTotal(Measure, tag="product_total"):
    """The sum over the days of a window of one fact's daily total times another's, exact."""

    fact: str
    other: str
    days: int
    lag: int = 0


class PeakDay(FactMeasure, tag="peak_day"):
    """The largest daily total of a fact in a window, at least zero."""


@dataclass(frozen=True)
class PeakDays(Measure, tag="peak_days"):
    """The sum of the `count` largest daily totals of a fact in a window."""

    fact: str
    count: int
    days: int
    lag: int = 0


class MedianDay(NetMeasure, tag="median_day"):
    """The median of a fact's daily totals above zero in a window; missing without any."""


class LatestDay(NetMeasure, tag="latest_day"):
    """Days from the latest day with a fact's total above zero to T; missing without any."""


class ActiveDays(FactMeasure, tag="active_days"):
    """The number of days of a window with a fact's total above zero."""


# Measures by a further key of the tiles


@dataclass(frozen=True)
class KeyMeasure(Measure, tag="key_measure"):
    """Base of the measures of a fact by the values of a key: `Groups("buyer_country", "orders", 180)`."""

    key: str
    fact: str
    days: int
    lag: int = 0


class MedianOf(KeyMeasure, tag="median_of"):
    """The lower median of a whole-number key over the rows that a fact counts: `MedianOf("hours", "shipped", 90)`."""


class Groups(KeyMeasure, tag="groups"):
    """The number of key values with a fact above zero."""


class GroupSquares(KeyMeasure, tag="group_squares"):
    """The sum over key values of a fact's squared sum, exact; a concentration index divides it by the total."""


class LargestGroup(KeyMeasure, tag="largest_group"):
    """The largest sum of a fact over the values of a key, at least zero."""


@dataclass(frozen=True)
class HomeTotal(Measure, tag="home_total"):
    """The sum of a fact over rows whose key equals the seller's own `column` as of T, such as domestic sales."""

    key: str
    column: str
    fact: str
    days: int
    lag: int = 0


# Measures of buyers


@dataclass(frozen=True)
class BuyerMeasure(Measure, tag="buyer_measure"):
    """Base of the measures of buyers. Orders without a buyer id count as no buyer unless documented otherwise."""

    days: int


@dataclass(frozen=True)
class Buyers(BuyerMeasure, tag="buyers"):
    """The number of distinct buyers with at least `orders` orders in a window."""

    orders: int = 1
    lag: int = 0


class BuyerOrders(BuyerMeasure, tag="buyer_orders"):
    """The number of orders of a window that name their buyer."""


@dataclass(frozen=True)
class ReturningBuyers(BuyerMeasure, tag="returning_buyers"):
    """The number of distinct buyers of the latest `days` who also ordered in the `before` days before."""

    before: int


@dataclass(frozen=True)
class BuyerSales(BuyerMeasure, tag="buyer_sales"):
    """Gross sales of a window to buyers with at least `orders` orders in it."""

    orders: int


class BuyerSquares(BuyerMeasure, tag="buyer_squares"):
    """The sum over buyers of their squared spending, exact; orders without a buyer id count as one buyer's."""


class TopBuyer(BuyerMeasure, tag="top_buyer"):
    """The spending of the largest buyer, at least zero; orders without a buyer id count as one buyer's."""


@dataclass(frozen=True)
class RushOrders(BuyerMeasure, tag="rush_orders"):
    """The number of orders whose buyer placed at least `orders` in the same hour of the clock."""

    orders: int


# Measures of the seller's loans (see `features.measures.repayment`)


@dataclass(frozen=True)
class LoanMeasure(Measure, tag="loan_measure"):
    """Base of the measures of loans."""


@dataclass(frozen=True)
class InstalmentMeasure(LoanMeasure, tag="instalment_measure"):
    """Base of the measures of instalments of the last `days`."""

    days: int


class Instalments(InstalmentMeasure, tag="instalments"):
    """The number of instalments that fell due."""


class LateInstalments(InstalmentMeasure, tag="late_instalments"):
    """The number of instalments that fell due and were more than LATE_DAYS past due."""


class PastDueDays(InstalmentMeasure, tag="past_due_days"):
    """The sum of the days past due of the instalments that fell due."""


class WorstPastDue(InstalmentMeasure, tag="worst_past_due"):
    """The most days past due of an instalment that was unpaid on some day of the window."""


class LoansRepaid(LoanMeasure, tag="loans_repaid"):
    """The number of loans past their term with nothing unpaid."""


class Owed(LoanMeasure, tag="owed"):
    """The unpaid principal of all loans, micro-USD."""


# Measures of the seller and of the calendar


class DaysSinceFirst(Measure, tag="days_since_first"):
    """Days from the first order to T; missing without an order."""


class DaysOnPlatform(Measure, tag="days_since_earliest_onboarding"):
    """Days from the seller's onboarding to T; of several delivered days, the earliest counts."""


class Stores(Measure, tag="stores"):
    """The number of the seller's stores as of T."""


class Marketplaces(Measure, tag="marketplaces"):
    """The number of marketplaces on which the seller has a store as of T."""


class OldestStore(Measure, tag="oldest_store"):
    """Days from the opening of the seller's oldest store to T; missing without a store."""


@dataclass(frozen=True)
class FestivalDays(Measure, tag="festival_days"):
    """The number of festival days in a window."""

    days: int
    lag: int = 0


def measures_of(expression: Expr) -> frozenset[Measure]:
    """Return every measure in an expression.

    Example:
        >>> len(measures_of(Total("refunded", 90) / Total("gross", 90)))
        2
    """
    match expression:
        case Measure():
            return frozenset({expression})
        case Arithmetic(_, left, right):
            return measures_of(left) | measures_of(right)
        case Root(inner):
            return measures_of(inner)
        case Several(values):
            return frozenset().union(*map(measures_of, values))
    return frozenset()


def at_most(value: Expr, limit: float) -> Expr:
    """Return the value, or the limit if that is smaller; missing if the value is."""
    return Least((value, _as_expression(limit)))


def at_least(value: Expr, limit: float) -> Expr:
    """Return the value, or the limit if that is larger; missing if the value is."""
    return Greatest((value, _as_expression(limit)))


def _as_expression(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Number(float(value))
