"""The small language that features are written in: measures over windows, and arithmetic on them. Data, no engine code.

A measure is one number made of the rows that a seller shows as of T. A window of `days` with a `lag` is
[T - lag - days, T - lag). Arithmetic is in doubles; whatever cannot be known is missing, and missing spreads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Expr:
    """Anything with a value for a seller as of T; `+ - * /` combine expressions into new ones.

    Attributes:
        tag: names the kind of expression in digests and column names. It stays when the class is renamed, and changes
            when the kind is computed differently.
    """

    tag: ClassVar[str]

    def __init_subclass__(cls, *, tag: str) -> None:
        super().__init_subclass__()
        cls.tag = tag

    def __add__(self, other: Expr) -> Expr:
        return Arithmetic("+", self, other)

    def __sub__(self, other: Expr) -> Expr:
        return Arithmetic("-", self, other)

    def __mul__(self, other: Expr) -> Expr:
        return Arithmetic("*", self, other)

    def __truediv__(self, other: Expr) -> Expr:
        """Divide; missing where the divisor is zero or less: a rate of nothing is unknown."""
        return Arithmetic("/", self, other)


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
    """The square root of what is never negative."""

    of: Expr


@dataclass(frozen=True)
class Least(Expr, tag="least"):
    """The smallest of several values; missing where one is."""

    of: tuple[Expr, ...]


@dataclass(frozen=True)
class LeastKnown(Expr, tag="least_known"):
    """The smallest of the values that are not missing; missing where all are."""

    of: tuple[Expr, ...]


@dataclass(frozen=True)
class Greatest(Expr, tag="greatest"):
    """The largest of several values; missing where one is."""

    of: tuple[Expr, ...]


@dataclass(frozen=True)
class Measure(Expr, tag="measure"):
    """Base of what is aggregated; all else is arithmetic."""


# Of daily facts, wherever in the window their day lies


@dataclass(frozen=True)
class Total(Measure, tag="total"):
    """The sum of a fact over a window; `net` names a fact to subtract: `Total("gross", 90, 30, "refunded")`."""

    fact: str
    days: int
    lag: int = 0
    net: str | None = None


@dataclass(frozen=True)
class AgeTotal(Measure, tag="age_total"):
    """The sum over a window of a fact times the days that it lies back, 1 for the day before T."""

    fact: str
    days: int
    lag: int = 0
    net: str | None = None


# Of a seller's daily totals, over all stores


@dataclass(frozen=True)
class Spread(Measure, tag="spread"):
    """n times the sum of squared daily totals less the square of their sum, exact; n^2 times their variance."""

    fact: str
    days: int
    lag: int = 0
    net: str | None = None


@dataclass(frozen=True)
class ProductTotal(Measure, tag="product_total"):
    """The sum over a window's days of one fact's daily total times another's, exact."""

    fact: str
    other: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class PeakDay(Measure, tag="peak_day"):
    """The largest daily total of a fact in a window, at least zero."""

    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class PeakDays(Measure, tag="peak_days"):
    """The sum of the `count` largest daily totals of a fact in a window."""

    fact: str
    count: int
    days: int
    lag: int = 0


@dataclass(frozen=True)
class MedianDay(Measure, tag="median_day"):
    """The median of a fact's daily totals over the days of a window that have more than none; missing without any."""

    fact: str
    days: int
    lag: int = 0
    net: str | None = None


@dataclass(frozen=True)
class LatestDay(Measure, tag="latest_day"):
    """Days from the latest day on which a fact's total is more than none to T; missing where no day's is."""

    fact: str
    days: int
    lag: int = 0
    net: str | None = None


@dataclass(frozen=True)
class ActiveDays(Measure, tag="active_days"):
    """How many days of a window have more than none of a fact."""

    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class DaysSinceLast(Measure, tag="days_since_last"):
    """Days from the latest day with more than none of a fact to T, looking back `days`; missing if there is none."""

    fact: str
    days: int


# Of a fact's rows by a further key of their tiles


