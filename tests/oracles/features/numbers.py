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
    return None if value is None or other is None else value - other


def at_most(value: Number, bound: Fraction) -> Number:
    """Return the smaller of value and bound; missing stays missing."""
    return None if value is None else min(value, bound)


def at_least(value: Number, bound: Fraction) -> Number:
    """Return the larger of value and bound; missing stays missing."""
    return None if value is None else max(value, bound)


def in_dollars(micros: Number) -> Number:
    return over(micros, MILLION)


def largest(values: Sequence[int]) -> Fraction:
    return Fraction(max(values, default=0))


def concentration(parts: Sequence[int]) -> Number:
    """Return the Herfindahl index: the sum of squared shares; missing if the parts sum to zero."""
    whole = Fraction(sum(parts))
    return over(Fraction(sum(part * part for part in parts)), whole * whole)


def lower_median(values: Sequence[int]) -> Number:
    """Return the smallest value that at least half of the values do not exceed; missing without values."""
    halves = [value for value in values if 2 * sum(1 for other in values if other <= value) >= len(values)]
    return Fraction(min(halves)) if halves else None


def middle(values: Sequence[Fraction]) -> Number:
    """Return the median, the mean of the middle two if the count is even; missing without values."""
    ordered, half = sorted(values), len(values) // 2
    if not ordered:
        return None
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def variation(values: Sequence[Fraction]) -> Number:
    """Return the population standard deviation over the mean."""
    count = len(values)
    mean = sum(values, Fraction()) / count
    squares = sum(((value - mean) ** 2 for value in values), Fraction())
    return over(root(squares / count), mean)


def rise(values: Sequence[Fraction]) -> Number:
    """Return the rise of the least-squares line from end to end (slope times length), over the mean."""
    count = len(values)
    mean = sum(values, Fraction()) / count
    from_middle = [day - Fraction(count + 1, 2) for day in range(1, count + 1)]
    products = sum((day * (value - mean) for day, value in zip(from_middle, values, strict=True)), Fraction())
    return over(products / sum(day * day for day in from_middle) * count, mean)


def root(value: Fraction) -> Fraction:
    """Return the square root, truncated to about 38 digits: more than a double has."""
    inside = value.numerator * value.denominator
    return Fraction(isqrt(inside << (2 * _ROOT_BITS)), value.denominator << _ROOT_BITS)


def of_all(values: Sequence[Number], work: Callable[[Sequence[Fraction]], Number]) -> Number:
    """Return the result of `work` for the values; missing if one of them is missing."""
    present = [value for value in values if value is not None]
    return work(present) if len(present) == len(values) else None
