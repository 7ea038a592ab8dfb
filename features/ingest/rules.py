"""Validation rules of a table, derived from its columns in the contract.

Rules are ordered. A row that breaks several is counted under the first, and all of them are reported. Rule names are
stable, since reports and stored quarantines contain them.
"""

import operator
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import reduce
from typing import Final

import ibis
import ibis.expr.types as ir

from features.ingest.delivery import FIRST_DAY
from features.ingest.report import RULE_SEPARATOR
from features.iso import COUNTRIES, CURRENCIES
from features.schema import LOANS, SELLERS, STORES, Column, Kind, Table

ROW_MALFORMED: Final = "row_malformed"
"""A CSV row with more or fewer fields than its header, or with bytes that are not UTF-8 (or replaced by U+FFFD)."""
ROW_CUT: Final = "row_cut"
"""The last row of a text file has too few fields and no line end, so the file seems to be cut."""
RATE_UNKNOWN: Final = "rate_unknown"
"""No US dollar rate for the row's currency and day was known when the row became visible."""
KEY_CONFLICT: Final = "key_conflict"
"""Another row has the same key and different content."""

REFERENCES: Final = {"seller_id": SELLERS, "store_id": STORES, "loan_id": LOANS}
"""Columns that must name a known row of another table. Orders are not among them: they may arrive after rows that name
them."""

WAITING: Final = frozenset({RATE_UNKNOWN, *(f"{column.removesuffix('_id')}_unknown" for column in REFERENCES)})
"""Rules that an unchanged row can pass later, once the store has the row that it refers to."""

LAST_DAY: Final = date(2100, 12, 31)
_MAX_TEXT: Final = 200
_INVISIBLE: Final = (
    r"[\p{C}\p{Zl}\p{Zp}\x{A0}\x{1680}\x{2000}-\x{200A}\x{202F}\x{205F}\x{2065}\x{3000}\x{FFF0}-\x{FFFF}]"
)
"""Control, format and blank characters except the space. They are not allowed in ids, which must be readable and
typeable; the service rejects the same characters."""

_UNREADABLE: Final = {
    Kind.ID: "not_an_id",
    Kind.TEXT: "not_a_text",
    Kind.CURRENCY: "unknown",
    Kind.COUNTRY: "unknown",
    Kind.TIME: "not_a_time",
    Kind.DAY: "not_a_day",
    Kind.MONEY: "not_a_number",
    Kind.NUMBER: "not_a_number",
    Kind.COUNT: "not_a_number",
}

CODES: Final = {Kind.CURRENCY: CURRENCIES, Kind.COUNTRY: COUNTRIES}
Codes = Mapping[Kind, ir.Column]
"""CODES as columns of engine tables: hundreds of literals take longer to compile than a small delivery to read."""


@ibis.udf.scalar.builtin(name="url_encode")  # type: ignore[untyped-decorator]
def _as_in_url(text: str) -> str:  # type: ignore[empty-body]
    """Return the text in URL encoding."""


Rule = tuple[str, ir.BooleanValue]
"""A name, and the predicate that is true for rows that break the rule."""


def column_rules(column: Column, raw: ir.Value, value: ir.Value, codes: Codes) -> Iterator[Rule]:
    """Yield the rules of one column in order, from its trimmed raw value and its cast value.

    Example: for orders.amount `amount_missing`, `amount_not_a_number`, `amount_not_finite`, `amount_negative`,
    `amount_too_large`.
    """
    if not column.nullable:
        yield f"{column.name}_missing", raw.isnull()
    yield f"{column.name}_{_UNREADABLE[column.kind]}", raw.notnull() & value.isnull()
    for ending, broken in _value_rules(column, value, codes):
        yield f"{column.name}_{ending}", broken


def _value_rules(column: Column, value: ir.Value, codes: Codes) -> Iterator[Rule]:
    match column.kind:
        case Kind.ID:
            yield "too_long", value.length() > _MAX_TEXT
            # most ids are equal to their URL encoding, a faster test than a search of every character
            plain = _as_in_url(value) == value
            yield "not_an_id", ibis.ifelse(plain, ibis.literal(False), value.re_search(_INVISIBLE))
        case Kind.TEXT:
            yield "too_long", value.length() > _MAX_TEXT
            if column.allowed is not None:
                yield "not_allowed", value.notin(column.allowed)
        case Kind.CURRENCY | Kind.COUNTRY:
            yield "unknown", value.notin(codes[column.kind])
        case Kind.TIME | Kind.DAY:
            day = value.cast("date")
            yield "out_of_range", ~day.between(FIRST_DAY, LAST_DAY)
        case Kind.MONEY | Kind.NUMBER | Kind.COUNT:
            yield from _number_rules(column, value)


def _number_rules(column: Column, value: ir.Value) -> Iterator[Rule]:
    # isnan() is not reliable: Parquet statistics omit NaN, and DuckDB skips files whose extremes are ordinary numbers.
    # Only a finite number minus itself is zero.
    yield "not_finite", ~(value - value == 0)
    if column.kind is Kind.COUNT:
        yield "not_whole", value % 1 != 0
    if column.minimum is not None:
        yield ("negative" if column.minimum == 0 else "too_small"), value < column.minimum
    if column.maximum is not None:
        yield "too_large", value > column.maximum


def references_of(table: Table) -> tuple[tuple[str, Table], ...]:
    """Return the columns of `table` that must name a known row, each with the table of that row.

    Example: for stores `(("seller_id", SELLERS),)`; for loans the same; for sellers nothing.
    """
    return tuple(
        (column.name, REFERENCES[column.name])
        for column in table.columns
        if column.name in REFERENCES and REFERENCES[column.name] is not table
    )


def reference_rule(column: str, value: ir.Value, ids: ir.Column | None) -> Rule:
    """Return the rule that `value` must be one of `ids`, which is None if that table has no rows.

    Example: `store_unknown`.
    """
    return f"{column.removesuffix('_id')}_unknown", value.notnull() if ids is None else value.notin(ids)


def future_rule(known_at: ir.TimestampValue, latest: datetime) -> Rule:
    """Return the rule that `known_at` must not be after `latest`; such a row would extend the coverage of its table."""
    return "known_at_in_future", known_at > ibis.literal(latest)


def begins_rule(column: str, day: ir.DateValue, begins: date) -> Rule:
    """Return the rule that no event is before the day on which the delivery declares that its table begins.

    Features whose window starts before that day are missing, so such a row shows that the declared day is wrong.
    """
    return f"{column}_before_begins", day < ibis.literal(begins)


def every_broken(groups: Iterable[list[Rule]]) -> ir.StringValue:
    """Return the first broken rule of each group, joined by RULE_SEPARATOR; empty for a valid row.

    Rules of one column are a group: an amount that is not finite is not reported as too large as well.
    """
    names = [(first_broken(group) + RULE_SEPARATOR).fill_null("") for group in groups]
    return _stripped(reduce(operator.add, names))


def join_rules(first: ir.StringValue, second: ir.StringValue) -> ir.StringValue:
    """Return two results of `every_broken` as one."""
    return _stripped(first + RULE_SEPARATOR + second)


def _stripped(names: ir.StringValue) -> ir.StringValue:
    return names.re_replace(f"^{RULE_SEPARATOR}|{RULE_SEPARATOR}$", "")


def first_broken(rules: list[Rule]) -> ir.StringValue:
    """Return the name of the first rule that a row breaks, null for a valid row."""
    return ibis.cases(*((broken, name) for name, broken in rules))
