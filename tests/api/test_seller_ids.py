"""A seller's id: whoever was delivered can be asked for, and what cannot be seen is neither delivered nor asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import duckdb
import pytest

from api.kit.fields import SELLER_ID
from features.ingest.rules import _INVISIBLE

if TYPE_CHECKING:
    from starlette.testclient import TestClient

LETTERS = [each for each in range(1, 0x110000) if not 0xD800 <= each < 0xE000]


def test_intake_and_the_service_allow_the_same_letters() -> None:
    pattern = re.compile(SELLER_ID)
    with duckdb.connect() as connection:
        asked = "SELECT i FROM (SELECT unnest(?) AS i) WHERE regexp_matches(chr(i::INTEGER), ?)"
        refused = {each for (each,) in connection.execute(asked, [LETTERS, _INVISIBLE]).fetchall()}
    assert {each for each in LETTERS if not pattern.fullmatch(chr(each))} == refused


@pytest.mark.parametrize("letter", ["\t", "\x7f", "\xa0", "\xad", "\u200b", "\u202e", "\u2028", "\ue000", "\U000e0041"])
def test_what_cannot_be_seen_is_refused_wherever_an_id_is_given(shared_client: TestClient, letter: str) -> None:
    seller_id = f"S-{letter}1"
    purpose = "credit_application"
    for answer, where in (
        (shared_client.post("/v1/scores", json={"seller_id": seller_id, "purpose": purpose}), "body/seller_id"),
        (
            shared_client.post("/v1/consent-requests", json={"seller_id": seller_id, "purpose": purpose}),
            "body/seller_id",
        ),
        (shared_client.get("/v1/scores", params={"seller_id": seller_id}), "query/seller_id"),
        (shared_client.get(f"/v1/sellers/{quote(seller_id, safe='')}/profile"), "path/seller_id"),
    ):
        assert answer.status_code == 422, answer.text
        (told,) = answer.json()["errors"]
        assert (told["where"], told["rule"]) == (where, "printable")
        assert "control, invisible or private characters" in told["message"]


@pytest.mark.parametrize("seller_id", ["卖家 7", "Ñandú/ß", "👍🏽", "S 1", "\u0378"])
def test_whatever_can_be_seen_is_an_id(shared_client: TestClient, seller_id: str) -> None:
    assert shared_client.get("/v1/scores", params={"seller_id": seller_id}).status_code == 200
    assert shared_client.get(f"/v1/sellers/{quote(seller_id, safe='')}/profile").status_code == 403
