"""Exact arithmetic on the engines: 64-bit integers, and decimals of 38 digits for their products.

Sums of doubles depend on the order in which threads add them; sums of integers do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ibis.expr.types as ir

EXACT: Final = "decimal(38, 0)"

_MOST: Final = 9 * 10**18
"""Limit of stored sums: no real sum is that large, and one absurd delivery must not fail the frames of all sellers."""


def exact(value: ir.NumericValue) -> ir.DecimalValue:
    """Return integers as decimals, whose products may exceed 64 bits.

    Example: the square of a day's 3,000,000,000 micro-USD is 9e18; the squares of a week exceed 64 bits.
    """
    decimal: ir.DecimalValue = value.cast(EXACT)
    return decimal


def total(value: ir.IntegerValue, where: ir.BooleanValue | None = None) -> ir.IntegerScalar:
    """Return the sum of integers, 0 over no rows."""
    summed: ir.IntegerScalar = value.sum(where=where).coalesce(0)
    return summed


def stored_total(value: ir.IntegerValue, where: ir.BooleanValue | None = None) -> ir.IntegerScalar:
    """Return the sum of non-negative integers as int64, also when written to a file; at most 9e18.

    DuckDB adds in 128 bits, which Ibis takes for 64: it would drop a plain cast, and Parquet would contain doubles.
    """
    import ibis

    summed: ir.IntegerScalar = ibis.least(exact(total(value, where)), _MOST).cast("int64")
    return summed


def whole(value: ir.IntegerValue) -> ir.IntegerValue:
    """Return a sum of integers as int64 for results that leave the engine, between -9e18 and 9e18.

    DuckDB adds in 128 bits, which Ibis takes for 64: as doubles, large sums would lose their last digits.
    """
    import ibis

    cut: ir.IntegerValue = ibis.least(ibis.greatest(exact(value), -_MOST), _MOST).cast("int64")
    return cut