@dataclass(frozen=True)
class MedianOf(Measure, tag="median_of"):
    """The lower median of a whole-number key over the rows that a fact counts: `MedianOf("hours", "shipped", 90)`."""

    key: str
    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class Groups(Measure, tag="groups"):
    """How many values of a key have more than none of a fact in a window: `Groups("buyer_country", "orders", 180)`."""

    key: str
    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class GroupSquares(Measure, tag="group_squares"):
    """The sum over a key's values of the squared sum of a fact, exact; the raw material of a concentration."""

    key: str
    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class LargestGroup(Measure, tag="largest_group"):
    """The largest sum of a fact over the values of a key, at least zero."""

    key: str
    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class HomeTotal(Measure, tag="home_total"):
    """The sum of a fact over rows whose key is the seller's own `column` as of T: sales in his own country."""

    key: str
    column: str
    fact: str
    days: int
    lag: int = 0


# Of buyers


@dataclass(frozen=True)
class Buyers(Measure, tag="buyers"):
    """How many distinct buyers ordered at least `orders` times in a window."""

    days: int
    orders: int = 1
    lag: int = 0


@dataclass(frozen=True)
class BuyerOrders(Measure, tag="buyer_orders"):
    """How many orders of a window name their buyer."""

    days: int


@dataclass(frozen=True)
class ReturningBuyers(Measure, tag="returning_buyers"):
    """How many distinct buyers of the latest `days` had ordered in the `before` days before those, too."""

    days: int
    before: int


@dataclass(frozen=True)
class BuyerSales(Measure, tag="buyer_sales"):
    """What buyers spent in a window who ordered at least `orders` times in it."""

    days: int
    orders: int


@dataclass(frozen=True)
class BuyerSquares(Measure, tag="buyer_squares"):
    """The sum over buyers of their squared spending in a window, exact; orders that name no buyer are one buyer's."""

    days: int


@dataclass(frozen=True)
class TopBuyer(Measure, tag="top_buyer"):
    """The most that one buyer spent in a window, at least zero; orders that name no buyer are one buyer's."""

    days: int


@dataclass(frozen=True)
class RushOrders(Measure, tag="rush_orders"):
    """How many orders of a window came from a buyer who placed at least `orders` in the same hour of the clock."""

    days: int
    orders: int


# Of the seller's loans (see `features.measures.repayment`)


@dataclass(frozen=True)
class Instalments(Measure, tag="instalments"):
    """How many instalments fell due in the last `days`."""

    days: int


@dataclass(frozen=True)
class LateInstalments(Measure, tag="late_instalments"):
    """How many instalments that fell due in the last `days` were more than LATE_DAYS past due."""

    days: int


@dataclass(frozen=True)
class PastDueDays(Measure, tag="past_due_days"):
    """The days past due of all instalments that fell due in the last `days`, added up."""

    days: int


@dataclass(frozen=True)
class WorstPastDue(Measure, tag="worst_past_due"):
    """The most days past due of any instalment that was not yet covered on some day of the last `days`."""

    days: int


@dataclass(frozen=True)
class LoansRepaid(Measure, tag="loans_repaid"):
    """How many loans are past their term with nothing unpaid."""


@dataclass(frozen=True)
class Owed(Measure, tag="owed"):
    """The principal of all loans that payments have not reached, micro-USD."""


# Of the seller himself, and of the calendar


@dataclass(frozen=True)
class DaysSinceFirst(Measure, tag="days_since_first"):
    """Days from the first order day ever to T; missing where there was none."""


@dataclass(frozen=True)
class DaysOnPlatform(Measure, tag="days_on_platform"):
    """Days from the seller's onboarding to T."""


@dataclass(frozen=True)
class Stores(Measure, tag="stores"):
    """How many stores the seller owns as of T."""


@dataclass(frozen=True)
class Marketplaces(Measure, tag="marketplaces"):
    """On how many marketplaces the seller owns a store as of T."""


@dataclass(frozen=True)
class OldestStore(Measure, tag="oldest_store"):
    """Days from the opening of the seller's oldest store to T; missing without a store."""


@dataclass(frozen=True)
class FestivalDays(Measure, tag="festival_days"):
    """How many days of a window are festival days; a matter of the calendar alone."""

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
        case Greatest(several) | Least(several) | LeastKnown(several):
            return frozenset().union(*(measures_of(each) for each in several))
        case _:
            return frozenset()
