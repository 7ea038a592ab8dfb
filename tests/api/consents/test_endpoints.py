"""Consents over HTTP: the platform records what sellers do, a bank asks, sees its own and scores under it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from api.app import create_app
from api.auth import clients as access
from api.auth.scopes import ClientKind
from api.consents.schemas import ConsentRequestResponse, ConsentResponse
from api.kit.pagination import PagePosition, format_cursor, parse_cursor
from api.services import Services
from api.settings import Settings
from tests.api.auth.conftest import Known
from tests.api.conftest import NOW, SELLERS, fill, migrated_database

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

PURPOSE = "credit_application"


class Desk:
    """A running service, the platform and two banks of their own, and what they may do."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.platform, self.bank, self.second = (
            self.new(each) for each in (ClientKind.PLATFORM, ClientKind.BANK, ClientKind.BANK)
        )

    @property
    def services(self) -> Services:
        found: Services = self.client.app.state.services
        return found

    def new(self, kind: ClientKind) -> Known:
        made = access.create_client(self.services.engine, kind, "A client", now=datetime.now(UTC))
        return Known(made.client.id, made.secret or "", kind)

    def call(self, known: Known, method: str, path: str, **given: Any) -> Response:
        token = self.services.auth.tokens.issue(known.id, known.kind, _scopes(known.kind), datetime.now(UTC))
        headers = {"Authorization": f"Bearer {token}", "X-Request-Id": "same"}
        return self.client.request(method, path, headers=headers, **given)

    def grant(self, seller_id: str = SELLERS[0], **given: Any) -> Response:
        body = {"seller_id": seller_id, "bank_id": self.bank.id, "purpose": PURPOSE, "days": 90, **given}
        return self.call(self.platform, "POST", "/v1/consents", json={k: v for k, v in body.items() if v is not None})

    def score(self, seller_id: str = SELLERS[0], purpose: str = PURPOSE, known: Known | None = None) -> Response:
        body = {"seller_id": seller_id, "purpose": purpose}
        return self.call(known or self.bank, "POST", "/v1/scores", json=body)

    def ask(self, seller_id: str = SELLERS[0], known: Known | None = None) -> Response:
        body = {"seller_id": seller_id, "purpose": PURPOSE}
        return self.call(known or self.bank, "POST", "/v1/consent-requests", json=body)


def _scopes(kind: ClientKind) -> Any:
    from api.auth.scopes import scopes_of

    return scopes_of(kind)


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest, dialect: str, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    fill(home)
    with migrated_database(request, dialect, tmp_path_factory.mktemp("database")) as address:
        settings = Settings(home=home, MLFLOW_TRACKING_URI=registry, database_url=address)
        from starlette.testclient import TestClient

        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            yield client


@pytest.fixture
def desk(served: TestClient) -> Desk:
    return Desk(served)


@pytest.mark.databases
def test_a_bank_scores_from_the_grant_to_the_revocation(desk: Desk) -> None:
    assert desk.score().status_code == 403
    made = desk.grant()
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    consent = made.json()
    assert consent == ConsentResponse.model_validate(consent).model_dump(mode="json")
    granted, ends = (datetime.fromisoformat(consent[name]) for name in ("granted_at", "ends_at"))
    assert (consent["state"], ends - granted) == ("in_force", timedelta(days=90))
    score = desk.score()
    assert (score.status_code, score.json()["consent_id"]) == (201, consent["id"])
    assert desk.score(purpose="account_review").status_code == 403
    assert desk.score(known=desk.second).status_code == 403
    revoked = desk.call(desk.platform, "DELETE", made.headers["Location"])
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    assert desk.score().json()["type"] == "/problems/consent-required"
    assert desk.call(desk.bank, "GET", score.headers["Location"]).content == score.content
    again = desk.call(desk.platform, "DELETE", made.headers["Location"])
    assert (again.status_code, again.content) == (200, revoked.content)
    assert desk.call(desk.bank, "GET", made.headers["Location"]).content == revoked.content


def test_the_refusal_is_the_same_whoever_the_seller_is(desk: Desk) -> None:
    """Known or not, with an ended, revoked, other bank's or other purpose's consent: nobody can list sellers."""
    desk.call(desk.platform, "DELETE", desk.grant(SELLERS[1]).headers["Location"])
    desk.grant(SELLERS[2], bank_id=desk.second.id)
    desk.grant(SELLERS[3], purpose="account_review")
    answers = [desk.score(each) for each in ("S-nobody", *SELLERS[:4], "卖家 \u2713")]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.content for answer in answers}) == 1
    varying = {"ratelimit"}
    assert len({tuple(sorted((k, v) for k, v in a.headers.items() if k not in varying)) for a in answers}) == 1


def test_without_a_consent_no_vector_is_looked_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("features.store.vectors.VectorStore.latest", lambda _, seller_id: asked.append(seller_id))
    assert desk.score(SELLERS[4]).status_code == 403
    assert asked == []
    desk.grant(SELLERS[4])
    assert desk.score(SELLERS[4]).status_code == 404
    assert asked == [SELLERS[4]]


def test_who_agreed_and_has_no_data_yet_is_said_to_have_none(desk: Desk) -> None:
    desk.grant("S-to-come")
    answer = desk.score("S-to-come")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-seller")


def test_a_request_is_answered_alike_for_a_seller_who_does_not_exist(desk: Desk) -> None:
    real, none = desk.ask(SELLERS[5]), desk.ask("S-nobody")
    assert {real.status_code, none.status_code} == {202}
    for name in ("state", "bank_id", "purpose", "declined_at", "consent_id"):
        assert real.json()[name] == none.json()[name]
    assert real.json() == ConsentRequestResponse.model_validate(real.json()).model_dump(mode="json")
    assert desk.ask(SELLERS[5]).content == real.content
    assert desk.call(desk.second, "GET", real.headers["Location"]).status_code == 404
    assert desk.call(desk.second, "GET", "/v1/consent-requests").json()["items"] == []


