"""What `sellerscore ingest` prints of rows that break rules, and how it ends."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.command import run
from tests.features.intake.build import Row, order, write

RATINGS: list[Row] = [{"store_id": "T1", "day": "2024-03-05", "ratings": 1, "stars": stars} for stars in (0.5, 6.0)]
RATINGS = [{**row, "known_at": "2024-03-06"} for row in RATINGS]


def test_each_rule_is_printed_with_what_is_permitted(tmp_path: Path) -> None:
    orders = [order(), order("O2", channel="pigeon", items=0), order("O3", channel="fax")]
    result = run(tmp_path / "home", "ingest", write(tmp_path / "d", orders=orders))
    assert result.returncode == 0
    lines = " ".join(result.stdout.split())
    assert "orders: 2 channel_not_allowed: channel is none of the values that the contract lists." in lines
    assert "Permitted: search | ads | livestream | social | direct | other." in lines
    assert "orders: 1 items_too_small:" in lines
    assert "Permitted: a whole number from 1 to 1,000,000,000." in lines


def test_a_table_of_which_no_row_is_accepted_ends_with_2_and_one_sentence(tmp_path: Path) -> None:
    result = run(tmp_path / "home", "ingest", write(tmp_path / "d", orders=[order()], ratings=RATINGS))
    assert result.returncode == 2
    assert "sellerscore: all 2 rows of ratings were quarantined; correct them" in result.stderr
    files = (tmp_path / "home" / "operating").rglob("accepted/orders.parquet")
    assert [pq.read_metadata(path).num_rows for path in files] == [1]


@pytest.mark.parametrize("text", ["", "[]", '{"absent": "refunds"}'])
def test_terms_that_cannot_be_read_end_with_2(text: str, tmp_path: Path) -> None:
    delivery = write(tmp_path / "d")
    (delivery / "delivery.json").write_text(text)
    result = run(tmp_path / "home", "ingest", delivery)
    assert result.returncode == 2
    assert result.stderr.count("sellerscore: ") == 1
