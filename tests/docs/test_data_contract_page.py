"""docs/data-contract.md agrees with the schema, and its examples form a delivery that is accepted."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import date
from pathlib import Path

from features import contract_page
from features.contract_examples import DELIVERY, EXAMPLES, MEANINGS, MEANINGS_BY_TABLE
from features.ingest import ingest
from features.ingest.delivery import Terms, open_delivery
from features.schema import BY_NAME, TABLES, ConstantRate

PAGE = (Path(__file__).parents[2] / "docs" / "data-contract.md").read_text(encoding="utf-8")


def test_the_page_equals_its_generated_text() -> None:
    assert contract_page.update_page(PAGE) == PAGE, "run make docs"


def test_every_column_has_a_meaning() -> None:
    columns = {(table.name, name) for table in TABLES for name in table.column_names}
    assert not [(table, name) for table, name in columns if not MEANINGS.get(name)]
    assert set(MEANINGS) == {name for _, name in columns}
    assert set(MEANINGS_BY_TABLE) <= columns


def test_every_field_of_delivery_json_is_described() -> None:
    names = {field.name for field in fields(Terms)}
    assert set(contract_page.DELIVERY_FIELDS) == names
    assert set(DELIVERY) == names


def test_the_example_of_delivery_json_is_accepted(tmp_path: Path) -> None:
    match = re.search(r"## delivery\.json.*?```json\n(.*?)```", PAGE, re.DOTALL)
    assert match is not None
    assert json.loads(match[1]) == DELIVERY
    (tmp_path / "delivery.json").write_text(match[1], encoding="utf-8")
    (tmp_path / "orders.csv").write_text(EXAMPLES["orders"], encoding="utf-8")
    terms = open_delivery(tmp_path, date(2025, 7, 1)).terms
    assert terms.covers_through["traffic"] == date(2025, 5, 31)
    assert terms.constant_rate == ConstantRate("EUR", 1.08)
    assert terms.absent == ("buyer_ids",)
    assert terms.begins == {"traffic": date(2024, 11, 1)}


def test_ingest_accepts_every_example_row(tmp_path: Path) -> None:
    delivery = tmp_path / "delivery"
    delivery.mkdir()
    for table in TABLES:
        (delivery / f"{table.name}.csv").write_text(EXAMPLES[table.name], encoding="utf-8")
    report = ingest(delivery, tmp_path / "operating")
    accepted = {table.table: table.accepted for table in report.tables}
    assert accepted == {name: text.count("\n") - 1 for name, text in EXAMPLES.items()}
    assert set(accepted) == set(BY_NAME)
