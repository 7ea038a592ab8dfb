"""What the OpenAPI document says of a seller's id is what is checked: by Python, and by readers of the document."""

from __future__ import annotations

import unicodedata

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.kit.fields import SellerId

ADAPTER: TypeAdapter[str] = TypeAdapter(SellerId)
DOCUMENTED = jsonschema_rs.validator_for(ADAPTER.json_schema())


def taken(text: str) -> bool:
    try:
        return ADAPTER.validate_python(text) == text
    except ValidationError:
        return False


@given(st.text(st.characters(codec="utf-8"), max_size=220))
@example("卖家 new")
@example("S-1\n")
@example("")
@example("x" * 201)
def test_the_document_and_the_service_agree(text: str) -> None:
    assert DOCUMENTED.is_valid(text) == taken(text)


@pytest.mark.parametrize("kind", ["Cc", "Zl", "Zp"])
def test_no_control_character_and_no_line_is_taken(kind: str) -> None:
    letters = [chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) == kind]
    assert letters
    assert not any(taken(f"S{letter}1") for letter in letters)


@pytest.mark.parametrize(
    "letter", ["\u00a0", "\u00ad", "\u200b", "\u200f", "\u202e", "\u2066", "\u3000", "\ufeff", "\ue000"]
)
def test_nothing_invisible_is_taken(letter: str) -> None:
    assert not taken(f"S{letter}1")


@pytest.mark.parametrize("seller_id", ["S-000001", "卖家 new", "Ωμέγα", "seller@example.com/1", "م١", "😀"])
def test_what_people_see_is_taken(seller_id: str) -> None:
    assert taken(seller_id)
