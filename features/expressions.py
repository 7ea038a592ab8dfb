"""The small language that features are written in: measures over windows, and arithmetic on them. Data, no engine code.

A measure is a whole number made from daily facts (or buyers) of one seller as of T. A window of `days` with a `lag`
is [T - lag - days, T - lag). Arithmetic is in doubles; whatever cannot be known is missing, and missing spreads.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expr:
    """Anything with a value for a seller as of T; `+ - * /` combine expressions into new ones."""

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
class Number(Expr):
    """A constant."""

    value: float


@dataclass(frozen=True)
class Arithmetic(Expr):
    """Two expressions and one of `+ - * /`."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Root(Expr):
    """The square root, of zero where rounding made the value negative."""

    of: Expr


@dataclass(frozen=True)
class Least(Expr):
    """The smaller of two values; missing where one is."""

    left: Expr
    right: Expr


@dataclass(frozen=True)
class Greatest(Expr):
    """The largest of several values; missing where one is."""

    of: tuple[Expr, ...]


@dataclass(frozen=True)
class Measure(Expr):
    """Base of what is aggregated; all else is arithmetic."""


@dataclass(frozen=True)
class Total(Measure):
    """The sum of a fact over a window; `net` names a fact to subtract: `Total("gross", 90, 30, "refunded")`."""

    fact: str
    days: int
    lag: int = 0
    net: str | None = None


@dataclass(frozen=True)
class SquareTotal(Measure):
    """The sum of squared daily totals over a window, exact in integers; the raw material of a variation."""

    fact: str
    days: int
    lag: int = 0
    net: str | None = None


@dataclass(frozen=True)
class PeakDay(Measure):
    """The largest daily total of a fact in a window, at least zero."""

    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class ActiveDays(Measure):
    """How many days of a window have more than none of a fact."""

    fact: str
    days: int
    lag: int = 0


@dataclass(frozen=True)
class DaysSinceLast(Measure):
    """Days from the latest day with more than none of a fact to T, looking back `days`; missing if there is none."""

    fact: str
    days: int


@dataclass(frozen=True)
class DaysSinceFirst(Measure):
    """Days from the first order day ever to T; missing where there was none."""


@dataclass(frozen=True)
class DaysOnPlatform(Measure):
    """Days from the seller's onboarding to T."""


@dataclass(frozen=True)
class Stores(Measure):
    """How many stores the seller owns as of T."""


@dataclass(frozen=True)
class Buyers(Measure):
    """How many distinct buyers ordered at least `orders` times in a window."""

    days: int
    orders: int = 1


@dataclass(frozen=True)
class BuyerSquares(Measure):
    """The sum over buyers of their squared spending in a window, exact; the raw material of a concentration."""

    days: int


def measures_of(expression: Expr) -> frozenset[Measure]:
    """Return every measure in an expression.

    Example:
        >>> len(measures_of(Total("refunded", 90) / Total("gross", 90)))
        2
    """
    match expression:
        case Measure():
            return frozenset({expression})
        case Arithmetic(_, left, right) | Least(left, right):
            return measures_of(left) | measures_of(right)
        case Root(inner):
            return measures_of(inner)
        case Greatest(several):
            return frozenset().union(*(measures_of(each) for each in several))
        case _:
            return frozenset()
