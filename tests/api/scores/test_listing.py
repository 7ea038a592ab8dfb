"""The list of a bank's scores: each once, newest first, whatever is scored or erased between two pages."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from api.auth.scopes import ClientKind
from api.scores.repository import scores
from api.scores.schemas import ScorePage
from api.scores.service import list_scores
from tests.api.conftest import NEWCOMER, SELLERS
from tests.api.scores.conftest import Bank, assert_problem
from tests.api.started import register_of


def pages(bank: Bank, **query: Any) -> list[dict[str, Any]]:
    result = [bank.page(**query)]
    while cursor := result[-1]["next_cursor"]:
        assert len(result) < 20, "the pages do not end"
        result.append(bank.page(**query, cursor=cursor))
    return result


def ids(result: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for page in result for item in page["items"]]


def issue(bank: Bank, *sellers: str) -> list[str]:
    return [bank.score(seller)["id"] for seller in sellers]


@pytest.mark.databases
def test_every_score_is_listed_once_newest_first_in_pages_of_any_size(bank: Bank) -> None:
    issued = issue(bank, *(SELLERS[number % 3] for number in range(7)))
    for limit in range(1, 9):
        result = pages(bank, limit=limit)
        assert ids(result) == issued[::-1]
        assert [len(page["items"]) for page in result[:-1]] == [limit] * (len(result) - 1)
    response = bank.get("/v1/scores")
    assert ScorePage.model_validate(response.json()).model_dump(mode="json") == response.json()
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.databases
def test_new_scores_do_not_move_the_following_pages(bank: Bank) -> None:
    issued = issue(bank, *SELLERS[:1] * 5)
    result = [bank.page(limit=2)]
    for seller in SELLERS[:2]:
        bank.score(seller)
        result.append(bank.page(limit=2, cursor=result[-1]["next_cursor"]))
    assert ids(result) == issued[::-1]
    assert result[-1]["next_cursor"] is None


def test_the_order_is_that_of_the_chain_if_the_clock_runs_backwards(bank: Bank) -> None:
    issued = issue(bank, *SELLERS[:1] * 5)
    with bank.services.engine.begin() as connection:
        for score_id, hours in zip(issued, (0, 1, 1, 1, 4), strict=True):
            moment = datetime(2026, 3, 1, tzinfo=UTC) - timedelta(hours=hours)
            connection.execute(update(scores).where(scores.c.id == score_id).values(scored_at=moment))
    for limit in (1, 2, 3):
        assert ids(pages(bank, limit=limit)) == issued[::-1]


@pytest.mark.parametrize("seller_id", [SELLERS[0], NEWCOMER])
def test_an_item_has_the_values_of_the_score(bank: Bank, seller_id: str) -> None:
    score = bank.score(seller_id, "account_review")
    (item,) = bank.page(seller_id=seller_id)["items"]
    numbers = ("as_of", "outcome", "score", "band", "probability_of_default")
    assert item == {
        **{name: score[name] for name in ("id", "seller_id", "purpose", "scored_at", "expires_at")},
        **{name: score["assessment"][name] for name in numbers},
        "expired": False,
        "state": "readable",
    }


@pytest.mark.databases
def test_a_list_of_one_seller_has_no_other_scores(bank: Bank) -> None:
    issued = {seller: issue(bank, *[seller] * 3) for seller in (SELLERS[0], NEWCOMER, SELLERS[1])}
    for seller, expected in issued.items():
        assert ids(pages(bank, seller_id=seller, limit=2)) == expected[::-1]
    assert bank.page(seller_id="nobody") == {"items": [], "next_cursor": None}


def test_another_bank_has_another_list_and_cannot_use_the_cursor(bank: Bank) -> None:
    issued = issue(bank, *SELLERS[:1] * 3)
    cursor = bank.page(limit=1)["next_cursor"]
    other = register_of(bank.services).create(
        ClientKind.BANK,
        "Another",
        credential=bank.services.auth.secrets.new(),
        now=datetime.now(UTC),
    )
    token = bank.client.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=(other.client.id, str(other.secret))
    )
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
    assert bank.client.get("/v1/scores", headers=headers).json() == {"items": [], "next_cursor": None}
    rejected = bank.client.get("/v1/scores", params={"cursor": cursor}, headers=headers)
    assert (rejected.status_code, rejected.json()["errors"][0]["where"]) == (422, "query/cursor")
    assert ids(pages(bank)) == issued[::-1]


def test_an_expired_score_is_marked_and_its_bytes_stay(bank: Bank) -> None:
    issued = bank.post_score()
    expires_at = datetime.fromisoformat(issued.json()["expires_at"])
    read = bank.get(issued.headers["Location"])
    assert (read.content, read.headers["SellerScore-Expired"]) == (issued.content, "false")
    for moment, expired in (
        (expires_at - timedelta(milliseconds=1), False),
        (expires_at, True),
        (expires_at + timedelta(days=900), True),
    ):
        assert list_scores(bank.services, bank.id, None, (None, 5), moment).items[0].expired is expired


def test_scores_of_an_erased_seller_stay_listed_without_the_seller(bank: Bank) -> None:
    issued = [bank.score(seller) for seller in SELLERS[:3]]
    cursor = bank.page(limit=1)["next_cursor"]
    bank.erase(SELLERS[1])
    (page,) = pages(bank)
    assert [item["state"] for item in page["items"]] == ["readable", "erased", "readable"]
    index = {name: issued[1][name] for name in ("id", "purpose", "scored_at")}
    unreadable = dict.fromkeys(page["items"][1].keys() - index.keys())
    assert page["items"][1] == {**unreadable, **index, "state": "erased"}
    assert SELLERS[1] not in json.dumps(page)
    assert bank.page(seller_id=SELLERS[1])["items"] == []
    # a cursor at the score of the erased seller stays valid
    assert ids([bank.page(cursor=bank.page(limit=2)["next_cursor"])]) == [issued[0]["id"]]
    assert len(bank.page(cursor=cursor)["items"]) == 2
    assert bank.get(f"/v1/scores/{issued[1]['id']}").status_code == 410


@pytest.mark.databases
def test_a_damaged_row_is_marked_and_fails_no_page(bank: Bank) -> None:
    damaged, readable = (bank.score(seller) for seller in SELLERS[:2])
    with bank.services.engine.begin() as connection:
        connection.execute(
            text("UPDATE ledger SET sealed = :sealed WHERE position = :position"),
            {"sealed": b"x" * 40, "position": damaged["ledger"]["position"]},
        )
    states = {item["id"]: item["state"] for item in bank.page()["items"]}
    assert states == {damaged["id"]: "damaged", readable["id"]: "readable"}


@pytest.mark.parametrize(
    ("query", "where", "rule"),
    [
        ({"limit": "0"}, "query/limit", "greater_than_equal"),
        ({"limit": "201"}, "query/limit", "less_than_equal"),
        ({"limit": "many"}, "query/limit", "int_parsing"),
        ({"seller_id": ""}, "query/seller_id", "string_too_short"),
        ({"seller_id": "x" * 201}, "query/seller_id", "string_too_long"),
        ({"seller_id": "S\u200b1"}, "query/seller_id", "printable"),
        ({"cursor": "none"}, "query/cursor", "cursor"),
        ({"cursor": ""}, "query/cursor", "cursor"),
        ({"cursor": "x" * 401}, "query/cursor", "string_too_long"),
    ],
)
def test_a_query_that_is_not_allowed_is_named(bank: Bank, query: dict[str, str], where: str, rule: str) -> None:
    response = bank.get("/v1/scores", **query)
    assert response.status_code == 422, response.text
    assert [(error["where"], error["rule"]) for error in response.json()["errors"]] == [(where, rule)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_altered_cursor_is_rejected(bank: Bank, data: st.DataObject) -> None:
    if not bank.page()["items"]:
        issue(bank, *SELLERS[:3])
    cursor = bank.page(limit=1)["next_cursor"]
    content = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        # the same time in another notation
        content[content.index(b"T")] = ord(" ")
    altered = base64.urlsafe_b64encode(bytes(content)).decode().rstrip("=")
    response = bank.get("/v1/scores", cursor=altered)
    assert (response.status_code, response.json().get("type")) == (422, "/problems/invalid-request"), bytes(content)


@pytest.mark.databases
def test_scores_whose_positions_were_exchanged_are_damaged(bank: Bank) -> None:
    first, second = bank.score(), bank.score()
    positions = [score["ledger"]["position"] for score in (first, second)]
    with bank.services.engine.begin() as connection:
        for old, new in ((positions[0], 0), (positions[1], positions[0]), (0, positions[1])):
            connection.execute(
                text("UPDATE scores SET position = :new WHERE position = :old"), {"old": old, "new": new}
            )
    for score in (first, second):
        assert_problem(bank.get(f"/v1/scores/{score['id']}"), 500, "ledger-damaged")
    assert [item["state"] for item in bank.page()["items"]] == ["damaged", "damaged"]
