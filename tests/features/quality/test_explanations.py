"""Every rule and table has an explanation, and examples are masked."""

from datetime import date, datetime, timedelta

import ibis
import pytest

from features.ingest.rules import KEY_CONFLICT, RATE_UNKNOWN, ROW_CUT, ROW_MALFORMED, column_rules, references_of
from features.quality.analysis import mask
from features.quality.explanations import PURPOSE, column_of, explain
from features.quality.findings import duration, number, percent
from features.schema import ORDERS, PURCHASES, TABLES, TRAFFIC, Kind, Table

TYPES = {Kind.TIME: "timestamp", Kind.DAY: "date", Kind.MONEY: "float64", Kind.NUMBER: "float64", Kind.COUNT: "float64"}


CODES = {kind: ibis.table({"code": "string"}, name=kind).code for kind in (Kind.CURRENCY, Kind.COUNTRY)}


def _rules(table: Table) -> dict[str, str | None]:
    """Return the rules of a table with their columns, from the code that generates the rules."""
    rules: dict[str, str | None] = dict.fromkeys((ROW_MALFORMED, ROW_CUT, RATE_UNKNOWN, KEY_CONFLICT))
    for column in table.columns:
        value = ibis.table({"x": TYPES.get(column.kind, "string")}, name="t").x
        rules |= dict.fromkeys((name for name, _ in column_rules(column, value, value, CODES)), column.name)
    for name, target in references_of(table):
        rules[f"{target.name.removesuffix('s')}_unknown"] = name
    return rules | {"known_at_in_future": "known_at"}


def test_every_table_and_every_rule_is_explained_and_has_its_column() -> None:
    assert set(PURPOSE) == {table.name for table in TABLES}
    for table, rules in ((table, _rules(table)) for table in TABLES):
        for rule, column in rules.items():
            assert column_of(table, rule) == column, rule
            explanation = explain(table, rule)
            assert explanation.wrong.endswith(".")
            assert explanation.remedy.endswith(".")
            assert "{" not in explanation.wrong


def test_an_unknown_code_names_the_standard_of_its_column() -> None:
    assert explain(ORDERS, "currency_unknown").wrong == "currency is not an ISO 4217 currency code."
    assert explain(ORDERS, "buyer_country_unknown").wrong == "buyer_country is not an ISO 3166 country code."


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("order_id", "O-00012345", "O-0…45"),
        ("order_id", "O1", "O…"),
        ("order_id", "O\u202e1234567", "O·1…67"),
        ("buyer_id", "B-17", "hidden"),
        ("buyer_id", None, "empty"),
        ("amount", "-12.5", "-12.5"),
        ("amount", "-58.410000000000004", "-58.41"),
        ("amount", "nan", "nan"),
        ("amount", "12 Main St.", "99 Aaaa Aa."),
        ("amount", "名前" * 20, "a" * 24 + "…"),
        ("channel", "pigeon", "pigeon"),
        ("channel", "B-1234567", "A-9999999"),
        ("channel", "<script>alert(1)</script>", "<aaaaaa>aaaaa(9)</aaaaaa…"),
        ("currency", "usd", "usd"),
        ("currency", "mary@example.org", "aaaa@aaaaaaa.aaa"),
        ("ordered_at", "2024-02-30", "2024-02-30"),
        ("ordered_at", "yesterday", "aaaaaaaaa"),
    ],
)
def test_examples_are_shortened_hidden_or_reduced_to_their_shape(column: str, value: str | None, expected: str) -> None:
    assert mask(ORDERS, column, value) == expected


def test_suppliers_are_hidden_and_days_are_shown() -> None:
    assert mask(PURCHASES, "supplier_id", "ACME") == "hidden"
    assert mask(TRAFFIC, "day", "2024-01-01") == "2024-01-01"


def test_formats_of_numbers_shares_and_durations() -> None:
    numbers = (1234567, 12345.678, 0.12345, 2.0, None, date(2024, 2, 29))
    assert [*map(number, numbers)] == ["1,234,567", "12,345.68", "0.123", "2", "–", "2024-02-29"]
    assert number(datetime(2024, 2, 29, 8, 30, 59)) == "2024-02-29 08:30"  # noqa: DTZ001
    assert [*map(percent, (0.1234, 0.00123, 0.00001, 0, 1))] == ["12.3%", "0.12%", "under 0.01%", "0%", "100.0%"]
    times = (timedelta(minutes=90), timedelta(days=-2), timedelta(seconds=5), timedelta(days=40))
    assert [*map(duration, times)] == ["1.5 hours", "2 days before", "5 seconds", "40 days"]
