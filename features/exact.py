"""Exact arithmetic in the engines: whole numbers of 64 bits, and their products in decimals of 38 digits.

Sums of doubles depend on the order in which threads add them; these do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ibis.expr.types as ir

EXACT: Final = "decimal(38, 0)"

_MOST: Final = 9 * 10**18
"""No real sum comes near; but one absurd delivery must not stop the frames of all sellers."""


def exact(value: ir.NumericValue) -> ir.DecimalValue:
    """Return whole numbers as decimals, whose products leave 64 bits unharmed.

    Example: the square of a day's 3,000,000,000 micro-USD is 9e18, and of a week of them beyond 64 bits.
    """
    decimal: ir.DecimalValue = value.cast(EXACT)
    return decimal


def total(value: ir.IntegerValue, where: ir.BooleanValue | None = None) -> ir.IntegerScalar:
    """Return the sum of whole numbers, 0 over no rows."""
    summed: ir.IntegerScalar = value.sum(where=where).coalesce(0)
    return summed


def stored_total(value: ir.IntegerValue, where: ir.BooleanValue | None = None) -> ir.IntegerScalar:
    """Return the same, of 64 bits also where it is written to a file, and at most 9e18.

    DuckDB adds in 128 bits, which Ibis takes for 64: it would drop a plain cast, and Parquet would hold doubles.
    """
    import ibis

    summed: ir.IntegerScalar = ibis.least(exact(total(value, where)), _MOST).cast("int64")
    return summed


def whole(value: ir.IntegerValue) -> ir.IntegerValue:
    """Return whole numbers of 64 bits where they leave the engine, at most 9e18 and at least -9e18.

    DuckDB's sums are of 128 bits, which Ibis takes for 64; as doubles they would lose their last digits.
    """
    import ibis

    held: ir.IntegerValue = ibis.least(ibis.greatest(exact(value), -_MOST), _MOST).cast("int64")
    return held
