"""Exact arithmetic with missing values: fractions that stay fractions until the last step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isqrt

Number = Fraction | None
"""None is missing: unknown, which is not zero."""

Values = dict[str, Number]
"""Features by name."""

ONE = Fraction(1)
MILLION = Fraction(10**6)

_ROOT_BITS = 128


def over(value: Number, by: Number) -> Number:
    """Divide: missing where either is missing, or where it would be by zero or less."""
    return None if value is None or by is None or by <= 0 else value / by


def told(value: Number, by: Number) -> Number:
    """Return the value; missing where what would tell of it is nothing or missing."""
    return value if by else None


def less(value: Number, other: Number) -> Number:
    """Subtract: missing where either is."""
    return None if value is None or other is None else value - other


def at_most(value: Number, end: Fraction) -> Number:
    """Return the smaller, and a missing value as it is."""
    return None if value is None else min(value, end)


def at_least(value: Number, end: Fraction) -> Number:
    """Return the larger, and a missing value as it is."""
    return None if value is None else max(value, end)


def in_dollars(micros: Number) -> Number:
    """Return micro-USD as USD."""
    return over(micros, MILLION)


def the_most(values: Sequence[int]) -> Fraction:
    """Return the largest value, 0 of none."""
    return Fraction(max(values, default=0))


def concentration(parts: Sequence[int]) -> Number:
    """Return the Herfindahl index: the sum of squared shares; missing where the parts sum to nothing.

    Example: parts of 3 and 1 give (3/4)^2 + (1/4)^2 = 5/8.
    """
    whole = Fraction(sum(parts))
    return over(Fraction(sum(part * part for part in parts)), whole * whole)


def lower_median(values: Sequence[int]) -> Number:
    """Return the smallest of the values that at least half of them do not exceed; missing of none.

    Example: of 1, 2, 3, 4 it is 2.
    """
    halves = [value for value in values if 2 * sum(1 for other in values if other <= value) >= len(values)]
    return Fraction(min(halves)) if halves else None


def middle(values: Sequence[Fraction]) -> Number:
    """Return the plain median, the mean of the middle two; missing of none."""
    ordered, half = sorted(values), len(values) // 2
    if not ordered:
        return None
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def variation(values: Sequence[Fraction]) -> Number:
    """Return the standard deviation (of all there are, not of a sample) over the mean.

    Example: of 1 and 3 it is 1/2.
    """
    count = len(values)
    mean = sum(values, Fraction()) / count
    squares = sum(((value - mean) ** 2 for value in values), Fraction())
    return over(root(squares / count), mean)


def rise(values: Sequence[Fraction]) -> Number:
    """Return the rise of the least-squares line from end to end (slope times length), over the mean.

    Example: 1, 2, 3 rise by 1 a day, 3 days, over 2: 3/2.
    """
    count = len(values)
    days = [Fraction(number) for number in range(1, count + 1)]
    middle_day, mean = sum(days, Fraction()) / count, sum(values, Fraction()) / count
    slope = _products(days, middle_day, values, mean) / _products(days, middle_day, days, middle_day)
    return over(slope * count, mean)


def _products(left: Sequence[Fraction], about: Fraction, right: Sequence[Fraction], centre: Fraction) -> Fraction:
    return sum(((one - about) * (two - centre) for one, two in zip(left, right, strict=True)), Fraction())


def root(value: Fraction) -> Fraction:
    """Return the square root, cut to some 38 digits: more than a double can tell."""
    inside = value.numerator * value.denominator
    return Fraction(isqrt(inside << (2 * _ROOT_BITS)), value.denominator << _ROOT_BITS)


def of_all(values: Sequence[Number], work: Callable[[Sequence[Fraction]], Number]) -> Number:
    """Return what `work` makes of the values; missing where one of them is."""
    known = [value for value in values if value is not None]
    return work(known) if len(known) == len(values) else None
