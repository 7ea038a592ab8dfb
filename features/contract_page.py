"""The generated part of docs/data-contract.md: the tables, their columns and `delivery.json`.

The text comes from `features.schema` and the rules of `delivery.json`, so that the page and the validation agree.
`make docs` updates the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.contract_examples import DELIVERY, EXAMPLES, MEANINGS, MEANINGS_BY_TABLE
from features.ingest.delivery import ABSENT, BASE_CURRENCY, COVERED_STORES, FIRST_DAY, MAX_SOURCE
from features.quality.explanations import PURPOSE, permitted
from features.schema import FX_RATES, TABLES, Column, Kind, Need, Table

BEGIN: Final = "<!-- generated: run make docs -->"
END: Final = "<!-- end of the generated part -->"
PAGE: Final = Path("docs") / "data-contract.md"

_RATE: Final = permitted(FX_RATES.column("usd_per_unit"))
_DAY: Final = f"a date from {FIRST_DAY} to tomorrow (UTC)"


@dataclass(frozen=True)
class DeliveryField:
    """A field of `delivery.json`: its type, its meaning and its allowed values, in words."""

    kind: str
    meaning: str
    allowed: str


DELIVERY_FIELDS: Final[Mapping[str, DeliveryField]] = {
    "source": DeliveryField(
        "text",
        "The origin of the rows. Training reports and the model card print it.",
        f"one line of 1 to {MAX_SOURCE} characters",
    ),
    "covers_through": DeliveryField(
        "object: table to date",
        "The midnight through which each table is complete. `2025-06-01` means that all of 31 May is delivered. A "
        "table with an entry needs a file; a file without rows means that nothing happened. If a delivered table has "
        "no entry, it counts as complete up to its last `known_at`. A score is computed as of the latest midnight "
        "through which the seller's orders, and the tables that end at most a week before them, are complete. "
        "Later rows are accepted: they belong to days that are not complete yet.",
        f"table names; {_DAY}",
    ),
    "covers_stores": DeliveryField(
        "text",
        "The stores for which `covers_through` holds. `all`: all stores of your platform, which are those that any "
        "delivery with `all` ever named; a store without rows sold nothing. `listed`: only the stores of which the "
        "delivery has a row in any table, a repeated row included. See "
        "[Sellers whose data end on different days](#sellers-whose-data-end-on-different-days). Without the field, it "
        "is `all`, but a delivery that would silence most of the other stores is refused.",
        ", ".join(f"`{name}`" for name in COVERED_STORES),
    ),
    "constant_rate": DeliveryField(
        "object: `currency`, `usd_per_unit`",
        "One exchange rate for one currency. Use it if the delivery has no `fx_rates`. Amounts in "
        f"{BASE_CURRENCY} need no rate.",
        f"an ISO 4217 code; {_RATE}",
    ),
    "absent": DeliveryField(
        "list",
        "What your platform does not have at all. See [What is unknown and what is zero]"
        "(#what-is-unknown-and-what-is-zero).",
        ", ".join(f"`{name}`" for name in ABSENT),
    ),
    "begins": DeliveryField(
        "object: table to date",
        "The day on which your platform began to record a table, if that is later than the first order. A feature "
        "whose window begins before that day is missing; without the entry, those days would count as days without "
        "events. A row of an earlier day is quarantined as `COLUMN_before_begins`, such as `day_before_begins`.",
        f"table names; {_DAY}",
    ),
}
"""The fields of `delivery.json`, by name."""


def render() -> str:
    """Return the generated part of the page."""
    sections = (_delivery_file(), _kinds(), *(_table(table) for table in TABLES))
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def update_page(page: str) -> str:
    """Return the page with an up-to-date generated part.

    Raises:
        ValueError: The page has no generated part.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no generated part. Add the lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{render()}\n{END}{after}"


def _delivery_file() -> Iterator[str]:
    yield "## delivery.json\n"
    yield "The file is optional, and so is each field. A field that is not listed here is an error.\n"
    yield "| field | type | meaning | allowed values |"
    yield "|---|---|---|---|"
    for name, field in DELIVERY_FIELDS.items():
        yield f"| `{name}` | {field.kind} | {field.meaning} | {field.allowed} |"
    fields = ",\n".join(f'  "{name}": {json.dumps(value)}' for name, value in DELIVERY.items())
    yield f"\n```json\n{{\n{fields}\n}}\n```\n"


def _kinds() -> Iterator[str]:
    yield "## Tables\n"
    for need in Need:
        links = (f"[`{table.name}`](#{table.name}-{need})" for table in TABLES if table.need is need)
        yield f"- {str(need).capitalize()}: {', '.join(links)}."
    yield ""
    yield "| type | allowed values |"
    yield "|---|---|"
    for kind in (Kind.ID, Kind.TEXT, Kind.TIME, Kind.DAY, Kind.MONEY, Kind.CURRENCY, Kind.COUNTRY):
        columns = (column for table in TABLES for column in table.columns)
        plain = next(column for column in columns if column.kind is kind and not column.allowed)
        yield f"| {kind} | {permitted(plain)} |"
    yield "| count, number | see the column |"
    yield ""


def _table(table: Table) -> Iterator[str]:
    yield f"### {table.name} ({table.need})\n"
    required = table.need is Need.REQUIRED
    cost = "There is no score without this table. It holds" if required else "Missing without this table:"
    yield f"Key: {', '.join(f'`{name}`' for name in table.key)}. {cost} {PURPOSE[table.name]}.\n"
    yield "| column | type | value | meaning | allowed values |"
    yield "|---|---|---|---|---|"
    yield from (_row(table, column) for column in table.columns)
    yield f"\n```csv\n{EXAMPLES[table.name]}```\n"


def _row(table: Table, column: Column) -> str:
    meaning = MEANINGS_BY_TABLE.get((table.name, column.name), MEANINGS.get(column.name, ""))
    value = "may be empty" if column.nullable else "required"
    special = column.allowed is not None or column.kind in {Kind.COUNT, Kind.NUMBER}
    allowed = permitted(column).replace(" | ", ", ") if special else ""
    return f"| `{column.name}` | {column.kind} | {value} | {meaning} | {allowed} |"


if __name__ == "__main__":
    PAGE.write_text(update_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
