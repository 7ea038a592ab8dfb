"""From what a file holds to what the contract means: one cast for each kind, null where a value cannot be read so.

Ibis values in, Ibis values out. What a null then means (missing, or unreadable) is for `rules`.
"""

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.schema import Kind

TIMESTAMP: Final = dt.Timestamp(scale=6)
"""How every time is kept: UTC without a zone, in microseconds."""

_INSTANT: Final = dt.Timestamp(timezone="UTC")
_ISO_8601: Final = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
_BLANKS: Final = (" ", "\t", "\n", "\r")
_NUMBER: Final = r"(?i)^[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"


def trimmed(raw: ir.Value) -> ir.Value:
    """Return `raw` without the blanks around it and with empty text as null; other types come back as they are."""
    if raw.type().is_string():
        # Hardly any value has blanks, and looking for them costs a third of stripping every one.
        return ibis.ifelse(reduce(operator.or_, map(raw.contains, _BLANKS)), raw.strip(), raw).nullif("")
    if raw.type().is_unknown():  # a Parquet column of type null: nothing but nulls
        return ibis.null(dt.string)
    return raw


def typed(raw: ir.Value, kind: Kind) -> ir.Value:
    """Return `raw` as `kind`, null where it cannot be read so; `raw` has been `trimmed`.

    Example: text `2024-05-01T08:00:00+08:00` as TIME is 2024-05-01 00:00:00; the number 7.5 as COUNT stays 7.5, so
    that a rule can say that it is not whole; a boolean is never a number, and a fraction never an id.
    """
    return _CASTS[kind](raw)


def _text(raw: ir.Value) -> ir.Value:
    if raw.type().is_string() or raw.type().is_integer() or raw.type().is_uuid():
        return raw.cast(dt.string)
    return ibis.null(dt.string)


def _time(raw: ir.Value) -> ir.Value:
    kind = raw.type()
    if kind.is_string():
        return ibis.ifelse(raw.re_search(_ISO_8601), raw.try_cast(_INSTANT), ibis.null(_INSTANT)).cast(TIMESTAMP)
    if kind.is_timestamp() or kind.is_date():
        return raw.cast(TIMESTAMP)
    return ibis.null(TIMESTAMP)


def _day(raw: ir.Value) -> ir.Value:
    if raw.type().is_date():
        return raw
    time = _time(raw)
    return time.date().nullif(ibis.ifelse(time == time.truncate("D"), ibis.null(dt.date), time.date()))


def _number(raw: ir.Value) -> ir.Value:
    kind = raw.type()
    if kind.is_string():
        return ibis.ifelse(raw.re_search(_NUMBER), raw.try_cast(dt.float64), ibis.null(dt.float64))
    if kind.is_numeric() and not kind.is_boolean():
        return raw.cast(dt.float64)
    return ibis.null(dt.float64)


_CASTS: Final[Mapping[Kind, Callable[[ir.Value], ir.Value]]] = MappingProxyType(
    {
        Kind.ID: _text,
        Kind.TEXT: _text,
        Kind.CURRENCY: _text,
        Kind.COUNTRY: _text,
        Kind.TIME: _time,
        Kind.DAY: _day,
        Kind.MONEY: _number,
        Kind.NUMBER: _number,
        Kind.COUNT: _number,
    }
)
