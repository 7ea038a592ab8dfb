"""Query parameters: unknown and repeated ones are refused by every call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.routing import APIRoute

from api import app
from api.auth.callers import AuthenticatedRoute

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TWICE = {"rule": "once", "message": "Must occur once; it occurs 2 times"}
ALLOWED = "Use one of: seller_id, cursor, limit"


@pytest.mark.parametrize(
    ("query", "where", "error"),
    [
        ("limit=1&limit=1", "limit", TWICE),
        ("limit=1&seller_id=S-1&limit=200", "limit", TWICE),
        ("seller_id=S-1&seller%5Fid=S-2", "seller_id", TWICE),
        ("seller=S-1", "seller", {"rule": "unknown", "message": f"Unknown parameter. {ALLOWED}"}),
        ("limit=1&Seller_id=S-1", "Seller_id", {"rule": "unknown", "message": f"Unknown parameter. {ALLOWED}"}),
        ("utm=1&utm=2", "utm", {"rule": "unknown", "message": f"Unknown parameter. {ALLOWED}"}),
        ("x" * 99 + "=1", "x" * 64, {"rule": "unknown", "message": f"Unknown parameter. {ALLOWED}"}),
    ],
)
def test_an_unknown_or_repeated_parameter_is_named(
    shared_client: TestClient, query: str, where: str, error: dict[str, str]
) -> None:
    response = shared_client.get(f"/v1/scores?{query}")
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request"), response.text
    assert response.json()["errors"] == [{"where": f"query/{where}", **error}]
    del shared_client.headers["Authorization"]
    assert shared_client.get(f"/v1/scores?{query}").status_code == 401


def test_a_call_without_parameters_states_it(shared_client: TestClient) -> None:
    response = shared_client.get("/v1/model?bundle=1")
    assert response.status_code == 422
    assert response.json()["errors"][0]["message"] == "Unknown parameter. This call has no query parameters"


def test_a_probe_may_have_any_parameter(shared_client: TestClient) -> None:
    for path in ("/health/live?time=1", "/health/ready?time=1", "/.well-known/jwks.json?time=1"):
        assert shared_client.get(path).status_code == 200


def test_every_call_of_a_client_checks_its_query() -> None:
    unchecked = {
        route.path
        for router in app._ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and not isinstance(route, AuthenticatedRoute)
    }
    assert unchecked == {
        "/.well-known/jwks.json",
        "/oauth/token",
        "/health/live",
        "/health/ready",
        "/docs",
        "/openapi.json",
    }
