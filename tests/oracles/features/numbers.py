"""Exact arithmetic with missing values: fractions that stay fractions until the last step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isqrt

Number = Fraction | None
"""None means missing: unknown, not zero."""

Values = dict[str, Number]
"""Features by name."""

ONE = Fraction(1)
MILLION = Fraction(10**6)

_ROOT_BITS = 128


def over(value: Number, by: Number) -> Number:
    """Divide; missing if either is missing or the divisor is not positive."""
    return None if value is None or by is None or by <= 0 else value / by


def if_positive(value: Number, evidence: Number) -> Number:
    """Return the value; missing if the evidence is zero or missing."""
    return value if evidence else None


def less(value: Number, other: Number) -> Number:
    """Subtract; missing if either is missing."""
    return None if value is None or other is None else value - other


def at_most(value: Number, bound: Fraction) -> Number:
    """Return the smaller of value and bound; missing stays missing."""
    return None if value is None else min(value, bound)


def at_least(value: Number, bound: Fraction) -> Number:
    """Return the larger of value and bound; missing stays missing."""
    return None if value is None else max(value, bound)


def in_dollars(micros: Number) -> Number:
    """Return micro-USD as USD."""
    return over(micros, MILLION)


def largest(values: Sequence[int]) -> Fraction:
    """Return the largest value, 0 without values."""
    return Fraction(max(values, default=0))


def concentration(parts: Sequence[int]) -> Number:
    """Return the Herfindahl index: the sum of squared shares; missing if the parts sum to zero.

    Example: parts of 3 and 1 give (3/4)^2 + (1/4)^2 = 5/8.
    """
    whole = Fraction(sum(parts))
    return over(Fraction(sum(part * part for part in parts)), whole * whole)


def lower_median(values: Sequence[int]) -> Number:
    """Return the smallest value that at least half of the values do not exceed; missing without values.

    Example: the lower median of 1, 2, 3, 4 is 2.
    """
    halves = [value for value in values if 2 * sum(1 for other in values if other <= value) >= len(values)]
    return Fraction(min(halves)) if halves else None


def middle(values: Sequence[Fraction]) -> Number:
    """Return the median, the mean of the middle two if the count is even; missing without values."""
    ordered, half = sorted(values), len(values) // 2
    if not ordered:
        return None
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def variation(values: Sequence[Fraction]) -> Number:
    """Return the population standard deviation over the mean.

    Example: the variation of 1 and 3 is 1/2.
    """
    count = len(values)
    mean = sum(values, Fraction()) / count
    squares = sum(((value - mean) ** 2 for value in values), Fraction())
    return over(root(squares / count), mean)


def rise(values: Sequence[Fraction]) -> Number:
    """Return the rise of the least-squares line from end to end (slope times length), over the mean.

    Example: 1, 2, 3 rise by 1 per day for 3 days, and their mean is 2: 3/2.
    """
    count = len(values)
    days = [Fraction(number) for number in range(1, count + 1)]
    middle_day, mean = sum(days, Fraction()) / count, sum(values, Fraction()) / count
    slope = _products(days, middle_day, values, mean) / _products(days, middle_day, days, middle_day)
    return over(slope * count, mean)


def _products(
    left: Sequence[Fraction], left_mean: Fraction, right: Sequence[Fraction], right_mean: Fraction
) -> Fraction:
    return sum(((one - left_mean) * (two - right_mean) for one, two in zip(left, right, strict=True)), Fraction())


def root(value: Fraction) -> Fraction:
    """Return the square root, truncated to about 38 digits: more than a double has."""
    inside = value.numerator * value.denominator
    return Fraction(isqrt(inside << (2 * _ROOT_BITS)), value.denominator << _ROOT_BITS)


def of_all(values: Sequence[Number], work: Callable[[Sequence[Fraction]], Number]) -> Number:
    """Return the result of `work` for the values; missing if one of them is missing."""
    present = [value for value in values if value is not None]
    return work(present) if len(present) == len(values) else None
