"""A mapping folder is read whole, and what is wrong with it is named with what is allowed."""

from pathlib import Path

import pytest

from features.errors import MappingError
from features.importers import find_mapping, read_mapping, shipped, write_template
from features.schema import BY_NAME, Need
from tests.features.importers.exports import template

TOML = (Path("features") / "importers" / "template" / "mapping.toml").resolve()


@pytest.mark.parametrize("name", shipped())
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
    ("mapping", "words"),
    [
        ('title = "', "cannot be read"),
        (changed("title =", "titel ="), "'titel' is not known. Allowed are title, description"),
        (changed('title = "', 'title = "" # '), "title is ''. It must be text"),
        (changed("absent = []", 'absent = ["sellers"]'), "'sellers' is not known. Allowed are refunds, buyer_ids"),
        (changed("required = false", 'required = "no"'), "required is 'no'. Allowed are true and false"),
        (changed('needs = ["refunds"]', 'needs = ["returns"]'), "'returns' is not known. Allowed are orders"),
        (changed("[tables.refunds]", "[tables.reviews]"), "'reviews' is not known. Allowed are sellers, stores"),
        (changed("[parameters.country]", '[parameters."the country"]'), "is not a name"),
        (changed("required = false", 'delimiter = "||"'), "Use one character"),
        (changed("required = false", 'encoding = "klingon"'), "Use a name such as utf-8 or cp1252"),
        (changed('columns = ["refund_number"', 'columns = "all" # '), "columns is 'all'. It must be a list of text"),
    ],
)
def test_what_is_wrong_in_mapping_toml_is_named(mapping: str, words: str, tmp_path: Path) -> None:
    folder = template(tmp_path / "m", mapping=mapping)
    with pytest.raises(MappingError) as error:
        read_mapping(folder)
    assert words in str(error.value)


def test_missing_and_unknown_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"lacks orders.sql, accounts.sql"):
        read_mapping(template(tmp_path / "a", orders=None, accounts=None))
    with pytest.raises(MappingError, match=r"reviews.sql is not a table of the contract. Allowed are prepare, sellers"):
        read_mapping(template(tmp_path / "b", reviews="SELECT 1"))
    with pytest.raises(MappingError, match=r"no importer 'shopfiy'. Use one of .*online-retail"):
        find_mapping("shopfiy")
    with pytest.raises(MappingError, match=r"holds no mapping.toml"):
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
