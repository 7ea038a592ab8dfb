"""Output and exit codes of `sellerscore ingest`."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.ingest import open_store
from features.quality.explanations import explain
from features.schema import ORDERS
from tests.command import run
from tests.features.ingest.build import Row, order, write, write_csv, write_orders, write_some

pytestmark = pytest.mark.usefixtures("no_vectors")

RATINGS: list[Row] = [{"store_id": "T1", "day": "2024-03-05", "ratings": 1, "stars": stars} for stars in (0.5, 6.0)]
RATINGS = [{**row, "known_at": "2024-03-06"} for row in RATINGS]


@pytest.fixture
def home(base_store: Path, tmp_path: Path) -> Path:
    """A state folder with the store of one delivery."""
    (tmp_path / "home").mkdir()
    base_store.rename(tmp_path / "home" / "operating")
    return tmp_path / "home"


def test_each_rule_is_printed_with_what_is_permitted(home: Path, tmp_path: Path) -> None:
    orders = [order(), order("O2", channel="pigeon", items=0), order("O3", channel="fax")]
    result = run(home, "ingest", write_orders(tmp_path / "d", *orders))
    assert result.returncode == 0
    lines = " ".join(result.stdout.split())
    assert "orders: 2 channel_not_allowed: channel is not one of the values in the contract." in lines
    assert "Permitted: search | ads | livestream | social | direct | other." in lines
    assert "orders: 1 items_too_small:" in lines
    assert "Permitted: a whole number from 1 to 1,000,000,000." in lines


def test_quarantined_rows_are_printed_with_their_number_and_file(home: Path, tmp_path: Path) -> None:
    delivery = write_orders(tmp_path / "d")
    rows = [order("O1"), order("O2", amount=-3.5), order("O3", buyer_id="ann\u200b@example.com"), order("O4", items=0)]
    write_csv(delivery / "orders.csv", [*rows, order("O5", amount="12 Main St."), order("O6", amount=-4.0)])
    lines = (delivery / "orders.csv").read_text().splitlines()
    lines.insert(2, "O7,too,few")  # the second row
    lines.insert(4, lines[1].replace("B1", "B\ufffd"))  # the fourth
    (delivery / "orders.csv").write_text("\n".join(lines) + "\n")
    out = run(home, "ingest", delivery).stdout.splitlines()
    place = next(number for number, line in enumerate(out) if "quarantined rows are in" in line)
    file = out[place].split(" are in ")[1].split(".parquet")[0] + ".parquet"
    assert (
        out[place]
        == f"  orders: quarantined rows are in {file}. Examples by row of the delivered file, with ids shortened:"
    )
    assert out[place + 1 : place + 4] == [
        "    row 3: amount_negative: amount is '-3.5'. Permitted: a number from 0 to 1,000,000,000,000.",
        f"    row 2: row_malformed: a line of 10 characters. {explain(ORDERS, 'row_malformed').remedy}",
        "    row 7: amount_not_a_number: amount is '99 Aaaa Aa.'. Permitted: a number from 0 to 1,000,000,000,000.",
    ]
    assert "example.com" not in "".join(out)
    numbers = {row["row_number"]: row["rule"] for row in pq.read_table(file).to_pylist()}
    assert numbers == {
        2: "row_malformed",
        3: "amount_negative",
        4: "row_malformed",
        5: "buyer_id_not_an_id",
        6: "items_too_small",
        7: "amount_not_a_number",
        8: "amount_negative",
    }


def test_rows_of_parquet_have_numbers_in_a_conflict_too(home: Path, tmp_path: Path) -> None:
    orders = [order("O1"), order("O1", amount=2.0), order("O2", buyer_id="secret", store_id="T9")]
    table = pa.Table.from_pylist(orders)
    table = table.append_column("row_number", pa.array([7, 7, 7]))
    delivery = write_some(tmp_path / "d", orders=table)
    out = run(home, "ingest", delivery).stdout
    assert "row 1: key_conflict: O…. Send each event once" in out, "the row with the smaller content is accepted"
    assert "row 3: store_unknown: store_id is 'T…'. Permitted: the store_id of an accepted row of stores." in out
    assert "secret" not in out
    assert run(home, "ingest", delivery).stdout.count("row 3: store_unknown") == 1, "repeated"


def test_a_table_without_accepted_rows_exits_with_2_and_one_sentence(home: Path, tmp_path: Path) -> None:
    result = run(home, "ingest", write_orders(tmp_path / "d", order(), ratings=RATINGS))
    assert result.returncode == 2
    assert "sellerscore: all 2 rows of ratings were quarantined. Correct them" in result.stderr
    assert open_store(home / "operating").rows("orders") == 2


@pytest.mark.parametrize("text", ["", "[]", '{"absent": "refunds"}'])
def test_an_invalid_delivery_json_exits_with_2(text: str, tmp_path: Path) -> None:
    delivery = write(tmp_path / "d")
    (delivery / "delivery.json").write_text(text)
    result = run(tmp_path / "home", "ingest", delivery)
    assert result.returncode == 2
    assert result.stderr.count("sellerscore: ") == 1
