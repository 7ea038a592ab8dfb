"""Field types: timestamps need a date, a time and a zone; seller IDs have visible characters, as in ingest."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import duckdb
import pytest
from pydantic import TypeAdapter, ValidationError

from api.kit.fields import SELLER_ID, Moment
from features.ingest.rules import _INVISIBLE

if TYPE_CHECKING:
    from starlette.testclient import TestClient

MOMENT = TypeAdapter(Moment)
CHARACTERS = [code for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]


@pytest.mark.parametrize("text", ["2026-02-01T09:30:00Z", "2026-02-01T17:30:00+08:00", "2026-02-01 09:30:00Z"])
def test_a_date_and_time_with_a_zone_is_converted_to_utc(text: str) -> None:
    assert MOMENT.validate_python(text) == datetime(2026, 2, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [90, 90.5, True, "90", "-1e9", "2026-02-01", "2026-02-01T09:30:00", "", "soon", None, "0001-01-01T00:00:00+14:00"],
)
def test_other_values_are_rejected(value: object) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(value)


def test_ingest_and_the_service_allow_the_same_characters_in_seller_ids() -> None:
    pattern = re.compile(SELLER_ID)
    with duckdb.connect() as connection:
        query = "SELECT i FROM (SELECT unnest(?) AS i) WHERE regexp_matches(chr(i::INTEGER), ?)"
        rejected = {code for (code,) in connection.execute(query, [CHARACTERS, _INVISIBLE]).fetchall()}
    assert {code for code in CHARACTERS if not pattern.fullmatch(chr(code))} == rejected


@pytest.mark.parametrize("letter", ["\t", "\x7f", "\xa0", "\xad", "\u200b", "\u202e", "\u2028", "\ue000", "\U000e0041"])
def test_an_invisible_character_is_rejected_wherever_a_seller_id_is_sent(
    shared_client: TestClient, letter: str
) -> None:
    seller_id = f"S-{letter}1"
    body = {"seller_id": seller_id, "purpose": "credit_application"}
    for response, where in (
        (shared_client.post("/v1/scores", json=body), "body/seller_id"),
        (shared_client.post("/v1/consent-requests", json=body), "body/seller_id"),
        (shared_client.get("/v1/scores", params={"seller_id": seller_id}), "query/seller_id"),
        (shared_client.get(f"/v1/sellers/{quote(seller_id, safe='')}/profile"), "path/seller_id"),
    ):
        assert response.status_code == 422, response.text
        (error,) = response.json()["errors"]
        assert (error["where"], error["rule"]) == (where, "printable")
        assert "control, invisible or private characters" in error["message"]


@pytest.mark.parametrize("seller_id", ["卖家 7", "Ñandú/ß", "👍🏽", "S 1", "\u0378"])
def test_a_seller_id_may_have_any_visible_character(shared_client: TestClient, seller_id: str) -> None:
    assert shared_client.get("/v1/scores", params={"seller_id": seller_id}).status_code == 200
    assert shared_client.get(f"/v1/sellers/{quote(seller_id, safe='')}/profile").status_code == 403
