"""Consents over HTTP: the platform records them; a bank requests them, reads its own and scores under them."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from api.consents.schemas import ConsentRequestResponse, ConsentResponse
from api.kit.pagination import PagePosition, format_cursor, parse_cursor
from tests.api.auth.conftest import Known
from tests.api.conftest import NOW, SELLERS
from tests.api.consents.conftest import OTHER, TICK, Desk

if TYPE_CHECKING:
    from httpx import Response

LISTS = pytest.mark.parametrize("path", ["/v1/consents", "/v1/consent-requests"])


@pytest.mark.databases
def test_a_bank_scores_from_the_grant_until_the_revocation(desk: Desk) -> None:
    assert desk.score().status_code == 403
    granted = desk.grant()
    assert (granted.status_code, granted.headers["cache-control"]) == (201, "no-store")
    consent = granted.json()
    assert consent == ConsentResponse.model_validate(consent).model_dump(mode="json")
    starts, ends = (datetime.fromisoformat(consent[name]) for name in ("granted_at", "ends_at"))
    assert (consent["state"], ends - starts) == ("in_force", timedelta(days=90))
    score = desk.score()
    assert (score.status_code, score.json()["consent_id"]) == (201, consent["id"])
    assert desk.score(purpose=OTHER).status_code == 403
    assert desk.score(bank=desk.second).status_code == 403
    revoked = desk.call(desk.platform, "DELETE", granted.headers["Location"])
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    assert desk.score().json()["type"] == "/problems/consent-required"
    assert desk.call(desk.bank, "GET", score.headers["Location"]).content == score.content
    second = desk.call(desk.platform, "DELETE", granted.headers["Location"])
    assert (second.status_code, second.content) == (200, revoked.content)
    assert desk.call(desk.bank, "GET", granted.headers["Location"]).content == revoked.content


def test_without_a_consent_the_response_is_the_same_for_every_seller(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown seller, and consents that ended, were revoked, or are of another bank or purpose look the same."""
    read: list[str] = []
    monkeypatch.setattr("features.store.vectors.VectorStore.latest", lambda _, seller_id: read.append(seller_id))
    desk.call(desk.platform, "DELETE", desk.grant(SELLERS[1]).headers["Location"])
    desk.grant(SELLERS[2], bank_id=desk.second.id)
    desk.grant(SELLERS[3], purpose=OTHER)
    responses = [desk.score(seller) for seller in ("S-nobody", *SELLERS[:4], "卖家 \u2713")]
    assert {response.status_code for response in responses} == {403}
    assert len({response.content for response in responses}) == 1
    headers = [sorted((k, v) for k, v in response.headers.items() if k != "ratelimit") for response in responses]
    assert all(each == headers[0] for each in headers)
    assert read == [], "no data are read without a consent"


def test_a_request_has_the_same_response_for_an_unknown_seller(desk: Desk) -> None:
    known, unknown = desk.request(SELLERS[5]), desk.request("S-nobody")
    assert {known.status_code, unknown.status_code} == {202}
    for name in ("state", "bank_id", "purpose", "declined_at", "consent_id"):
        assert known.json()[name] == unknown.json()[name]
    assert known.json() == ConsentRequestResponse.model_validate(known.json()).model_dump(mode="json")
    assert desk.request(SELLERS[5]).content == known.content
    assert desk.call(desk.second, "GET", known.headers["Location"]).status_code == 404
    assert desk.call(desk.second, "GET", "/v1/consent-requests").json()["items"] == []


@pytest.mark.databases
def test_the_platform_sees_requests_and_grants_or_declines_them(desk: Desk) -> None:
    first, other = desk.request(SELLERS[6]), desk.request(SELLERS[7])
    query = {"seller_id": SELLERS[6], "state": "pending"}
    items = desk.call(desk.platform, "GET", "/v1/consent-requests", params=query).json()["items"]
    assert first.json() in items
    assert other.json() not in items
    consent = desk.grant(SELLERS[6]).json()
    granted = desk.call(desk.bank, "GET", first.headers["Location"]).json()
    assert (granted["state"], granted["consent_id"]) == ("granted", consent["id"])
    closed = desk.call(desk.platform, "POST", f"{first.headers['Location']}/decline")
    assert (closed.status_code, closed.json()["type"]) == (409, "/problems/consent-request-closed")
    declined = desk.call(desk.platform, "POST", f"{other.headers['Location']}/decline")
    assert (declined.status_code, declined.json()["state"]) == (200, "declined")
    assert desk.request(SELLERS[7]).json() == declined.json()
    items = desk.call(desk.bank, "GET", "/v1/consent-requests", params={"state": "declined"}).json()["items"]
    assert items == [declined.json()]


