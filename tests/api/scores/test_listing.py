"""A bank's scores page by page: every one once, newest first, whatever is scored, erased or asked meanwhile."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from api.auth import clients
from api.auth.scopes import ClientKind
from api.scores.repository import scores
from api.scores.schemas import ScorePage
from api.scores.service import list_scores
from tests.api.conftest import NEWCOMER, SELLERS
from tests.api.scores.conftest import Bank


def pages(bank: Bank, **query: Any) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        page = bank.page(**query, **({"cursor": cursor} if cursor else {}))
        found.append(page)
        cursor = page["next_cursor"]
        if cursor is None:
            return found
        assert len(found) < 20, "the pages do not end"


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for page in found for item in page["items"]]


@pytest.mark.databases
def test_every_score_is_listed_once_newest_first_in_pages_of_any_size(bank: Bank) -> None:
    made = [bank.score(SELLERS[number % 3])["id"] for number in range(7)]
    for limit in range(1, 9):
        found = pages(bank, limit=limit)
        assert ids(found) == made[::-1]
        assert [len(page["items"]) for page in found[:-1]] == [limit] * (len(found) - 1)


@pytest.mark.databases
def test_pages_stay_right_while_scores_are_added(bank: Bank) -> None:
    made = [bank.score()["id"] for _ in range(5)]
    first = bank.page(limit=2)
    bank.score()
    second = bank.page(limit=2, cursor=first["next_cursor"])
    bank.score(SELLERS[1])
    third = bank.page(limit=2, cursor=second["next_cursor"])
    assert ids([first, second, third]) == made[::-1]
    assert third["next_cursor"] is None


def test_the_order_is_the_chains_whatever_the_clocks_said(bank: Bank) -> None:
    made = [bank.score()["id"] for _ in range(5)]
    with bank.services.engine.begin() as connection:
        for place, score_id in enumerate(made):
            # a clock that runs backwards, and stands still in the middle
            moment = datetime(2026, 3, 1, tzinfo=UTC) - timedelta(hours=(0, 1, 1, 1, 4)[place])
            connection.execute(update(scores).where(scores.c.id == score_id).values(scored_at=moment))
    for limit in (1, 2, 3):
        assert ids(pages(bank, limit=limit)) == made[::-1]


def test_an_item_says_what_the_score_says(bank: Bank) -> None:
    for seller_id in (SELLERS[0], NEWCOMER):
        score = bank.score(seller_id, "account_review")
        (item,) = bank.page(seller_id=seller_id)["items"]
        same = ("id", "seller_id", "purpose", "scored_at", "expires_at")
        told = ("as_of", "outcome", "score", "band", "probability_of_default")
        assert item == {
            **{name: score[name] for name in same},
            **{name: score["assessment"][name] for name in told},
            "expired": False,
            "state": "readable",
        }


@pytest.mark.databases
def test_the_history_of_one_seller_is_his_alone(bank: Bank) -> None:
    made = {seller: [bank.score(seller)["id"] for _ in range(3)] for seller in (SELLERS[0], NEWCOMER, SELLERS[1])}
    for seller, its in made.items():
        assert ids(pages(bank, seller_id=seller, limit=2)) == its[::-1]
    assert bank.page(seller_id="nobody") == {"items": [], "next_cursor": None}


def test_a_bank_lists_its_own_alone_and_no_cursor_of_another(bank: Bank) -> None:
    made = [bank.score()["id"] for _ in range(3)]
    cursor = bank.page(limit=1)["next_cursor"]
    other = clients.create_client(bank.services.engine, ClientKind.BANK, "Another", now=datetime.now(UTC))
    answer = bank.client.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=(other.client.id, str(other.secret))
    )
    theirs = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert bank.client.get("/v1/scores", headers=theirs).json() == {"items": [], "next_cursor": None}
    foreign = bank.client.get("/v1/scores", params={"cursor": cursor}, headers=theirs)
    assert foreign.status_code == 422
    assert foreign.json()["errors"][0]["where"] == "query/cursor"
    assert ids(pages(bank)) == made[::-1]


def test_an_expired_score_is_marked_and_its_bytes_stay(bank: Bank) -> None:
    made = bank.client.post("/v1/scores", json={"seller_id": SELLERS[0], "purpose": "credit_application"})
    ends = datetime.fromisoformat(made.json()["expires_at"])
    fresh = bank.get(made.headers["Location"])
    assert (fresh.content, fresh.headers["SellerScore-Expired"]) == (made.content, "false")

    def marked(now: datetime) -> bool | None:
        return list_scores(bank.services, made.json()["bank_id"], None, (None, 5), now).items[0].expired

    assert [marked(ends - timedelta(milliseconds=1)), marked(ends), marked(ends + timedelta(days=900))] == [
        False,
        True,
        True,
    ]


def test_erased_sellers_stay_listed_as_erased_and_fail_no_page(bank: Bank) -> None:
    made = [bank.score(seller) for seller in SELLERS[:3]]
    cursor = bank.page(limit=1)["next_cursor"]
    bank.erase(SELLERS[1])
    (page,) = pages(bank)
    assert [item["state"] for item in page["items"]] == ["readable", "erased", "readable"]
    erased = page["items"][1]
    known = {"id", "state", "purpose", "scored_at"}
    assert {name: erased[name] for name in ("id", "purpose", "scored_at")} == {
        name: made[1][name] for name in ("id", "purpose", "scored_at")
    }
    assert all(value is None for name, value in erased.items() if name not in known)
    assert SELLERS[1] not in json.dumps(page)
    assert bank.page(seller_id=SELLERS[1])["items"] == []
    # a cursor that stands on the score of one who was erased goes on
    assert ids([bank.page(cursor=bank.page(limit=2)["next_cursor"])]) == [made[0]["id"]]
    assert len(bank.page(cursor=cursor)["items"]) == 2
    assert bank.get(f"/v1/scores/{made[1]['id']}").status_code == 410


@pytest.mark.databases
def test_a_damaged_row_is_told_and_fails_no_page(bank: Bank) -> None:
    made = [bank.score(seller) for seller in SELLERS[:2]]
    with bank.services.engine.begin() as connection:
        connection.execute(
            text("UPDATE ledger SET sealed = :none WHERE position = :place"),
            {"none": b"x" * 40, "place": made[0]["ledger"]["position"]},
        )
    states = {item["id"]: item["state"] for item in bank.page()["items"]}
    assert states == {made[0]["id"]: "damaged", made[1]["id"]: "readable"}


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
def test_what_is_asked_wrongly_is_named(bank: Bank, query: dict[str, str], where: str, rule: str) -> None:
    answer = bank.get("/v1/scores", **query)
    assert answer.status_code == 422, answer.text
    assert [(each["where"], each["rule"]) for each in answer.json()["errors"]] == [(where, rule)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_cursor_that_was_altered_is_refused(bank: Bank, data: st.DataObject) -> None:
    if not bank.page()["items"]:
        for _ in range(3):
            bank.score()
    cursor = bank.page(limit=1)["next_cursor"]
    content = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    altered = base64.urlsafe_b64encode(bytes(content)).decode().rstrip("=")
    answer = bank.get("/v1/scores", cursor=altered)
    assert (answer.status_code, answer.json().get("type")) == (422, "/problems/invalid-request"), bytes(content)


def test_a_cursor_that_means_the_same_and_is_written_otherwise_is_refused(bank: Bank) -> None:
    for _ in range(2):
        bank.score()
    cursor = bank.page(limit=1)["next_cursor"]
    content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).replace(b"T", b" ", 1)
    otherwise = base64.urlsafe_b64encode(content).decode().rstrip("=")
    assert bank.get("/v1/scores", cursor=cursor).status_code == 200
    assert bank.get("/v1/scores", cursor=otherwise).status_code == 422


def test_the_answer_is_what_its_schema_says_and_nobody_caches_it(bank: Bank) -> None:
    bank.score()
    answer = bank.get("/v1/scores")
    assert ScorePage.model_validate(answer.json()).model_dump(mode="json") == answer.json()
    assert answer.headers["cache-control"] == "no-store"
