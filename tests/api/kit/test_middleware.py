"""What two readers would take for two requests is refused, behind the token and with a sentence that says what is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from api import app, services
from api.errors import MalformedJson
from api.kit.middleware import check_json_body
from tests.api.conftest import SELLERS

if TYPE_CHECKING:
    import httpx
    from starlette.testclient import TestClient

GOOD = json.dumps({"seller_id": SELLERS[0], "purpose": "credit_application"})
TWICE = GOOD.replace("{", '{"seller_id": "S-1", ')
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def post(client: TestClient, body: bytes, media_type: str = "application/json") -> httpx.Response:
    return client.post("/v1/scores", content=body, headers={"Content-Type": media_type})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (TWICE.encode(), "'seller_id' occurs twice"),
        (GOOD.replace("}", ', "purpose": "credit_application"}').encode(), "'purpose' occurs twice"),
        (GOOD.replace("}", ', "x": [{"y": 1, "y": 1}]}').encode(), "'y' occurs twice"),
        (GOOD.replace("}", f', "{"n" * 99}": 1, "{"n" * 99}": 1}}').encode(), f"'{'n' * 64}' occurs twice"),
        (GOOD.encode("utf-16"), "JSON in UTF-8"),
        (GOOD.encode("utf-16-le"), "JSON in UTF-8"),
        (GOOD.encode("utf-32"), "JSON in UTF-8"),
        (GOOD.encode("utf-32-be"), "JSON in UTF-8"),
    ],
)
def test_a_body_that_can_be_read_in_two_ways(shared_client: TestClient, body: bytes, said: str) -> None:
    answer = post(shared_client, body)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-json"), answer.text
    assert said in answer.json()["detail"]
    assert post(shared_client, body, "application/merge+json").status_code == 400
    assert shared_client.get("/v1/scores").json()["items"] == []
    del shared_client.headers["Authorization"]
    assert post(shared_client, body).status_code == 401, "a stranger is told nothing of it"


def test_a_body_in_parts_and_one_behind_a_mark_are_read(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    parts = lambda text: (bytes([each]) for each in text.encode())  # noqa: E731
    assert client.post("/v1/scores", content=parts(GOOD), headers=headers).status_code == 201
    assert client.post("/v1/scores", content=parts(TWICE), headers=headers).status_code == 400
    assert post(client, GOOD.encode("utf-8-sig")).status_code == 201


@given(JSON)
def test_whatever_is_json_is_let_through(value: object) -> None:
    check_json_body(json.dumps(value).encode())
    check_json_body(json.dumps(value, ensure_ascii=False).encode())


@given(st.binary(max_size=40))
def test_whatever_is_not_is_one_problem(body: bytes) -> None:
    try:
        check_json_body(body)
    except MalformedJson:
        return
    assert json.loads(body.decode("utf-8-sig")) is not ...


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=1&limit=1", "query/limit"),
        ("limit=1&seller_id=S-1&limit=200", "query/limit"),
        ("seller_id=S-1&seller%5Fid=S-2", "query/seller_id"),
    ],
)
def test_a_parameter_that_is_given_twice(shared_client: TestClient, query: str, where: str) -> None:
    answer = shared_client.get(f"/v1/scores?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request"), answer.text
    (told,) = answer.json()["errors"]
    assert told == {"where": where, "rule": "once", "message": "Must occur once; it occurs 2 times"}
    del shared_client.headers["Authorization"]
    assert shared_client.get(f"/v1/scores?{query}").status_code == 401


def test_whoever_reads_a_query_is_given_one_that_was_looked_at() -> None:
    reading = [
        route
        for router in app._ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.dependant.query_params
    ]
    assert len(reading) > 5
    for route in reading:
        assert any(each.call is services._services for each in route.dependant.dependencies), route.path


def test_parameters_that_nobody_reads_may_come_as_they_like(shared_client: TestClient) -> None:
    assert shared_client.get("/v1/scores?limit=1&seller_id=S-1").status_code == 200
    assert shared_client.get("/v1/scores?utm=1&utm=2").status_code == 200
    assert shared_client.get("/health/live?limit=1&limit=2").status_code == 200
