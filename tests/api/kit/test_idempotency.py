"""One Idempotency-Key, one score: sent again, at once or much later, the answer is the one that was given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text, update

from api.auth import clients
from api.auth.scopes import ClientKind
from api.consents import repository as consents
from api.consents.service import revoke_consent
from api.errors import DatabaseUnavailable
from api.kit.database import transaction
from api.kit.idempotency import idempotency_keys
from api.operations.retention import erase_seller
from api.scores import repository
from api.services import Services
from api.settings import Settings
from tests.api.conftest import NEWCOMER, SELLERS, Opener, bank_of, fill
from tests.api.started import consent

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

KEY = "application 17/a"


@pytest.fixture
def client(stored_in: Settings, open_client: Opener) -> Iterator[TestClient]:
    with open_client(stored_in) as opened:
        yield opened


def ask(client: TestClient, seller_id: str = SELLERS[0], key: str | None = KEY, **more: Any) -> Response:
    body = {"seller_id": seller_id, "purpose": "credit_application", **more.pop("body", {})}
    headers = {**({} if key is None else {"Idempotency-Key": key}), **more}
    return client.post("/v1/scores", json=body, headers=headers)


def rows(client: TestClient) -> int:
    with transaction(client.app.state.services.engine) as connection:
        return len(connection.execute(text("SELECT 1 FROM scores")).all())


def refused(answer: Response, status: int, slug: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}"), answer.text


def replayed(answer: Response, first: Response) -> None:
    assert (answer.status_code, answer.content) == (201, first.content), answer.text
    assert (first.headers.get("Idempotency-Replayed"), answer.headers["Idempotency-Replayed"]) == (None, "true")
    for name in ("Location", "Content-Type", "Cache-Control"):
        assert answer.headers[name] == first.headers[name]


@pytest.mark.parametrize("seller_id", [SELLERS[0], NEWCOMER])
def test_sent_again_it_is_answered_as_it_was(client: TestClient, seller_id: str) -> None:
    first = ask(client, seller_id)
    assert first.status_code == 201
    replayed(ask(client, seller_id), first)
    spread = json.dumps({"purpose": "credit_application", "seller_id": seller_id}, indent=4)
    headers = {"Idempotency-Key": KEY, "Content-Type": "application/json"}
    replayed(client.post("/v1/scores", content=spread, headers=headers), first)
    assert rows(client) == 1


def test_without_a_key_each_call_counts(client: TestClient) -> None:
    assert ask(client, key=None).json()["id"] != ask(client, key=None).json()["id"]
    assert rows(client) == 2


def test_another_request_under_the_key_is_refused(client: TestClient) -> None:
    first = ask(client)
    refused(ask(client, SELLERS[1]), 422, "idempotency-key-reused")
    refused(ask(client, body={"purpose": "account_review"}), 422, "idempotency-key-reused")
    replayed(ask(client), first)
    assert ask(client, SELLERS[1], key=KEY + "b").status_code == 201
    assert rows(client) == 2


def test_a_key_of_another_kind_of_request_is_refused(client: TestClient) -> None:
    ask(client)
    with transaction(client.app.state.services.engine, writes=True) as connection:
        connection.execute(update(idempotency_keys).values(operation="createBatch"))
    refused(ask(client), 422, "idempotency-key-reused")


def test_each_bank_has_its_own_keys(client: TestClient) -> None:
    first = ask(client)
    services: Services = client.app.state.services
    made = clients.create_client(services.engine, ClientKind.BANK, "Second", now=datetime.now(UTC))
    credentials = (made.client.id, made.secret or "")
    consent(services, made.client.id, SELLERS[0])
    token = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=credentials).json()
    other = ask(client, Authorization=f"Bearer {token['access_token']}")
    assert (other.status_code, other.headers.get("Idempotency-Replayed")) == (201, None)
    assert other.json()["bank_id"] == made.client.id != first.json()["bank_id"]


def test_what_is_refused_or_fails_leaves_the_key_free(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(ask(client, "S-nobody"), 403, "consent-required")
    refused(ask(client, "S\x07"), 422, "invalid-request")

    def away(*_: object) -> None:
        raise DatabaseUnavailable

    with monkeypatch.context() as failing:
        failing.setattr(repository, "insert_scores", away)
        refused(ask(client), 503, "database-unavailable")
    assert rows(client) == 0
    assert ask(client).headers.get("Idempotency-Replayed") is None
    assert rows(client) == 1


def test_sent_again_nothing_is_needed_but_what_was_stored(client: TestClient) -> None:
    """No consent either: nothing new is scored."""
    first = ask(client)
    services: Services = client.app.state.services
    with transaction(services.engine, writes=True) as connection:
        held = consents.latest_consents(connection, SELLERS[0], bank_of(client), "credit_application")
        assert held is not None
        revoke_consent(connection, services.ledger, held.id, "tests")
    refused(ask(client, key=None), 403, "consent-required")
    replayed(ask(client), first)
    consent(services, bank_of(client), SELLERS[0])
    services.settings.vectors_path.unlink()
    refused(ask(client, key=None), 503, "no-vectors")
    replayed(ask(client), first)


@pytest.mark.databases
def test_of_two_hundred_at_once_one_makes_the_score(client: TestClient) -> None:
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: ask(client), range(200)))
    assert rows(client) == 1
    made = [answer for answer in answers if answer.status_code == 201]
    assert Counter(answer.headers.get("Idempotency-Replayed") for answer in made)[None] == 1
    assert len({answer.content for answer in made}) == 1
    for answer in answers:
        if answer.status_code != 201:
            refused(answer, 409, "idempotency-key-in-flight")
            assert answer.headers["Retry-After"] == "1"
    assert ask(client).content == made[0].content


@pytest.mark.databases
def test_of_two_services_on_one_database_one_makes_the_score(client: TestClient, open_client: Opener) -> None:
    with open_client(client.app.state.services.settings) as other, ThreadPoolExecutor(16) as pool:
        for number in range(10):
            key = f"order {number}"
            answers = list(pool.map(lambda turn: ask((client, other)[turn % 2], key=key), range(16)))  # noqa: B023
            made = [answer for answer in answers if answer.status_code == 201]
            assert {answer.status_code for answer in answers} <= {201, 409}
            assert len({answer.content for answer in made}) == 1
            assert rows(client) == number + 1


@pytest.mark.databases
def test_a_key_at_work_is_told_to_come_again(client: TestClient) -> None:
    services: Services = client.app.state.services
    named = services.idempotency.key_for(bank_of(client), KEY, ("createScore", b"{}"))
    with services.idempotency.in_progress(named):
        answer = ask(client)
        refused(answer, 409, "idempotency-key-in-flight")
        assert answer.headers["Retry-After"] == "1"
        assert ask(client, key="another").status_code == 201
    assert ask(client).status_code == 201


def test_a_key_is_remembered_for_the_time_that_is_set(client: TestClient) -> None:
    first, services = ask(client), client.app.state.services
    with transaction(services.engine) as connection:
        (ends,) = connection.scalars(text("SELECT expires_at FROM idempotency_keys")).all()
    made = datetime.fromisoformat(first.json()["scored_at"]).replace(tzinfo=None)
    assert timedelta(0) <= datetime.fromisoformat(str(ends)) - made - timedelta(days=7) < timedelta(seconds=1)


@pytest.mark.databases
def test_an_expired_key_is_free_and_the_others_are_forgotten(client: TestClient) -> None:
    first = ask(client)
    for number in range(45):
        ask(client, key=f"old {number}")
    _expire(client)
    second = ask(client, SELLERS[1])
    assert (second.status_code, second.headers.get("Idempotency-Replayed")) == (201, None)
    assert second.content != first.content
    replayed(ask(client, SELLERS[1]), second)
    assert _keys(client) == 26
    for number in range(2):
        ask(client, key=f"new {number}")
    assert _keys(client) == 3


def test_after_an_erasure_the_key_answers_410_and_tells_nothing(client: TestClient) -> None:
    services: Services = client.app.state.services
    key = "about S-000 of ours"
    ask(client, SELLERS[0], key=key)
    kept = ask(client, SELLERS[1], key="another")
    done = {"seller_id": SELLERS[0], "reason": "asked", "now": datetime.now(UTC)}
    erase_seller(services.engine, services.vectors, **done)
    refused(ask(client, SELLERS[0], key=key), 410, "erased")
    # whether it was this request that the key stood for can be told no more
    refused(ask(client, SELLERS[1], key=key), 410, "erased")
    fill(services.settings.home)
    refused(ask(client, SELLERS[0], key=key), 410, "erased")
    replayed(ask(client, SELLERS[1], key="another"), kept)
    with transaction(services.engine) as connection:
        stored = str(connection.execute(text("SELECT * FROM idempotency_keys")).all())
    assert SELLERS[0] not in stored


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel".encode(), b"tab\tinside", "钥匙".encode()])
def test_a_key_that_is_not_allowed_is_refused(client: TestClient, key: str | bytes) -> None:
    answer = ask(client, **{"key": None, "Idempotency-Key": key})
    refused(answer, 422, "invalid-request")
    (error,) = answer.json()["errors"]
    assert (error["where"], error["rule"]) == ("header/Idempotency-Key", "idempotency_key")
    assert "1 to 255 printable ASCII characters" in error["message"]
    assert rows(client) == 0


def test_two_keys_are_refused_and_the_longest_is_taken(client: TestClient) -> None:
    body = {"seller_id": SELLERS[0], "purpose": "credit_application"}
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    refused(client.post("/v1/scores", json=body, headers=twice), 422, "invalid-request")
    first = ask(client, key="~" * 255)
    replayed(ask(client, key="~" * 255), first)


def _keys(client: TestClient) -> int:
    with transaction(client.app.state.services.engine) as connection:
        return len(connection.execute(text("SELECT 1 FROM idempotency_keys")).all())


def _expire(client: TestClient) -> None:
    with transaction(client.app.state.services.engine, writes=True) as connection:
        connection.execute(update(idempotency_keys).values(expires_at=datetime.now(UTC)))