@pytest.mark.databases
def test_the_platform_sees_what_was_asked_and_grants_or_declines(desk: Desk) -> None:
    first, other = desk.ask(SELLERS[6]), desk.ask(SELLERS[7])
    params = {"seller_id": SELLERS[6], "state": "pending"}
    shown = desk.call(desk.platform, "GET", "/v1/consent-requests", params=params).json()["items"]
    assert first.json() in shown
    assert other.json() not in shown
    consent = desk.grant(SELLERS[6]).json()
    answered = desk.call(desk.bank, "GET", first.headers["Location"]).json()
    assert (answered["state"], answered["consent_id"]) == ("granted", consent["id"])
    closed = desk.call(desk.platform, "POST", f"{first.headers['Location']}/decline")
    assert (closed.status_code, closed.json()["type"]) == (409, "/problems/consent-request-closed")
    declined = desk.call(desk.platform, "POST", f"{other.headers['Location']}/decline")
    assert (declined.status_code, declined.json()["state"]) == (200, "declined")
    assert desk.ask(SELLERS[7]).json() == declined.json()
    wanted = {"state": "declined"}
    assert desk.call(desk.bank, "GET", "/v1/consent-requests", params=wanted).json()["items"] == [declined.json()]


@pytest.mark.databases
def test_each_sees_its_own_in_pages_and_the_platform_all(desk: Desk) -> None:
    mine = [desk.grant(each).json()["id"] for each in SELLERS[:7]]
    theirs = desk.grant(SELLERS[0], bank_id=desk.second.id).json()["id"]
    desk.call(desk.platform, "DELETE", f"/v1/consents/{mine[0]}")

    def every(known: Known, **params: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = desk.call(known, "GET", "/v1/consents", params={"limit": 3, **params}).json()
            assert len(page["items"]) <= 3
            found += [each["id"] for each in page["items"]]
            if page["next_cursor"] is None:
                return found
            params["cursor"] = page["next_cursor"]

    assert every(desk.bank) == mine[::-1]
    assert every(desk.second) == [theirs]
    assert every(desk.bank, seller_id=SELLERS[2]) == [mine[2]]
    assert every(desk.bank, state="revoked") == [mine[0]]
    assert every(desk.bank, state="in_force") == mine[:0:-1]
    assert every(desk.bank, state="ended") == []
    of_seller = every(desk.platform, seller_id=SELLERS[0])
    assert [each for each in of_seller if each in {mine[0], theirs}] == [theirs, mine[0]]
    assert set(mine) <= set(every(desk.platform))
    assert desk.call(desk.bank, "GET", f"/v1/consents/{theirs}").status_code == 404


@pytest.mark.parametrize(
    ("given", "where"),
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
def test_what_cannot_be_agreed_to_is_named(desk: Desk, given: dict[str, Any], where: str) -> None:
    answer = desk.grant(**given)
    assert answer.status_code == 422, answer.text
    assert [each["where"] for each in answer.json()["errors"]] == [where]
    assert desk.score().status_code == 403


def test_a_bank_that_there_is_not_is_told(desk: Desk) -> None:
    for nobody in ("bank-nobody", desk.platform.id):
        assert desk.grant(bank_id=nobody).json()["type"] == "/problems/unknown-bank"


@pytest.mark.parametrize("query", ["cursor=x", "cursor=" + "A" * 500, "limit=0", "limit=201", "state=x", "seller_id="])
@pytest.mark.parametrize("path", ["/v1/consents", "/v1/consent-requests"])
def test_a_list_that_cannot_be_is_named(desk: Desk, path: str, query: str) -> None:
    answer = desk.call(desk.bank, "GET", f"{path}?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["where"] == f"query/{query.partition('=')[0]}"


@pytest.mark.parametrize("path", ["/v1/consents", "/v1/consent-requests"])
def test_a_cursor_that_was_not_given_is_refused(desk: Desk, path: str) -> None:
    made = [desk.ask(each) if path.endswith("requests") else desk.grant(each) for each in SELLERS[:3]]
    items = desk.call(desk.bank, "GET", path, params={"limit": 2}).json()

    def listed(cursor: str, by: Known = desk.bank) -> Response:
        return desk.call(by, "GET", path, params={"cursor": cursor, "limit": 2})

    cursor, after = items["next_cursor"], parse_cursor(items["next_cursor"])
    assert [each["id"] for each in listed(cursor).json()["items"]] == [made[0].json()["id"]]
    assert listed(cursor, desk.platform).status_code == 200
    otherwise = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).replace(b"T", b" ", 1)
    for bent in (
        format_cursor(PagePosition(after.moment + timedelta(microseconds=1), after.id)),
        format_cursor(PagePosition(after.moment, after.id[:-1])),
        format_cursor(PagePosition(after.moment, "z")),
        base64.urlsafe_b64encode(otherwise).decode().rstrip("="),
    ):
        refused = listed(bent)
        assert (refused.status_code, refused.json()["errors"][0]["where"]) == (422, "query/cursor")
    assert listed(cursor, desk.second).status_code == 422, "another bank's place is not theirs"


def test_an_answer_is_the_object_of_the_design(desk: Desk) -> None:
    desk.grant()
    envelope = json.loads(desk.score().content)
    assert {"id", "seller_id", "bank_id", "purpose", "consent_id", "scored_at", "expires_at"} < set(envelope)
