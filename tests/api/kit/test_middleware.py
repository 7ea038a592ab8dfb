"""Strict requests: a body that two programs could read differently is rejected, behind the token."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.errors import MalformedJson
from api.kit.middleware import check_json_body
from tests.api.conftest import SELLERS

if TYPE_CHECKING:
    import httpx
    from starlette.testclient import TestClient

GOOD = json.dumps({"seller_id": SELLERS[0], "purpose": "credit_application"})
TWICE = GOOD.replace("{", '{"seller_id": "S-1", ')


def json_values(numbers: st.SearchStrategy[float], text: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | numbers | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=8,
    )


FINITE_JSON = json_values(st.floats(allow_nan=False, allow_infinity=False), st.text())
JSON = json_values(st.floats(), st.text(st.characters(codec=None)))
ALMOST_VALID = st.fixed_dictionaries({}, optional={"seller_id": JSON, "purpose": JSON | st.just("credit_application")})
fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def post(client: TestClient, body: bytes | str, media_type: str = "application/json") -> httpx.Response:
    return client.post("/v1/scores", content=body, headers={"Content-Type": media_type})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (TWICE.encode(), "'seller_id' occurs twice"),
        (GOOD.replace("}", ', "x": [{"y": 1, "y": 1}]}').encode(), "'y' occurs twice"),
        (GOOD.replace("}", f', "{"n" * 99}": 1, "{"n" * 99}": 1}}').encode(), f"'{'n' * 64}' occurs twice"),
        (GOOD.encode("utf-16"), "JSON in UTF-8"),
        (GOOD.encode("utf-32-be"), "JSON in UTF-8"),
    ],
)
def test_an_ambiguous_body_is_rejected(shared_client: TestClient, body: bytes, message: str) -> None:
    response = post(shared_client, body)
    assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed-json"), response.text
    assert message in response.json()["detail"]
    assert post(shared_client, body, "application/merge+json").status_code == 400
    assert shared_client.get("/v1/scores").json()["items"] == []
    del shared_client.headers["Authorization"]
    assert post(shared_client, body).status_code == 401


def test_a_body_in_chunks_or_with_a_byte_order_mark_is_read(client: TestClient) -> None:
    for body, status in ((GOOD, 201), (TWICE, 400)):
        chunks = (bytes([byte]) for byte in body.encode())
        assert (
            client.post("/v1/scores", content=chunks, headers={"Content-Type": "application/json"}).status_code
            == status
        )
    assert post(client, GOOD.encode("utf-8-sig")).status_code == 201


@given(FINITE_JSON)
def test_all_json_without_repeated_names_passes(value: object) -> None:
    check_json_body(json.dumps(value).encode())
    check_json_body(json.dumps(value, ensure_ascii=False).encode())


@given(st.binary(max_size=40))
def test_bytes_are_json_or_a_problem(body: bytes) -> None:
    try:
        check_json_body(body)
    except MalformedJson:
        return
    json.loads(body.decode("utf-8-sig"))


@fuzz
@given(body=JSON | ALMOST_VALID)
def test_no_json_makes_the_service_fail(shared_client: TestClient, body: object) -> None:
    response = post(shared_client, json.dumps(body))
    assert response.status_code in {400, 403, 404, 422}, response.text
    assert response.json()["type"].startswith("/problems/")


@fuzz
@given(body=st.binary(max_size=200), media_type=st.sampled_from(["application/json", "text/plain", "", "a/b; c"]))
def test_no_bytes_make_the_service_fail(shared_client: TestClient, body: bytes, media_type: str) -> None:
    response = post(shared_client, body, media_type)
    assert response.status_code in {400, 415, 422}, response.text


@pytest.mark.parametrize("path", ["/oauth/token", "/v1/scores"])
def test_a_body_that_ends_early_is_logged_in_one_line(
    shared_client: TestClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """The client closes the connection after a part of the body."""
    app, sent = shared_client.app, []
    messages = iter([{"type": "http.request", "body": b"grant_type", "more_body": True}, {"type": "http.disconnect"}])
    form = path != "/v1/scores"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
        "Content-Length": "29",
        "Authorization": shared_client.headers["Authorization"],
    }

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("203.0.113.7", 1),
        "server": ("testserver", 80),
    }
    with caplog.at_level(logging.INFO):
        assert shared_client.portal is not None
        shared_client.portal.call(app, scope, receive, send)
    lines = [record.getMessage() for record in caplog.records]
    assert [re.search(r" (\d{3}) ", line)[1] for line in lines if line.startswith("POST")] == ["499"]
    assert len(lines) == 1
