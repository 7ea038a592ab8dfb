"""Generate the tables of docs/data-contract.md from `features.schema`: `python -m features.contract_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from features.quality.explanations import PURPOSE, permitted
from features.schema import TABLES, Column, Kind, Need, Table

BEGIN: Final = "<!-- tables: written by python -m features.contract_page -->"
END: Final = "<!-- end of tables -->"
PAGE: Final = Path("docs") / "data-contract.md"

_KNOWN_AT: Final = "when the platform learned of the row: no feature of an earlier day uses it"
_MEANINGS: Final = {
    "known_at": _KNOWN_AT,
    "seller_id": "the seller to score; one legal person",
    "store_id": "the store",
    "currency": "of the amount",
    "country": "where the seller is established",
    "base_currency": "in which the seller keeps its books",
    "category": "what the seller sells, in the platform's words; sellers are compared within it",
    "onboarded_at": "when the seller joined the platform",
    "marketplace": "where the store sells",
    "opened_at": "when the store opened",
    "order_id": "the order, unique over all stores",
    "buyer_id": "a stable pseudonym of the buyer; empty for a guest",
    "ordered_at": "when the buyer ordered",
    "amount": "what the buyer paid, with tax and shipping",
    "channel": "how the buyer came",
    "buyer_country": "where the order goes",
    "items": "number of items",
    "refund_id": "the refund",
    "refunded_at": "when the money went back, or the order was cancelled",
    "reason": "why",
    "day": "the day in UTC",
    "visits": "visits that day",
    "visitors": "distinct visitors that day",
    "add_to_carts": "times that an item was put into a cart",
    "ad_spend": "what the seller spent on advertisements for that channel",
    "event": "what happened",
    "at": "when it happened",
    "ratings": "number of ratings that day",
    "stars": "their mean",
    "purchase_id": "the purchase",
    "supplier_id": "a stable pseudonym of the supplier",
    "purchased_at": "when the seller bought",
    "usd_per_unit": "US dollars for one unit of the currency",
    "loan_id": "the loan",
    "disbursed_at": "when the loan was paid out",
    "principal": "how much was lent",
    "term_days": "for how many days",
    "due_on": "the day on which the instalment falls due",
    "payment_id": "the payment",
    "paid_at": "when the borrower paid",
}
_MEANINGS_IN: Final = {
    ("refunds", "order_id"): "the order that is refunded; empty if it is not known",
    ("refunds", "amount"): "how much went back, as a positive number",
    ("purchases", "amount"): "what the seller paid",
    ("instalments", "amount"): "how much falls due",
    ("payments", "amount"): "how much was paid",
    ("fx_rates", "currency"): "the currency",
}


def tables() -> str:
    """Return the generated part of the page."""
    lines = [*_kinds(), *(line for table in TABLES for line in _lines(table))]
    return "\n".join(lines).rstrip() + "\n"


def update_page(page: str) -> str:
    """Return the page with its generated part updated; raise ValueError if it has no such part."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def _lines(table: Table) -> Iterator[str]:
    yield f"### {table.name} ({table.need})\n"
    cost = "Without this table there is no score. It shows" if table.need is Need.REQUIRED else "Missing without it:"
    yield f"Key: {', '.join(f'`{name}`' for name in table.key)}. {cost} {PURPOSE[table.name]}.\n"
    yield "| column | kind | meaning | permitted |"
    yield "|---|---|---|---|"
    yield from (_row(table, column) for column in table.columns)
    yield ""


def _row(table: Table, column: Column) -> str:
    meaning = _MEANINGS_IN.get((table.name, column.name), _MEANINGS.get(column.name, ""))
    special = column.allowed is not None or column.kind in {Kind.COUNT, Kind.NUMBER}
    notes = [permitted(column).replace(" | ", ", ")] if special else []
    notes += ["may be empty"] if column.nullable else []
    return f"| `{column.name}` | {column.kind} | {meaning} | {'; '.join(notes)} |"


def _kinds() -> Iterator[str]:
    yield "| kind | permitted |"
    yield "|---|---|"
    for kind in (Kind.ID, Kind.TEXT, Kind.TIME, Kind.DAY, Kind.MONEY, Kind.CURRENCY, Kind.COUNTRY):
        examples = [
            column for table in TABLES for column in table.columns if column.kind is kind and not column.allowed
        ]
        yield f"| {kind} | {permitted(examples[0])} |"
    yield "| count, number | see the column |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(update_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
