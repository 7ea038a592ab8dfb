"""Every refusal over HTTP is a problem with a stable type, and tells nothing that it should not."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url, text

import api.scores.inputs
from api.errors import MAX_BODY_BYTES
from api.kit.database import transaction
from api.settings import Settings
from scoring import ExplanationError
from tests.api.conftest import SELLERS, Opener, bank_of, fill, other_catalogue, token_for
from tests.api.postgres import fresh_database
from tests.api.started import consent, demo_credentials

if TYPE_CHECKING:
    from starlette.testclient import TestClient

GOOD = {"seller_id": SELLERS[0], "purpose": "credit_application"}


def _assert_problem(response, status: int, slug: str) -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert "Traceback" not in response.text
    return problem


def _stored(client: TestClient) -> int:
    with transaction(client.app.state.services.engine) as connection:
        return int(connection.execute(text("SELECT count(*) FROM scores")).scalar_one())


@pytest.mark.parametrize(
    ("value", "slug"),
    [
        (None, "not-authenticated"),
        ("Bearer", "not-authenticated"),
        ("Bearer wrong", "invalid-token"),
        ("Basic d3Jvbmc=", "not-authenticated"),
        ("Bearer \xff\xfe", "invalid-token"),
        ("token", "not-authenticated"),
    ],
)
def test_without_a_token_nothing_is_answered(shared_client: TestClient, value: str | None, slug: str) -> None:
    del shared_client.headers["Authorization"]
    headers = {} if value is None else {"Authorization": value.encode("latin-1")}
    for response in (
        shared_client.post("/v1/scores", json=GOOD, headers=headers),
        shared_client.get("/v1/scores/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55", headers=headers),
    ):
        _assert_problem(response, 401, slug)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert _stored(shared_client) == 0


@pytest.mark.parametrize(("value", "slug"), [("", "not-authenticated"), ("Bearer wrong", "invalid-token")])
@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"{", "application/json"),
        (b"{}", "application/json"),
        (b"[" * 20_000, "application/json"),
        (b"x", "text/plain"),
    ],
)
def test_a_stranger_is_told_nothing_of_the_body(
    shared_client: TestClient, value: str, slug: str, *, content: bytes, media_type: str
) -> None:
    headers = {"Authorization": value, "Content-Type": media_type}
    _assert_problem(shared_client.post("/v1/scores", content=content, headers=headers), 401, slug)
    _assert_problem(shared_client.get("/v1/scores/7", headers=headers), 401, slug)


def test_a_seller_who_agreed_and_has_no_data_is_named_a_problem_and_not_repeated(client: TestClient) -> None:
    consent(client.app.state.services, bank_of(client), "S-nobody")
    response = client.post("/v1/scores", json={**GOOD, "seller_id": "S-nobody"})
    _assert_problem(response, 404, "unknown-seller")
    assert "S-nobody" not in response.text


def test_an_unknown_score(shared_client: TestClient) -> None:
    _assert_problem(shared_client.get("/v1/scores/0b8f3f0e-2f0c-4e0b-9d3c-8a2b6a1f7c55"), 404, "unknown-score")


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
def test_each_value_that_is_not_allowed_is_listed(
    shared_client: TestClient, body: object, where: str, rule: str
) -> None:
    response = shared_client.post("/v1/scores", json=body)
    problem = _assert_problem(response, 422, "invalid-request")
    assert (where, rule) in [(item["where"], item["rule"]) for item in problem["errors"]]
    assert "curiosity" not in response.text
    assert "B-1" not in response.text


def test_a_score_id_that_is_none(shared_client: TestClient) -> None:
    problem = _assert_problem(shared_client.get("/v1/scores/7"), 422, "invalid-request")
    assert problem["errors"][0]["where"] == "path/score_id"


@pytest.mark.parametrize(
    "body", [b"{", b"not json", b"\xff\xfe", b"[" * 20_000, b'{"seller_id": ' + b"1" * 9_000 + b"}"]
)
def test_malformed_json(shared_client: TestClient, body: bytes) -> None:
    response = shared_client.post("/v1/scores", content=body, headers={"Content-Type": "application/json"})
    _assert_problem(response, 400, "malformed-json")


def test_json_that_is_not_declared(shared_client: TestClient) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = shared_client.post("/v1/scores", content=json.dumps(GOOD), headers=headers)
    _assert_problem(response, 415, "unsupported-media-type")


def test_a_body_that_is_declared_too_large(shared_client: TestClient) -> None:
    response = shared_client.post("/v1/scores", json={**GOOD, "seller_id": "x" * MAX_BODY_BYTES})
    _assert_problem(response, 413, "body-too-large")


def test_a_body_that_grows_too_large(shared_client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        yield from (b" " * 1024 for _ in range(80))

    response = shared_client.post("/v1/scores", content=endless(), headers={"Content-Type": "application/json"})
    _assert_problem(response, 413, "body-too-large")


@pytest.mark.parametrize("path", ["/", "/v1/sellers", "/docs", "/redoc", "/v1/scores/"])
def test_an_unknown_path(shared_client: TestClient, path: str) -> None:
    _assert_problem(shared_client.get(path), 404, "not-found")


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
def test_a_method_that_a_path_does_not_answer(shared_client: TestClient, method: str, path: str, allowed: str) -> None:
    response = shared_client.request(method, path)
    _assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == allowed


def test_vectors_of_another_catalogue_are_not_scored(client: TestClient) -> None:
    fill(client.app.state.services.settings.home, other_catalogue())
    response = client.post("/v1/scores", json=GOOD)
    problem = _assert_problem(response, 503, "vectors-do-not-fit-model")
    assert "sellerscore features" in problem["detail"]
    assert SELLERS[0] not in response.text
    assert _stored(client) == 0
    ready = client.get("/health/ready")
    assert "model:" in _assert_problem(ready, 503, "not-ready")["detail"]
    assert SELLERS[0] not in ready.text


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_vectors_that_cannot_be_read(client: TestClient, content: bytes | None) -> None:
    path = client.app.state.services.settings.vectors_path
    for file in path.parent.glob("vectors.db*"):
        file.unlink()
    if content is not None:
        path.write_bytes(content)
    _assert_problem(client.post("/v1/scores", json=GOOD), 503, "no-vectors")
    assert "vectors:" in _assert_problem(client.get("/health/ready"), 503, "not-ready")["detail"]


def test_a_database_that_is_away_and_comes_back(client: TestClient) -> None:
    services = client.app.state.services
    path = services.settings.home / "sellerscore.db"
    made = client.post("/v1/scores", json=GOOD)
    services.engine.dispose()
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    away = client.post("/v1/scores", json=GOOD)
    _assert_problem(away, 503, "database-unavailable")
    assert int(away.headers["Retry-After"]) > 0
    _assert_problem(client.get(made.headers["Location"]), 503, "database-unavailable")
    proof = demo_credentials(services.settings)
    token = client.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=proof)
    _assert_problem(token, 503, "database-unavailable")
    assert int(token.headers["Retry-After"]) > 0
    assert "database:" in _assert_problem(client.get("/health/ready"), 503, "not-ready")["detail"]
    path.rmdir()
    path.with_suffix(".away").rename(path)
    assert client.get(made.headers["Location"]).content == made.content
    assert _stored(client) == 1


def test_a_server_that_is_away_and_comes_back(settings: Settings, open_client: Opener, postgres: str) -> None:
    with fresh_database(postgres) as address, psycopg.connect(postgres, autocommit=True) as other:
        name = make_url(address).database
        with open_client(settings.model_copy(update={"database_url": address})) as client:
            made = client.post("/v1/scores", json=GOOD)
            other.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            for _ in range(3):
                away = client.post("/v1/scores", json=GOOD)
                _assert_problem(away, 503, "database-unavailable")
                assert int(away.headers["Retry-After"]) > 0
            _assert_problem(client.get(made.headers["Location"]), 503, "database-unavailable")
            other.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
            assert client.get(made.headers["Location"]).content == made.content
            assert client.post("/v1/scores", json=GOOD).status_code == 201
            assert _stored(client) == 2


def test_a_score_that_cannot_be_stored_is_not_answered(client: TestClient) -> None:
    with sqlite3.connect(client.app.state.services.settings.home / "sellerscore.db") as other:
        other.execute("DROP TABLE scores")
    response = client.post("/v1/scores", json=GOOD)
    _assert_problem(response, 503, "database-unavailable")
    assert "assessment" not in response.text


def test_a_score_that_cannot_be_explained_is_not_given(
    shared_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexplained(*_: object) -> None:
        raise ExplanationError("Contributions miss the model's margin by 3.")

    monkeypatch.setattr(api.scores.inputs, "assess", unexplained)
    _assert_problem(shared_client.post("/v1/scores", json=GOOD), 500, "score-not-explained")
    assert _stored(shared_client) == 0


def test_a_fault_is_logged_under_its_request_and_tells_nothing(
    shared_client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"inner secret of {SELLERS[0]}")

    monkeypatch.setattr(api.scores.inputs, "assess", broken)
    response = shared_client.post("/v1/scores", json=GOOD, headers={"X-Request-Id": "mine-1"})
    _assert_problem(response, 500, "internal-error")
    assert "secret" not in response.text
    assert any("mine-1" in record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)


@pytest.mark.parametrize(("given_id", "kept"), [("abc.DEF-1_2", True), ("a b", False), ("x" * 65, False), ("", False)])
def test_request_ids_come_back_where_they_are_plain(shared_client: TestClient, given_id: str, kept: bool) -> None:
    answered = shared_client.get("/health/live", headers={"X-Request-Id": given_id}).headers["X-Request-Id"]
    assert (answered == given_id) is kept
    assert answered


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
