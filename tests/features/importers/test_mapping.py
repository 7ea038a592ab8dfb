"""Mapping folders are validated, and `sellerscore import --check` reports what ingest would do and leaves no files."""

import json
from pathlib import Path

import pytest

from features.errors import DeliveryError, MappingError
from features.importers import (
    ImportOptions,
    check_mapping,
    find_mapping,
    read_mapping,
    shipped_mappings,
    write_template,
)
from features.schema import BY_NAME, Need
from tests.command import done, run
from tests.features.importers.exports import TOML, rewrite_orders, template


@pytest.mark.parametrize("name", shipped_mappings())
def test_every_shipped_mapping_can_be_read(name: str) -> None:
    mapping = find_mapping(name)
    assert mapping.name == name
    assert {table for table, each in BY_NAME.items() if each.need is Need.REQUIRED} <= mapping.sql.keys()
    assert not mapping.title.endswith(".")
    assert mapping.description.endswith(".")


def changed(old: str, new: str) -> str:
    assert old in TOML
    return TOML.replace(old, new, 1)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ('title = "', "cannot be read"),
        (changed("title =", "titel ="), "titel is unknown. Allowed are title, description"),
        (changed('title = "', 'title = "" # '), "title is '': String should have at least 1 character"),
        (changed("absent = []", 'absent = ["sellers"]'), "absent.0 is 'sellers': allowed are refunds, buyer_ids"),
        (changed("required = false", 'required = "no"'), "refunds.required is 'no': Input should be a valid bool"),
        (changed('needs = ["refunds"]', 'needs = ["returns"]'), "'returns' is not a source. Allowed are orders"),
        (changed("[tables.refunds]", "[tables.reviews]"), "is 'reviews': allowed are sellers, stores"),
        (changed("[parameters.country]", '[parameters."the country"]'), "use letters, digits and underscores"),
        (changed("required = false", 'delimiter = "||"'), "delimiter is '||': String should have at most 1"),
        (changed("required = false", 'encoding = "klingon"'), "encoding is 'klingon': use a name such as utf-8"),
        (changed('columns = ["refund_number"', 'columns = "all" # '), "columns is 'all': Input should be a"),
    ],
)
def test_errors_of_mapping_toml_are_named(mapping: str, message: str, tmp_path: Path) -> None:
    folder = template(tmp_path / "m", mapping=mapping)
    with pytest.raises(MappingError) as error:
        read_mapping(folder)
    assert message in str(error.value)


def test_missing_and_unknown_files_are_named(tmp_path: Path) -> None:
    without_source = template(tmp_path / "c", mapping=changed('source = "orders of my shop"', ""))
    with pytest.raises(MappingError, match=r"source is missing"):
        read_mapping(without_source)
    with pytest.raises(MappingError, match=r"lacks orders.sql, accounts.sql"):
        read_mapping(template(tmp_path / "a", orders=None, accounts=None))
    with pytest.raises(MappingError, match=r"reviews.sql is not a table of the contract. Allowed are prepare, sellers"):
        read_mapping(template(tmp_path / "b", reviews="SELECT 1"))
    with pytest.raises(MappingError, match=r"no importer 'shopfiy'. Use one of .*online-retail"):
        find_mapping("shopfiy")
    with pytest.raises(MappingError, match=r"has no mapping.toml"):
        find_mapping(str(tmp_path))
    with pytest.raises(MappingError, match="is not empty"):
        write_template(tmp_path)


def test_parameters_are_set_or_have_a_default(tmp_path: Path) -> None:
    mapping = read_mapping(template(tmp_path / "m"))
    values = mapping.values({"seller_id": "S1", "country": "DE"})
    assert values == {"seller_id": "S1", "country": "DE", "category": "unknown", "marketplace": "own_site"}
    with pytest.raises(MappingError, match=r"needs a value for seller_id. Add --set seller_id="):
        mapping.values({})
    with pytest.raises(MappingError, match=r"no parameter 'land'. Its parameters are: seller_id, country"):
        mapping.values({"seller_id": "S1", "land": "DE"})


JSON = ("--output", "json")


def test_problems_have_an_example_and_what_is_permitted(tmp_path: Path) -> None:
    folder = rewrite_orders(template(tmp_path / "m"), (",US,", ",USA,"), ("75.00", "-75.00"))
    checked = check_mapping(read_mapping(folder), folder / "example", ImportOptions({"seller_id": "S1"}))
    found = {(each.table, each.rule): (each.rows, each.example) for each in checked.problems}
    assert found == {("orders", "buyer_country_unknown"): (3, "USA"), ("orders", "amount_negative"): (1, "-75.00")}
    assert not checked.clean
    assert checked.accepted == {"sellers": 1, "stores": 1, "orders": 0, "refunds": 1}
    assert [each.table for each in checked.missing][:2] == ["traffic", "fulfilments"]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_an_error_of_ingest_does_not_name_the_temporary_folder(tmp_path: Path) -> None:
    columns = "NULL AS seller_id, 'US' AS country, 'USD' AS base_currency, 'x' AS category"
    times = "now()::TIMESTAMP AS onboarded_at, now()::TIMESTAMP AS known_at"
    folder = template(tmp_path / "m", sellers=f"SELECT {columns}, {times} WHERE false")
    with pytest.raises(DeliveryError, match=r"^sellers.parquet has no rows"):
        check_mapping(read_mapping(folder), folder / "example", ImportOptions({"seller_id": "S1"}))


@pytest.mark.usefixtures("no_vectors")
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
    folder = rewrite_orders(template(tmp_path / "m"), ("75.00", "-75.00"))
    result = run(tmp_path / "home", "import", folder, folder / "example", "--check", "--set", "seller_id=S1")
    assert result.returncode == 2
    assert "1 amount_negative: amount is below zero. Example: '-75.00'." in result.stdout
