"""`sellerscore import --check` reports what ingest would do and leaves no files; the other options of the command."""

import json
from pathlib import Path

import pytest

from features.errors import DeliveryError
from features.importers import ImportOptions, check_mapping, read_mapping
from tests.command import done, run
from tests.features.importers.exports import template

JSON = ("--output", "json")


def test_problems_have_an_example_and_what_is_permitted(tmp_path: Path) -> None:
    folder = template(tmp_path / "m")
    orders = folder / "example" / "orders.csv"
    orders.write_text(orders.read_text().replace(",US,", ",USA,").replace("75.00", "-75.00"))
    checked = check_mapping(read_mapping(folder), folder / "example", ImportOptions({"seller_id": "S1"}))
    found = {(each.table, each.rule): (each.rows, each.example) for each in checked.problems}
    assert found == {("orders", "buyer_country_unknown"): (3, "USA"), ("orders", "amount_negative"): (1, "-75.00")}
    assert not checked.clean
    assert checked.accepted == {"sellers": 1, "stores": 1, "orders": 0, "refunds": 1}
    assert [each.table for each in checked.missing][:2] == ["traffic", "fulfilments"]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_an_invalid_currency_affects_its_rows_only(tmp_path: Path) -> None:
    folder = template(tmp_path / "m")
    orders = folder / "example" / "orders.csv"
    orders.write_text(orders.read_text().replace("USD", "EUR").replace("75.00,EUR", "75.00,DEM2"))
    checked = check_mapping(read_mapping(folder), folder / "example", ImportOptions({"seller_id": "S1"}, 1.1))
    (problem,) = checked.problems
    assert (problem.table, problem.rule, problem.rows, problem.example) == ("orders", "currency_unknown", 1, "DEM2")
    assert problem.wrong == "currency is not an ISO 4217 currency code."
    assert checked.accepted["orders"] == 3


def test_an_error_of_ingest_does_not_name_the_temporary_folder(tmp_path: Path) -> None:
    folder = template(
        tmp_path / "m",
        sellers="SELECT * REPLACE (NULL AS seller_id) FROM (SELECT NULL AS seller_id, "
        "'US' AS country, 'USD' AS base_currency, 'x' AS category, now()::TIMESTAMP AS onboarded_at, "
        "now()::TIMESTAMP AS known_at) WHERE false",
    )
    with pytest.raises(DeliveryError, match=r"^sellers.parquet has no rows"):
        check_mapping(read_mapping(folder), folder / "example", ImportOptions({"seller_id": "S1"}))


def test_the_command_imports_checks_lists_and_writes_a_template(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "shop"
    assert "mapping.toml" in done(home, "import", "--template", folder)
    text = done(home, "import", folder, folder / "example", "--check", "--set", "seller_id=S1")
    assert "orders: 4 of 4 rows would be accepted" in text
    assert "No row would be quarantined." in text
    report = json.loads(
        done(home, "import", folder, folder / "example", "--out", tmp_path / "d", "--set", "seller_id=S1", *JSON)
    )
    assert report["written"] == {"orders": 4, "refunds": 1, "sellers": 1, "stores": 1}
    done(home, "ingest", tmp_path / "d")
    assert "koubei: " in done(home, "import", "--list")
    names = [each["name"] for each in json.loads(done(home, "import", "--list", *JSON))]
    assert "online-retail" in names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import",), "Name an importer and the export"),
        (("import", "koubei", "x"), "Give --out DELIVERY to write a delivery, or --check"),
        (("import", "koubei", "x", "--check"), "x is not a folder or file"),
        (("import", "nothing", "x", "--check"), "There is no importer 'nothing'"),
        (("import", "koubei", "x", "--check", "--set", "country"), "--set country is not NAME=VALUE"),
    ],
)
def test_invalid_arguments_exit_with_2(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = run(tmp_path / "home", *arguments)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_check_with_problems_exits_with_2(tmp_path: Path) -> None:
    folder = template(tmp_path / "m")
    orders = folder / "example" / "orders.csv"
    orders.write_text(orders.read_text().replace("75.00", "-75.00"))
    result = run(tmp_path / "home", "import", folder, folder / "example", "--check", "--set", "seller_id=S1")
    assert result.returncode == 2
    assert "1 amount_negative: amount is below zero. Example: '-75.00'." in result.stdout
