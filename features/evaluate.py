"""Arithmetic of features on measures, as Ibis expressions: what cannot be known is missing, and missing spreads."""

from __future__ import annotations

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
        case Least(several) | LeastKnown(several) | Greatest(several):
            return _extreme(expression, [value_of(each, known) for each in several])
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


def _extreme(expression: Least | LeastKnown | Greatest, values: list[ir.NumericValue]) -> ir.NumericValue:
    import ibis

    found: ir.NumericValue = ibis.greatest(*values) if isinstance(expression, Greatest) else ibis.least(*values)
    if isinstance(expression, LeastKnown):
        return found  # engines skip nulls
    some_missing = values[0].isnull()
    for value in values[1:]:
        some_missing |= value.isnull()
    return ibis.ifelse(some_missing, ibis.null("float64"), found)
