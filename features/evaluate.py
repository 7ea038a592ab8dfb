"""Arithmetic of features on measures, as Ibis expressions: what cannot be known is missing, and missing spreads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from features.expressions import Arithmetic, Expr, Greatest, Least, LeastKnown, Measure, Number, Root
from features.measures.scope import column

if TYPE_CHECKING:
    import ibis.expr.types as ir


def value_of(expression: Expr, known: ir.Table) -> ir.Value:
    """Return the value of an expression, a double, from a table with a column per measure (see `column`).

    Example: `Total("refunded", 90) / Total("gross", 90)` is null where nothing was sold.
    """
    import ibis

    match expression:
        case Measure():
            return known[column(expression)]
        case Number(number):
            return ibis.literal(number, "float64")
        case Root(inner):
            return value_of(inner, known).sqrt()
        case Least(several):
            return _if_all(ibis.least, [value_of(each, known) for each in several])
        case LeastKnown(several):
            return ibis.least(*(value_of(each, known) for each in several))  # engines skip nulls
        case Greatest(several):
            return _if_all(ibis.greatest, [value_of(each, known) for each in several])
        case Arithmetic(operator, left, right):
            return _arithmetic(operator, value_of(left, known), value_of(right, known))
    raise TypeError(f"{type(expression).__name__} is not an expression that the pipeline knows")


def _arithmetic(operator: str, left: ir.NumericValue, right: ir.NumericValue) -> ir.NumericValue:
    import ibis

    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return ibis.ifelse(right > 0, left / right, ibis.null("float64"))


def _if_all(choose: Callable[..., ir.NumericValue], values: list[ir.NumericValue]) -> ir.NumericValue:
    # engines skip nulls in greatest and least; here one missing value makes the result missing
    import ibis

    some_missing = values[0].isnull()
    for value in values[1:]:
        some_missing |= value.isnull()
    return ibis.ifelse(some_missing, ibis.null("float64"), choose(*values))
