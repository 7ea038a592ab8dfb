"""The direct call of `create_score` accepts only what the framework accepts, with the same values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import fastapi.routing
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.scores.schemas import ScoreRequest
from tests.api.conftest import SELLERS

if TYPE_CHECKING:
    from starlette.testclient import TestClient

BODY = {"seller_id": SELLERS[0], "purpose": "credit_application"}
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([*BODY.values()])


@given(st.dictionaries(st.sampled_from([*BODY, "other"]), VALUES) | st.lists(VALUES, max_size=2))
@example(BODY)
@example({**BODY, "seller_id": "\ud800"})
@example({**BODY, "seller_id": 7})
def test_a_body_that_the_direct_call_accepts_has_the_values_of_the_framework(body: Any) -> None:
    text = json.dumps(body)
    try:
        accepted = ScoreRequest.model_validate_json(text)
    except ValidationError:
        return
    assert accepted == ScoreRequest.model_validate(json.loads(text))


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Requests whose arguments the framework finds."""
    calls: list[object] = []
    solve = fastapi.routing.solve_dependencies

    async def record(**values: Any) -> Any:
        calls.append(values["request"])
        return await solve(**values)

    monkeypatch.setattr(fastapi.routing, "solve_dependencies", record)
    return calls


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "application-1"}])
def test_a_valid_request_is_called_directly(client: TestClient, solved: list[object], headers: dict[str, str]) -> None:
    assert client.post("/v1/scores", json=BODY, headers=headers).status_code == 201
    assert solved == []


JSON = ("Content-Type", "application/json")


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ([("Content-Type", "application/json; charset=utf-8")], json.dumps(BODY), 201),
        ([JSON], json.dumps({**BODY, "purpose": "other"}), 422),
        ([("Content-Type", "text/plain")], json.dumps(BODY), 415),
        ([JSON, ("Idempotency-Key", "é")], json.dumps(BODY), 422),
        ([JSON, ("Idempotency-Key", "a"), ("Idempotency-Key", "a")], json.dumps(BODY), 422),
    ],
)
def test_the_framework_handles_each_other_request(
    client: TestClient, solved: list[object], headers: list[tuple[str, str]], content: str, status: int
) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    assert client.post("/v1/scores", content=content, headers=encoded).status_code == status
    assert len(solved) == 1
