"""Explanations of validation rules and tables: the error, the remedy and the permitted values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from features.ingest.delivery import FIRST_DAY
from features.ingest.rules import KEY_CONFLICT, LAST_DAY, RATE_UNKNOWN, ROW_CUT, ROW_MALFORMED, WAITING
from features.schema import Column, Kind, Need, Table


@dataclass(frozen=True)
class Explanation:
    """The error of a rule, its remedy, and the permitted values (empty for a rule about whole rows)."""

    wrong: str
    remedy: str
    permitted: str = ""


_ENDINGS: Final = {
    "in_future": ("{column} is more than a day after the time of ingest.", "Check the clock and the time zone."),
    "missing": ("{column} is empty.", "Every row needs one."),
    "not_an_id": (
        "{column} is not text or a whole number, or contains an invisible character.",
        "Send text without control characters and special blanks.",
    ),
    "not_a_text": ("{column} is not text.", "Send text."),
    "not_a_time": (
        "{column} cannot be read as a time.",
        "Send a timestamp, or ISO 8601 text such as 2024-05-01T08:00:00Z.",
    ),
    "not_a_day": ("{column} cannot be read as a day.", "Send a date such as 2024-05-01."),
    "not_a_number": ("{column} cannot be read as a number.", "Send digits and a point, without separators."),
    "not_finite": ("{column} is infinite or not a number (NaN).", "Check its computation for a division by zero."),
    "not_whole": ("{column} is not a whole number.", "Send a whole number."),
    "negative": ("{column} is below zero.", "Send money that flows back as a refund with a positive amount."),
    "too_small": ("{column} is below the minimum of the contract.", "Check for a default value such as 0."),
    "too_large": (
        "{column} is above the maximum of the contract, in its own unit or in US dollars.",
        "Check the unit, such as cents, and the currency.",
    ),
    "too_long": ("{column} has more than 200 characters.", "Send a shorter value."),
    "not_allowed": ("{column} is not one of the values in the contract.", "Map it to one of them."),
    "before_begins": (
        "{column} is before the day on which the delivery declares that its table begins.",
        "Correct begins in delivery.json, or leave the row out.",
    ),
    "out_of_range": ("{column} is before 1990 or after 2100.", "Check the format of the year."),
}
_UNKNOWN_CODE: Final = {
    Kind.CURRENCY: ("{column} is not an ISO 4217 currency code.", "Send three capital letters such as USD."),
    Kind.COUNTRY: (
        "{column} is not an ISO 3166 country code.",
        "Send two capital letters such as CN, or ZZ for an unknown country.",
    ),
}
_WHOLE: Final = {
    ROW_MALFORMED: Explanation(
        "The line has more or fewer fields than the header, or bytes that are not UTF-8.",
        "Quote fields with commas or line ends, and save the file as UTF-8.",
    ),
    ROW_CUT: Explanation(
        "The last line of the file has too few fields and no line end: the file seems to be cut.",
        "Export or copy the whole file again. Its last rows are missing.",
    ),
    RATE_UNKNOWN: Explanation(
        "No US dollar rate for the row's currency and day was known when the row became visible.",
        "Deliver fx_rates for these days, then repeat this delivery: the waiting rows are then accepted.",
    ),
    KEY_CONFLICT: Explanation(
        "Another row with the same key and different content was accepted: the stored row, or the one known first.",
        "Send each event once and never change it. Send a correction as an event of its own, such as a refund.",
    ),
}
PURPOSE: Final = {
    "sellers": "the sellers to score, and when they joined the platform",
    "stores": "the stores of each seller, and thereby the seller of each order",
    "orders": "sales: their level, trend, steadiness, buyers and markets",
    "refunds": "sales after refunds, and the rates of returns, cancellations, disputes and chargebacks",
    "traffic": "visits, conversion, paid share, advertising cost, and whether orders have visits behind them",
    "fulfilments": "handling and delivery times, and lost parcels",
    "ratings": "how ratings change over time",
    "purchases": "purchases relative to sales, and the time between purchase and sale",
    "fx_rates": "amounts in other currencies than US dollars, unless the delivery names one constant rate",
    "loans": "the labels that a model is trained on",
    "instalments": "the amounts due on loans, for labels",
    "payments": "the amounts paid on loans, for labels",
}
"""The use of each table. Without the table, this is missing, never zero."""

NEED: Final = {
    Need.REQUIRED: "required: without it there is no score",
    Need.EXPECTED: "expected: without it part of every score is unknown",
    Need.OPTIONAL: "optional",
}


def column_of(table: Table, rule: str) -> str | None:
    """Return the column of a rule, such as store_id of `store_unknown`; None for a rule about whole rows."""
    if rule in _WHOLE:
        return None
    if rule in WAITING:
        return f"{rule.removesuffix('_unknown')}_id"
    named = [name for name in table.column_names if rule.startswith(f"{name}_")]
    return max(named, key=len, default=None)


def explain(table: Table, rule: str) -> Explanation:
    """Return the explanation of a rule of `table`.

    Example: `explain(ORDERS, "amount_negative").wrong` is "amount is below zero.".
    """
    if rule in _WHOLE:
        return _WHOLE[rule]
    column = column_of(table, rule) or ""
    if rule in WAITING:
        target = f"{rule.removesuffix('_unknown')}s"
        return Explanation(
            f"{column} does not name an accepted row of {target}.",
            f"Deliver the missing {target}, then repeat this delivery: the waiting rows are then accepted.",
            f"Permitted: the {column} of an accepted row of {target}.",
        )
    ending = rule.removeprefix(f"{column}_")
    wrong, remedy = _UNKNOWN_CODE[table.column(column).kind] if ending == "unknown" else _ENDINGS[ending]
    return Explanation(wrong.format(column=column), remedy, f"Permitted: {permitted(table.column(column))}.")


def permitted(column: Column) -> str:
    """Return the permitted values of a column as text.

    Example: `permitted(ORDERS.column("items"))` is "a whole number from 1 to 1,000,000,000".
    """
    if column.allowed is not None:
        return " | ".join(column.allowed)
    return _PERMITTED[column.kind].format(low=_bound(column.minimum), high=_bound(column.maximum))


_DAYS: Final = f"from {FIRST_DAY} to {LAST_DAY}"
_PERMITTED: Final = {
    Kind.ID: "text or a whole number of 1 to 200 visible characters",
    Kind.TEXT: "text of 1 to 200 characters",
    Kind.TIME: f"a time in UTC such as 2024-05-01T08:00:00Z, {_DAYS}",
    Kind.DAY: f"a day such as 2024-05-01, {_DAYS}",
    Kind.MONEY: "a number from {low} to {high}",
    Kind.NUMBER: "a number from {low} to {high}",
    Kind.COUNT: "a whole number from {low} to {high}",
    Kind.CURRENCY: "an ISO 4217 code such as USD, EUR or CNY",
    Kind.COUNTRY: "an ISO 3166 code such as US, DE or CN; ZZ if the country is unknown",
}


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:,.9g}" if value < 1 else f"{value:,.0f}"
