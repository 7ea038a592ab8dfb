"""Whatever a bank with a token sends as a body, the answer is a problem and never a failure of the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from starlette.testclient import TestClient

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=3),
    max_leaves=6,
)
NEAR = st.fixed_dictionaries({}, optional={"seller_id": JSON, "purpose": JSON | st.just("credit_application")})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSON | NEAR)
def test_no_json_makes_the_service_fail(client: TestClient, body: object) -> None:
    response = client.post("/v1/scores", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 403, 404, 422}, response.text
    assert response.json()["type"].startswith("/problems/")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), media_type=st.sampled_from(["application/json", "text/plain", "", "a/b; c"]))
def test_no_bytes_make_the_service_fail(client: TestClient, body: bytes, media_type: str) -> None:
    response = client.post("/v1/scores", content=body, headers={"Content-Type": media_type})
    assert response.status_code in {400, 415, 422}, response.text
