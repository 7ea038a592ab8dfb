"""Seller IDs: the service accepts exactly what the OpenAPI document describes."""

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
INVISIBLE = ("\u00a0", "\u00ad", "\u200b", "\u200f", "\u202e", "\u2066", "\u3000", "\ufeff", "\ue000")


def accepted(text: str) -> bool:
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
    assert DOCUMENTED.is_valid(text) == accepted(text)


def test_no_control_character_line_break_or_invisible_character_is_accepted() -> None:
    letters = [chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) in {"Cc", "Zl", "Zp"}]
    assert len(letters) > 60
    assert not [letter for letter in (*letters, *INVISIBLE) if accepted(f"S{letter}1")]


@pytest.mark.parametrize("seller_id", ["S-000001", "卖家 new", "Ωμέγα", "seller@example.com/1", "م١", "😀"])
def test_visible_characters_are_accepted(seller_id: str) -> None:
    assert accepted(seller_id)