@pytest.mark.databases
def test_a_bank_lists_its_own_consents_in_pages_and_the_platform_all(desk: Desk) -> None:
    own = [desk.grant(seller).json()["id"] for seller in SELLERS[:7]]
    other = desk.grant(SELLERS[0], bank_id=desk.second.id).json()["id"]
    desk.call(desk.platform, "DELETE", f"/v1/consents/{own[0]}")

    def list_all(caller: Known, **query: Any) -> list[str]:
        ids: list[str] = []
        while True:
            page = desk.call(caller, "GET", "/v1/consents", params={"limit": 3, **query}).json()
            assert len(page["items"]) <= 3
            ids += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                return ids
            query["cursor"] = page["next_cursor"]

    assert list_all(desk.bank) == own[::-1]
    assert list_all(desk.second) == [other]
    assert list_all(desk.bank, seller_id=SELLERS[2]) == [own[2]]
    assert list_all(desk.bank, state="revoked") == [own[0]]
    assert list_all(desk.bank, state="in_force") == own[:0:-1]
    assert list_all(desk.bank, state="ended") == []
    of_seller = list_all(desk.platform, seller_id=SELLERS[0])
    assert [consent_id for consent_id in of_seller if consent_id in {own[0], other}] == [other, own[0]]
    assert set(own) <= set(list_all(desk.platform))
    assert desk.call(desk.bank, "GET", f"/v1/consents/{other}").status_code == 404


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"days": None}, "body"),
        ({"ends_at": "2099-01-01T00:00:00Z"}, "body"),
        ({"days": 0}, "body/days"),
        ({"days": 367}, "body/days"),
        ({"days": 1.5}, "body/days"),
        ({"days": "90"}, "body/days"),
        ({"days": True}, "body/days"),
        ({"days": None, "ends_at": "2099-01-01T00:00:00Z"}, "body/ends_at"),
        ({"days": None, "ends_at": "2020-01-01T00:00:00Z"}, "body/ends_at"),
        ({"days": None, "ends_at": (NOW + timedelta(days=9)).replace(tzinfo=None).isoformat()}, "body/ends_at"),
        ({"days": None, "ends_at": "soon"}, "body/ends_at"),
        ({"days": None, "ends_at": "0001-01-01T00:00:00+14:00"}, "body/ends_at"),
        ({"days": None, "ends_at": "9999-12-31T23:59:59-14:00"}, "body/ends_at"),
        ({"granted_at": "0001-01-01T00:00:00+14:00"}, "body/granted_at"),
        ({"granted_at": "9999-12-31T23:59:59-14:00"}, "body/granted_at"),
        ({"granted_at": (NOW + timedelta(days=1)).isoformat()}, "body/granted_at"),
        ({"granted_at": (NOW - timedelta(days=91)).isoformat()}, "body/ends_at"),
        ({"purpose": "marketing"}, "body/purpose"),
        ({"seller_id": ""}, "body/seller_id"),
        ({"seller_id": "a\nb"}, "body/seller_id"),
        ({"bank_id": ""}, "body/bank_id"),
        ({"scope": "all"}, "body/scope"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(desk: Desk, fields: dict[str, Any], where: str) -> None:
    response = desk.grant(**fields)
    assert response.status_code == 422, response.text
    assert [fault["where"] for fault in response.json()["errors"]] == [where]
    assert desk.score().status_code == 403


def test_an_unknown_bank_is_rejected(desk: Desk) -> None:
    for unknown in ("bank-nobody", desk.platform.id):
        assert desk.grant(bank_id=unknown).json()["type"] == "/problems/unknown-bank"


@pytest.mark.parametrize("query", ["cursor=x", "cursor=" + "A" * 500, "limit=0", "limit=201", "state=x", "seller_id="])
@LISTS
def test_an_invalid_query_of_a_list_is_named(desk: Desk, path: str, query: str) -> None:
    response = desk.call(desk.bank, "GET", f"{path}?{query}")
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["where"] == f"query/{query.partition('=')[0]}"


@LISTS
def test_only_a_cursor_of_the_same_list_is_accepted(desk: Desk, path: str) -> None:
    created = [desk.request(seller) if path.endswith("requests") else desk.grant(seller) for seller in SELLERS[:3]]

    def page(cursor: str | None, caller: Known = desk.bank) -> Response:
        return desk.call(caller, "GET", path, params={"limit": 2} | ({} if cursor is None else {"cursor": cursor}))

    cursor = page(None).json()["next_cursor"]
    position = parse_cursor(cursor)
    assert [item["id"] for item in page(cursor).json()["items"]] == [created[0].json()["id"]]
    assert page(cursor, desk.platform).status_code == 200
    rewritten = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).replace(b"T", b" ", 1)
    for changed in (
        format_cursor(PagePosition(position.moment + TICK, position.id)),
        format_cursor(PagePosition(position.moment, position.id[:-1])),
        format_cursor(PagePosition(position.moment, "z")),
        base64.urlsafe_b64encode(rewritten).decode().rstrip("="),
    ):
        response = page(changed)
        assert (response.status_code, response.json()["errors"][0]["where"]) == (422, "query/cursor")
    assert page(cursor, desk.second).status_code == 422, "the position is not in the list of another bank"
