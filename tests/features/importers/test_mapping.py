"""Mapping folders are validated; errors name the field, its value and what is allowed."""

from pathlib import Path

import pytest

from features.errors import MappingError
from features.importers import find_mapping, read_mapping, shipped_mappings, write_template
from features.schema import BY_NAME, Need
from tests.features.importers.exports import template

TOML = (Path("features") / "importers" / "template" / "mapping.toml").resolve()


@pytest.mark.parametrize("name", shipped_mappings())
def test_every_shipped_mapping_can_be_read(name: str) -> None:
    mapping = find_mapping(name)
    assert mapping.name == name
    assert {table for table, each in BY_NAME.items() if each.need is Need.REQUIRED} <= mapping.sql.keys()
    assert not mapping.title.endswith(".")
    assert mapping.description.endswith(".")


def changed(old: str, new: str) -> str:
    text = TOML.read_text(encoding="utf-8")
    assert old in text
    return text.replace(old, new, 1)


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
