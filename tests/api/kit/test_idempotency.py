"""Idempotency keys: one key creates one score, and a replay returns the stored response."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text, update

from api.auth.scopes import ClientKind
from api.consents.service import revoke_consent
from api.errors import DatabaseUnavailable
from api.kit.database import transaction
from api.kit.idempotency import idempotency_keys
from api.operations.retention import erase_seller
from api.scores import repository
from api.services import Services
from api.settings import Settings
from tests.api.conftest import NEWCOMER, SELLERS, Opener, bank_of, fill
from tests.api.started import consent, register_of

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

KEY = "application 17/a"


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in) as opened:
        yield opened


def post(
    client: TestClient,
    seller_id: str = SELLERS[0],
    key: str | bytes | None = KEY,
    purpose: str = "credit_application",
    **headers: str,
) -> Response:
    body = {"seller_id": seller_id, "purpose": purpose}
    named: dict[str, Any] = {} if key is None else {"Idempotency-Key": key}
    return client.post("/v1/scores", json=body, headers={**named, **headers})


def count(client: TestClient, table: str = "scores") -> int:
    with transaction(client.app.state.services.engine) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def update_keys(client: TestClient, **values: object) -> None:
    with transaction(client.app.state.services.engine, writes=True) as connection:
        connection.execute(update(idempotency_keys).values(**values))


def assert_problem(response: Response, status: int, slug: str) -> None:
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{slug}"), response.text


def assert_new(response: Response) -> None:
    assert (response.status_code, response.headers.get("Idempotency-Replayed")) == (201, None), response.text


def assert_replay(response: Response, first: Response) -> None:
    assert (response.status_code, response.content) == (201, first.content), response.text
    assert (first.headers.get("Idempotency-Replayed"), response.headers["Idempotency-Replayed"]) == (None, "true")
    for name in ("Location", "Content-Type", "Cache-Control"):
        assert response.headers[name] == first.headers[name]


@pytest.mark.parametrize("seller_id", [SELLERS[0], NEWCOMER])
def test_a_repeated_request_gets_the_stored_response(client: TestClient, seller_id: str) -> None:
    first = post(client, seller_id)
    assert_replay(post(client, seller_id), first)
    reformatted = json.dumps({"purpose": "credit_application", "seller_id": seller_id}, indent=4)
    headers = {"Idempotency-Key": KEY, "Content-Type": "application/json"}
    assert_replay(client.post("/v1/scores", content=reformatted, headers=headers), first)
    assert count(client) == 1
    for _ in range(2):
        assert_new(post(client, seller_id, key=None))
    assert count(client) == 3


def test_a_key_cannot_be_used_for_another_request(client: TestClient) -> None:
    first = post(client)
    assert_problem(post(client, SELLERS[1]), 422, "idempotency-key-reused")
    assert_problem(post(client, purpose="account_review"), 422, "idempotency-key-reused")
    assert_replay(post(client), first)
    assert_new(post(client, SELLERS[1], key=KEY + "b"))
    assert count(client) == 2
    update_keys(client, operation="createBatch")
    assert_problem(post(client), 422, "idempotency-key-reused")


@pytest.mark.databases
def test_a_key_that_refers_to_the_score_of_another_key_gets_no_score(client: TestClient) -> None:
    post(client)
    other = post(client, key="another").json()["id"]
    update_keys(client, resource_id=other)
    response = post(client)
    assert (response.status_code, response.json()["type"]) == (500, "/problems/ledger-damaged")
    assert post(client, key="another").json()["id"] == other


def test_each_bank_has_its_own_keys(client: TestClient) -> None:
    first = post(client)
    services: Services = client.app.state.services
    created = register_of(services).create(
        ClientKind.BANK, "Second", credential=services.auth.secrets.new(), now=datetime.now(UTC)
    )
    consent(services, created.client.id, SELLERS[0])
    credentials = (created.client.id, created.secret or "")
    token = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=credentials).json()
    other = post(client, Authorization=f"Bearer {token['access_token']}")
    assert_new(other)
    assert other.json()["bank_id"] == created.client.id != first.json()["bank_id"]


def test_a_failed_request_leaves_the_key_unused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_problem(post(client, "S-nobody"), 403, "consent-required")
    assert_problem(post(client, "S\x07"), 422, "invalid-request")

    def fail(*_: object) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(repository, "insert_scores", fail)
        assert_problem(post(client), 503, "database-unavailable")
    assert count(client) == 0
    assert_new(post(client))


def test_a_replay_needs_neither_consent_nor_vectors(client: TestClient) -> None:
    first = post(client)
    services: Services = client.app.state.services
    with transaction(services.engine, writes=True) as connection:
        query = "SELECT id FROM consents WHERE seller_id = :seller_id AND purpose = 'credit_application'"
        (consent_id,) = connection.scalars(text(query), {"seller_id": SELLERS[0]}).all()
        revoke_consent(connection, services.ledger, consent_id, "tests")
    assert_problem(post(client, key=None), 403, "consent-required")
    assert_replay(post(client), first)
    consent(services, bank_of(client), SELLERS[0])
    services.settings.vectors_path.unlink()
    assert_problem(post(client, key=None), 503, "no-vectors")
    assert_replay(post(client), first)


@pytest.mark.databases
def test_concurrent_requests_with_one_key_create_one_score(client: TestClient, open_client: Opener) -> None:
    with ThreadPoolExecutor(200) as pool:
        responses = list(pool.map(lambda _: post(client), range(200)))
    created = [response for response in responses if response.status_code == 201]
    assert Counter(response.headers.get("Idempotency-Replayed") for response in created)[None] == 1
    assert {response.content for response in created} == {post(client).content}
    for response in responses:
        if response.status_code != 201:
            assert_problem(response, 409, "idempotency-key-in-flight")
            assert response.headers["Retry-After"] == "1"
    assert count(client) == 1
    # of two services, the database decides
    with open_client(client.app.state.services.settings) as other, ThreadPoolExecutor(16) as pool:
        for number in range(10):
            services, key = (client, other), f"order {number}"
            responses = list(pool.map(lambda turn: post(services[turn % 2], key=key), range(16)))  # noqa: B023
            assert {response.status_code for response in responses} <= {201, 409}
            assert len({response.content for response in responses if response.status_code == 201}) == 1
            assert count(client) == number + 2


@pytest.mark.databases
def test_a_key_in_progress_is_rejected_for_a_moment(client: TestClient) -> None:
    services: Services = client.app.state.services
    key = services.idempotency.key_for(bank_of(client), KEY, ("createScore", b"{}"))
    with services.idempotency.in_progress(key):
        assert_problem(post(client), 409, "idempotency-key-in-flight")
        assert_new(post(client, key="another"))
    assert_new(post(client))


@pytest.mark.databases
def test_a_key_expires_after_seven_days_and_is_deleted(client: TestClient) -> None:
    first = post(client)
    with transaction(client.app.state.services.engine) as connection:
        (expires,) = connection.scalars(text("SELECT expires_at FROM idempotency_keys")).all()
    scored_at = datetime.fromisoformat(first.json()["scored_at"]).replace(tzinfo=None)
    assert timedelta(0) <= datetime.fromisoformat(str(expires)) - scored_at - timedelta(days=7) < timedelta(seconds=1)
    for number in range(45):
        post(client, key=f"old {number}")
    update_keys(client, expires_at=datetime.now(UTC))
    second = post(client, SELLERS[1])
    assert_new(second)
    assert_replay(post(client, SELLERS[1]), second)
    # each new key deletes up to 20 expired ones
    assert count(client, "idempotency_keys") == 26
    for number in range(2):
        post(client, key=f"new {number}")
    assert count(client, "idempotency_keys") == 3


def test_after_an_erasure_a_key_reveals_nothing(client: TestClient) -> None:
    services: Services = client.app.state.services
    key = "about S-000 of ours"
    post(client, SELLERS[0], key=key)
    other = post(client, SELLERS[1], key="another")
    erase_seller(
        services.engine,
        services.receipts,
        services.vectors,
        seller_id=SELLERS[0],
        reason="asked",
        now=datetime.now(UTC),
    )
    # also for other sellers: whether the key belongs to their request is no longer known
    for seller_id in SELLERS[:2]:
        assert_problem(post(client, seller_id, key=key), 410, "erased")
    fill(services.settings.home)
    assert_problem(post(client, SELLERS[0], key=key), 410, "erased")
    assert_replay(post(client, SELLERS[1], key="another"), other)
    with transaction(services.engine) as connection:
        assert SELLERS[0] not in str(connection.execute(text("SELECT * FROM idempotency_keys")).all())


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel".encode(), b"tab\tinside", "钥匙".encode()])
def test_an_invalid_key_is_rejected(client: TestClient, key: str | bytes) -> None:
    response = post(client, key=key)
    assert_problem(response, 422, "invalid-request")
    (error,) = response.json()["errors"]
    assert (error["where"], error["rule"]) == ("header/Idempotency-Key", "idempotency_key")
    assert "1 to 255 printable ASCII characters" in error["message"]
    assert count(client) == 0


def test_a_key_is_sent_once_and_may_have_255_characters(client: TestClient) -> None:
    body = {"seller_id": SELLERS[0], "purpose": "credit_application"}
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    assert_problem(client.post("/v1/scores", json=body, headers=twice), 422, "invalid-request")
    first = post(client, key="~" * 255)
    assert_replay(post(client, key="~" * 255), first)
