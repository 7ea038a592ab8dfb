"""Problems: every HTTP error has a stable type and status, and reveals nothing that it should not."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import make_url, text

import api.scores.inputs
from api.errors import MAX_BODY_BYTES, BodyTooLarge
from api.kit.database import transaction
from api.settings import Settings
from scoring import ExplanationError
from tests.api.conftest import SELLERS, Opener, bank_of, fill, other_catalogue, token_for
from tests.api.postgres import fresh_database
from tests.api.started import consent, demo_credentials

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

GOOD = {"seller_id": SELLERS[0], "purpose": "credit_application"}
UNKNOWN = "/v1/scores/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"


def assert_problem(response: Response, status: int, slug: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{slug}", status)
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert "Traceback" not in response.text
    return problem


def stored_scores(client: TestClient) -> int:
    with transaction(client.app.state.services.engine) as connection:
        return int(connection.execute(text("SELECT count(*) FROM scores")).scalar_one())


@pytest.mark.parametrize(
    ("authorization", "slug"),
    [
        (None, "not-authenticated"),
        ("", "not-authenticated"),
        ("Bearer", "not-authenticated"),
        ("Bearer wrong", "invalid-token"),
        ("Basic d3Jvbmc=", "not-authenticated"),
        ("Bearer \xff\xfe", "invalid-token"),
        ("token", "not-authenticated"),
    ],
)
def test_without_a_token_nothing_is_read_and_nothing_revealed(
    shared_client: TestClient, authorization: str | None, slug: str
) -> None:
    del shared_client.headers["Authorization"]
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    for body in (json.dumps(GOOD).encode(), b"{", b"{}", b"[" * 20_000):
        for media_type in ("application/json", "text/plain"):
            response = shared_client.post("/v1/scores", content=body, headers={**headers, "Content-Type": media_type})
            assert_problem(response, 401, slug)
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    for path in (UNKNOWN, "/v1/scores/7"):
        assert_problem(shared_client.get(path, headers=headers), 401, slug)
    assert stored_scores(shared_client) == 0


def test_a_seller_with_consent_but_without_data_is_unknown(client: TestClient) -> None:
    consent(client.app.state.services, bank_of(client), "S-nobody")
    response = client.post("/v1/scores", json={**GOOD, "seller_id": "S-nobody"})
    assert_problem(response, 404, "unknown-seller")
    assert "S-nobody" not in response.text


@pytest.mark.parametrize(
    ("body", "where", "rule"),
    [
        ({}, "body/seller_id", "missing"),
        ({**GOOD, "seller_id": ""}, "body/seller_id", "string_too_short"),
        ({**GOOD, "seller_id": "x" * 201}, "body/seller_id", "string_too_long"),
        ({**GOOD, "seller_id": "S\n1"}, "body/seller_id", "printable"),
        ({**GOOD, "seller_id": 7}, "body/seller_id", "string_type"),
        ({**GOOD, "seller_id": None}, "body/seller_id", "string_type"),
        ({**GOOD, "purpose": "curiosity"}, "body/purpose", "enum"),
        ({**GOOD, "bank_id": "B-1"}, "body/bank_id", "extra_forbidden"),
        ([GOOD], "body", "model_attributes_type"),
    ],
)
def test_each_invalid_value_is_listed_and_not_repeated(
    shared_client: TestClient, body: object, where: str, rule: str
) -> None:
    response = shared_client.post("/v1/scores", json=body)
    problem = assert_problem(response, 422, "invalid-request")
    assert (where, rule) in [(item["where"], item["rule"]) for item in problem["errors"]]
    assert "curiosity" not in response.text
    assert "B-1" not in response.text


def test_a_score_id_is_a_uuid_of_a_known_score(shared_client: TestClient) -> None:
    problem = assert_problem(shared_client.get("/v1/scores/7"), 422, "invalid-request")
    assert problem["errors"][0]["where"] == "path/score_id"
    assert_problem(shared_client.get(UNKNOWN), 404, "unknown-score")


def endless() -> Iterator[bytes]:
    yield from (b" " * 1024 for _ in range(80))


@pytest.mark.parametrize(
    ("body", "media_type", "status", "slug"),
    [
        (b"{", "application/json", 400, "malformed-json"),
        (b"not json", "application/json", 400, "malformed-json"),
        (b"\xff\xfe", "application/json", 400, "malformed-json"),
        (b"[" * 20_000, "application/json", 400, "malformed-json"),
        (b'{"seller_id": ' + b"1" * 9_000 + b"}", "application/json", 400, "malformed-json"),
        (json.dumps(GOOD), "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
        (b" " * MAX_BODY_BYTES + b"{}", "application/json", 413, "body-too-large"),
        (endless, "application/json", 413, "body-too-large"),
    ],
)
def test_a_body_that_cannot_be_read_is_rejected(
    shared_client: TestClient, body: Any, media_type: str, status: int, slug: str
) -> None:
    content = body() if callable(body) else body
    assert_problem(
        shared_client.post("/v1/scores", content=content, headers={"Content-Type": media_type}), status, slug
    )


def test_the_size_limit_is_in_the_detail() -> None:
    assert f"{MAX_BODY_BYTES} bytes" in BodyTooLarge().detail


@pytest.mark.parametrize("path", ["/", "/v1/sellers", "/redoc", "/v1/scores/"])
def test_an_unknown_path_is_not_found(shared_client: TestClient, path: str) -> None:
    assert_problem(shared_client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/scores", "GET, POST"),
        ("PATCH", "/v1/consents/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55", "DELETE, GET"),
        ("POST", "/v1/products", "GET, PUT"),
        ("GET", "/oauth/token", "POST"),
        ("POST", "/health/live", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(
    shared_client: TestClient, method: str, path: str, allowed: str
) -> None:
    response = shared_client.request(method, path)
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == allowed


def test_vectors_of_another_catalogue_are_not_scored(client: TestClient) -> None:
    fill(client.app.state.services.settings.home, other_catalogue())
    response, ready = client.post("/v1/scores", json=GOOD), client.get("/health/ready")
    problem = assert_problem(response, 503, "vectors-do-not-fit-model")
    assert "sellerscore features" in problem["detail"]
    assert "model:" in assert_problem(ready, 503, "not-ready")["detail"]
    assert SELLERS[0] not in response.text + ready.text
    assert stored_scores(client) == 0


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_unreadable_vectors_are_unavailable(client: TestClient, content: bytes | None) -> None:
    path = client.app.state.services.settings.vectors_path
    for file in path.parent.glob("vectors.db*"):
        file.unlink()
    if content is not None:
        path.write_bytes(content)
    assert_problem(client.post("/v1/scores", json=GOOD), 503, "no-vectors")
    assert "vectors:" in assert_problem(client.get("/health/ready"), 503, "not-ready")["detail"]


def assert_unavailable(response: Response) -> None:
    assert_problem(response, 503, "database-unavailable")
    assert response.headers["Retry-After"] == "5"


def test_a_database_file_that_disappears_and_returns(client: TestClient) -> None:
    services = client.app.state.services
    path = services.settings.home / "sellerscore.db"
    created = client.post("/v1/scores", json=GOOD)
    services.engine.dispose()
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    assert_unavailable(client.post("/v1/scores", json=GOOD))
    assert_unavailable(client.get(created.headers["Location"]))
    form, credentials = {"grant_type": "client_credentials"}, demo_credentials(services.settings)
    assert_unavailable(client.post("/oauth/token", data=form, auth=credentials))
    assert "database:" in assert_problem(client.get("/health/ready"), 503, "not-ready")["detail"]
    path.rmdir()
    path.with_suffix(".away").rename(path)
    assert client.get(created.headers["Location"]).content == created.content
    assert stored_scores(client) == 1


def test_a_database_server_that_disconnects_and_returns(settings: Settings, open_client: Opener, postgres: str) -> None:
    with fresh_database(postgres) as address, psycopg.connect(postgres, autocommit=True) as other:
        name = make_url(address).database
        with open_client(settings.model_copy(update={"database_url": address})) as client:
            created = client.post("/v1/scores", json=GOOD)
            other.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            for _ in range(3):
                assert_unavailable(client.post("/v1/scores", json=GOOD))
            assert_unavailable(client.get(created.headers["Location"]))
            other.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
            assert client.get(created.headers["Location"]).content == created.content
            assert client.post("/v1/scores", json=GOOD).status_code == 201
            assert stored_scores(client) == 2


def test_a_score_that_cannot_be_stored_is_not_returned(client: TestClient) -> None:
    with sqlite3.connect(client.app.state.services.settings.home / "sellerscore.db") as other:
        other.execute("DROP TABLE scores")
    response = client.post("/v1/scores", json=GOOD)
    assert_unavailable(response)
    assert "assessment" not in response.text


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (ExplanationError("Contributions miss the model's margin by 3."), "score-not-explained"),
        (ZeroDivisionError(f"inner secret of {SELLERS[0]}"), "internal-error"),
    ],
)
def test_a_failure_reveals_nothing_and_is_logged_with_its_request(
    shared_client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    slug: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(api.scores.inputs, "assess", fail)
    response = shared_client.post("/v1/scores", json=GOOD, headers={"X-Request-Id": "mine-1"})
    assert_problem(response, 500, slug)
    assert str(error) not in response.text
    assert stored_scores(shared_client) == 0
    failures = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert any("mine-1" in message for message in failures) is (slug == "internal-error")


@pytest.mark.parametrize(("sent", "kept"), [("abc.DEF-1_2", True), ("a b", False), ("x" * 65, False), ("", False)])
def test_a_plain_request_id_is_returned_and_others_are_replaced(
    shared_client: TestClient, sent: str, kept: bool
) -> None:
    returned = shared_client.get("/health/live", headers={"X-Request-Id": sent}).headers["X-Request-Id"]
    assert (returned == sent) is kept
    assert returned


def test_the_log_names_no_seller_and_no_token(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bearer, settings = client.headers["Authorization"], client.app.state.services.settings
    token, (bank_id, secret) = bearer.removeprefix("Bearer "), demo_credentials(settings)
    token_for(client, settings)
    client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(bank_id, secret[:-1]))
    form = {"grant_type": "client_credentials", "client_id": bank_id, "client_secret": secret}
    client.post("/oauth/token", data=form)
    client.post("/v1/scores", json=GOOD)
    client.post("/v1/scores", json={**GOOD, "seller_id": "S-nobody"})
    client.get(f"/v1/sellers/{SELLERS[0]}")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("api", "uvicorn"))]
    assert any("POST /v1/scores 201" in line for line in ours)
    assert any("GET - 404" in line for line in ours)
    assert not any(hidden in line for line in ours for hidden in (token, secret, secret[:-1], SELLERS[0], "S-nobody"))
